"""An application that does not keep up, or never listens at all."""

from __future__ import annotations

import trio

from tests.client.peer import Peer, collect, ids


async def test_an_application_that_falls_behind_gets_everything_by_a_resume(peer: Peer) -> None:
    async with peer.connect(inbox_capacity=10) as client:
        far = await peer.live(cursor=0)
        for number in range(1, 31):
            await far.message(number)
        await trio.sleep(1)
        got = ids(await collect(client, 10))
        assert got == list(range(1, 9))
        resume_seen = trio.Event()

        async def serve_again() -> None:
            assert await far.closed() == 4000
            again = await peer.accept()
            hello = await again.ready()
            assert hello["cursor"] == 8
            resume_seen.set()
            for number in range(9, 13):
                await again.message(number, replay=True)
            await again.synced(12)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_again)
            got += ids(await collect(client, 6))
        assert resume_seen.is_set()
        assert got == list(range(1, 13))
        assert len(peer.dials) == 2


async def test_a_replay_longer_than_the_inbox_arrives_whole_over_several_resumes(peer: Peer) -> None:
    async def serve() -> None:
        while True:
            far = await peer.accept()
            await far.ready(resumed=True)
            for number in range(50, 0, -1):
                await far.message(number, replay=True)
            await far.synced(50)
            await far.closed()

    got: list[int] = []
    async with peer.connect(inbox_capacity=20) as client, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async for event in client:
            got += ids([event])
            if event.event == "synced":
                break
        nursery.cancel_scope.cancel()
    assert got == list(range(50, 0, -1))


async def test_acks_are_heard_by_one_who_never_iterates(peer: Peer) -> None:
    async with peer.connect(inbox_capacity=10) as client:
        far = await peer.live(cursor=0)
        for number in range(1, 500):
            await far.message(number)
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        await far.receive_message()
        await far.ack(pending.id, 500)
        assert (await pending.wait()).message_id == 500
        assert client.cursor is None


async def test_a_reset_is_told_even_to_a_full_inbox(peer: Peer) -> None:
    async with peer.connect(cursor=3, epoch="e1", inbox_capacity=4) as client:
        far = await peer.live(cursor=3)
        for number in range(4, 20):
            await far.message(number)
        await far.stream.aclose()
        far = await peer.accept()
        await far.ready(resumed=False, epoch="e2")
        await trio.sleep(1)
        events = await collect(client, 5)
        assert events[-1].event == "ready"
        assert events[-1].payload["resumed"] is False


async def test_leaving_while_behind_is_a_goodbye_and_not_a_resync(peer: Peer) -> None:
    async with peer.connect(inbox_capacity=4) as client:
        far = await peer.live(cursor=0)
        for number in range(1, 10):
            await far.message(number)
        await trio.sleep(1)
        assert ids(await collect(client, 4)) == [1, 2]
    assert (await far.receive_event("goodbye"))["event"] == "goodbye"
    assert await far.closed() == 1000
