"""Events: order, once each, the cursor, acknowledging, and an application that does not keep up."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from relay.client import Gap
from tests.client.peer import Far, Peer, collect, ids


async def acks(far: Far, into: list[tuple[float, int]]) -> None:
    start = trio.current_time()
    while True:
        cursor = (await far.receive_event("ack"))["cursor"]
        into.append((trio.current_time() - start, cursor))


async def test_replayed_and_live_events_come_in_the_order_of_arrival(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.accept()
        await far.ready()
        await far.message(12, replay=True)
        await far.message(11, replay=True)
        await far.synced(12, replayed=2)
        await far.message(13)
        await far.send("typing_indicator", {"typing": True}, sender_id="bob")
        events = await collect(client, 6)
        assert [event.event or event.message_id for event in events] == ["ready", 12, 11, "synced", 13, None]
        assert [event.replay for event in events] == [False, True, True, False, False, False]
        assert (events[4].sender_id, events[4].target_id, events[4].seq) == ("bob", "alice", 13)


async def test_an_event_is_given_once_over_reconnects(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.accept()
        await far.ready()
        await far.message(12, replay=True)
        assert ids(await collect(client, 2)) == [12]
        await far.stream.aclose()
        far = await peer.accept()
        hello = await far.ready()
        assert "cursor" not in hello
        await far.message(12, replay=True)
        await far.message(11, replay=True)
        await far.synced(12)
        await far.message(13)
        await far.message(13)
        await far.message(14)
        assert ids(await collect(client, 5)) == [11, 13, 14]


async def test_a_replay_cut_short_moves_no_cursor(peer: Peer) -> None:
    async with peer.connect(cursor=5, epoch="e1") as client:
        far = await peer.accept()
        await far.ready()
        await far.message(9, replay=True)
        await far.message(6, replay=True)
        await collect(client, 3)
        await far.stream.aclose()
        far = await peer.accept()
        assert (await far.ready())["cursor"] == 5
        await far.synced(9)
        await collect(client, 2)
        with trio.move_on_after(1):
            await anext(client)
        assert client.cursor == 9


async def test_the_cursor_follows_live_messages_once_they_are_processed(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=10)
        await far.message(11)
        await far.message(12)
        await trio.sleep(1)
        assert client.cursor is None
        await collect(client, 3)
        assert client.cursor == 10
        await anext(client)
        assert client.cursor == 11


async def test_an_ack_moves_the_cursor_when_everything_before_is_processed(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=10)
        await collect(client, 2)
        await far.message(11)
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        await far.receive_message()
        await far.ack(pending.id, 12)
        await pending.wait()
        assert client.cursor is None
        await anext(client)
        assert client.cursor == 10
        with trio.move_on_after(1):
            await anext(client)
        assert client.cursor == 12


async def test_acks_move_the_cursor_of_one_who_only_sends(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=10)
        await collect(client, 2)
        with trio.move_on_after(1):
            await anext(client)
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        await far.receive_message()
        await far.ack(pending.id, 11)
        await pending.wait()
        assert client.cursor == 11


@pytest.mark.parametrize("moment", ["before synced", "duplicate"])
async def test_an_ack_that_may_be_ahead_of_the_flow_moves_nothing(peer: Peer, moment: str) -> None:
    async with peer.connect(cursor=10, epoch="e1") as client:
        far = await peer.accept()
        await far.ready()
        if moment == "duplicate":
            await far.synced(10)
        await collect(client, 2 if moment == "duplicate" else 1)
        with trio.move_on_after(1):
            await anext(client)  # so that all that came is processed, and holds the cursor back no more
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        await far.receive_message()
        await far.ack(pending.id, 60, duplicate=moment == "duplicate")
        await pending.wait()
        assert client.cursor == 10


@pytest.mark.parametrize(("epoch", "resumed"), [("e2", True), ("e1", False)])
async def test_another_log_begins_anew_and_so_does_a_cursor_that_the_server_refuses(
    peer: Peer, epoch: str, resumed: bool
) -> None:
    async with peer.connect(cursor=10, epoch="e1") as client:
        far = await peer.accept()
        await far.ready(epoch=epoch, resumed=resumed)
        await far.message(5, replay=True)  # below the cursor of before
        await far.synced(5)
        assert ids(await collect(client, 3)) == [5]


async def test_a_message_of_ones_own_that_was_acked_is_not_given_when_a_replay_brings_it(peer: Peer) -> None:
    async with peer.connect(cursor=10, epoch="e1") as client:
        far = await peer.accept()
        await far.ready()
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        await far.receive_message()
        await far.ack(pending.id, 60)
        await pending.wait()
        await far.stream.aclose()
        far = await peer.accept()
        await far.ready()
        await far.message(60, replay=True)
        await far.message(61, replay=True)
        await far.synced(61)
        assert ids(await collect(client, 3)) == [61]


async def test_acknowledging_happens_at_most_once_a_second(peer: Peer) -> None:
    sent: list[tuple[float, int]] = []
    async with peer.connect() as client, trio.open_nursery() as nursery:
        far = await peer.live(cursor=0)
        nursery.start_soon(acks, far, sent)
        await collect(client, 2)
        for number in range(1, 101):
            await far.message(number)
            await anext(client)
            await trio.sleep(0.05)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    times = [when for when, _ in sent]
    assert len(sent) == 6
    assert all(later - sooner >= 1 for sooner, later in pairwise(times))
    assert [cursor for _, cursor in sent] == sorted({cursor for _, cursor in sent})
    assert sent[-1][1] == 99  # the hundredth was given, but the iterator has not come back


async def test_manually_only_what_was_acknowledged_counts(peer: Peer) -> None:
    async with peer.connect() as client:
        client.acknowledge = "manual"
        far = await peer.accept()
        await far.ready()
        await far.message(8, replay=True)
        await far.message(7, replay=True)
        await far.synced(8)
        await far.message(9)
        await collect(client, 5)
        await client.ack(7)
        assert client.cursor is None  # the other replayed one still stands before `synced`
        await client.ack(8)
        assert client.cursor == 8
        await client.ack(9)
        assert client.cursor == 9


async def test_an_acknowledgement_reaches_only_what_was_given(peer: Peer) -> None:
    async with peer.connect() as client:
        client.acknowledge = "manual"
        far = await peer.live(cursor=8)
        await far.message(9)
        await trio.sleep(1)
        await client.ack(1_000)
        assert client.cursor is None


async def test_a_cancelled_iterator_loses_no_event(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=0)
        got: list[int] = []
        for number in range(1, 20):
            with trio.move_on_after(0.5):
                await trio.sleep(0.01)
                got += ids([await anext(client)])
            with trio.CancelScope() as scope:
                scope.cancel()
                got += ids([await anext(client)])
            await far.message(number)
        with trio.move_on_after(1):
            while True:
                got += ids([await anext(client)])
        assert got == list(range(1, 20))


async def test_only_one_task_may_iterate(peer: Peer) -> None:
    async with peer.connect() as client, trio.open_nursery() as nursery:
        nursery.start_soon(anext, client)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(client)
        nursery.cancel_scope.cancel()


async def test_gaps_of_a_limited_replay_are_given(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.accept()
        await far.ready()
        gap = {"kind": "group", "target_id": "team", "from_seq": 3, "to_seq": 90}
        await far.synced(7, limited=True, gaps=[gap])
        await anext(client)
        assert (await anext(client)).gaps == (Gap("group", "team", 3, 90),)


async def test_present_statuses_are_given_whatever_their_age(peer: Peer) -> None:
    async with peer.connect(cursor=50, epoch="e1") as client:
        far = await peer.accept()
        await far.ready()
        await far.send("status_update", {"status": "away"}, message_id=20, sender_id="bob")
        await anext(client)
        assert (await anext(client)).payload == {"status": "away"}


async def test_an_error_that_answers_no_message_is_an_event(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await far.send("error", {"code": "bad_envelope", "message": "no", "retry": False})
        assert (await collect(client, 3))[-1].payload["code"] == "bad_envelope"
