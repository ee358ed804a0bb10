"""Hello, resume, back-off, close codes, heartbeats and the goodbye."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from trio_websocket import ConnectionClosed

from relay.client import Backoff, RelayClosed, RelayOffline
from tests.client.peer import HEARTBEAT, Peer, waits


async def test_the_hello_carries_the_token_and_nothing_unknown(peer: Peer) -> None:
    async with peer.connect(client_id="desk") as client:
        far = await peer.accept()
        hello = await far.welcome()
        assert hello == {"event": "hello", "token": "the-token", "client_id": "desk"}
        assert far.socket.path == "/ws"
        await client.wait_live()
        assert (client.user_id, client.session_id, client.epoch) == ("alice", "s1", "e1")


async def test_a_given_position_is_what_the_first_hello_resumes_from(peer: Peer) -> None:
    async with peer.connect(cursor=7, epoch="e0"):
        hello = await (await peer.accept()).ready()
        assert (hello["cursor"], hello["epoch"]) == (7, "e0")


async def test_a_reconnect_resumes_with_session_cursor_and_epoch(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=41)
        await far.message(42)
        seen = []
        async for event in client:
            seen.append(event.event or event.message_id)
            if event.message_id == 42:
                break
        assert seen == ["ready", "synced", 42]
        await far.stream.aclose()
        again = await peer.accept()
        hello = await again.ready()
        assert (hello["session_id"], hello["cursor"], hello["epoch"]) == ("s1", 41, "e1")


async def test_another_epoch_forgets_the_cursor_and_is_told_to_the_application(peer: Peer) -> None:
    async with peer.connect(cursor=500, epoch="e0") as client:
        far = await peer.accept()
        await far.ready(resumed=False, epoch="e1")
        ready = await anext(client)
        assert ready.payload["resumed"] is False
        assert client.cursor is None
        await far.synced(3)
        await far.message(4)  # below the old cursor, and new all the same
        assert (await anext(client)).event == "synced"
        assert (await anext(client)).message_id == 4


async def test_back_off_doubles_with_full_jitter_up_to_its_cap(peer: Peer) -> None:
    peer.down = True
    expected = random.Random(7)
    async with peer.connect(backoff=Backoff(base=0.5, cap=4.0)):
        await trio.sleep(60)
        tops = [0.5, 1.0, 2.0] + [4.0] * (len(peer.dials) - 4)
        assert waits(peer.dials) == pytest.approx([expected.uniform(0, top) for top in tops])
        assert len(peer.dials) > 15


async def test_back_off_starts_anew_after_having_been_live(peer: Peer) -> None:
    expected = random.Random(7)
    peer.down = True
    async with peer.connect() as client:
        await trio.sleep(3)
        failures = len(peer.dials)
        peer.down = False
        far = await peer.live()
        await client.wait_live()
        await trio.sleep(5)
        ended = trio.current_time()
        await far.stream.aclose()
        await peer.accept()
        for attempt in range(failures):
            expected.uniform(0, 0.5 * 2**attempt)
        assert peer.dials[-1] - ended == pytest.approx(expected.uniform(0, 0.5))


async def test_a_connection_that_dies_as_soon_as_it_is_live_does_not_reset_the_back_off(peer: Peer) -> None:
    expected = random.Random(7)
    async with peer.connect() as client:
        for _ in range(5):
            far = await peer.live()
            await client.wait_live()
            await far.stream.aclose()
        await peer.accept()
        assert waits(peer.dials) == pytest.approx([expected.uniform(0, 0.5 * 2**n) for n in range(5)])


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 4401, 4402, 4403, 4405])
async def test_it_comes_back_after_a_passing_close(peer: Peer, code: int) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        await far.close(code, "passing")
        await peer.live()
        await client.wait_live()


@pytest.mark.parametrize("code", [4501, 4502, 4503, 4504, 4505, 4510, 1008])
async def test_a_final_close_is_raised_out_of_every_wait(peer: Peer, code: int) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        pending = client.send_nowait("chat_message", {"content": "hi"}, target_id="bob")
        await far.close(code, "no")
        for _ in range(2):
            await anext(client)
        with pytest.raises(RelayClosed) as closed:
            await anext(client)
        assert (closed.value.code, closed.value.reason) == (code, "no")
        with pytest.raises(RelayClosed):
            await client.wait_live()
        with pytest.raises(RelayClosed):
            await pending.wait()
        with pytest.raises(RelayClosed):
            client.send_nowait("chat_message", {"content": "hi"}, target_id="bob")
        assert client.state == "closed"
        await trio.sleep(100)
        assert len(peer.dials) == 1


async def test_an_error_out_of_the_block_is_not_wrapped_in_a_group(peer: Peer) -> None:
    async def receive_until_closed() -> None:
        async with peer.connect() as client:
            await (await peer.live()).close(4501, "token wrong")
            async for _ in client:
                pass

    with pytest.raises(RelayClosed, match="4501: token wrong"):
        await receive_until_closed()


@pytest.mark.parametrize("reason", ["7.5", "retry_after=7.5", '{"retry_after": 7.5}', "draining, 7.5 s"])
async def test_a_draining_server_says_when_to_come_back(peer: Peer, reason: str) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        await far.close(4404, reason)
        closed = trio.current_time()
        await peer.accept()
        assert peer.dials[-1] - closed == pytest.approx(7.5)


async def test_after_a_drain_waits_are_short_for_a_minute(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        peer.down = True
        await far.close(4404, "server is draining; retry_after=1")
        closed = trio.current_time()
        await trio.sleep(400)
        tries = [at - closed for at in peer.dials if at > closed]
        gaps = [after - before for before, after in pairwise([0.0, *tries])]
        assert gaps[0] == pytest.approx(1)
        assert max(gap for gap, at in zip(gaps, tries, strict=True) if at - gap < 60) <= 3
        assert max(gaps) > 3


async def test_a_server_that_spreads_many_clients_is_not_asked_more_often(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        peer.down = True
        await far.close(4404, "server is draining; retry_after=12")
        closed = trio.current_time()
        await trio.sleep(70)
        tries = [at - closed for at in peer.dials if at > closed]
        assert tries[0] == pytest.approx(12)
        assert 3 < max(after - before for before, after in pairwise(tries)) <= 24


async def test_silence_of_two_heartbeats_is_the_end_of_a_connection(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        await trio.sleep(HEARTBEAT * 1.5)
        await far.event("heartbeat", cursor=100)
        spoke = trio.current_time()
        await peer.accept()
        first_delay = random.Random(7).uniform(0, 0.5)
        assert peer.dials[-1] == pytest.approx(spoke + 2 * HEARTBEAT + first_delay)
        assert "silent" in (client.trouble or "")


async def test_pings_count_as_life(peer: Peer) -> None:
    async with peer.connect(heartbeats=False) as client:
        far = await peer.live()
        await client.wait_live()
        for _ in range(10):
            await trio.sleep(HEARTBEAT)
            await far.socket.ping()
        assert len(peer.dials) == 1


async def test_a_heartbeat_is_answered_with_the_cursor(peer: Peer) -> None:
    async with peer.connect(cursor=9) as client:
        far = await peer.live(cursor=9)
        await client.wait_live()
        await far.event("heartbeat", cursor=900)
        assert await far.receive_event("heartbeat") == {"event": "heartbeat", "cursor": 9}
        with trio.move_on_after(1):
            async for event in client:
                assert event.event != "heartbeat"
        assert client.cursor == 9


async def test_without_heartbeats_none_is_answered(peer: Peer) -> None:
    async with peer.connect(heartbeats=False) as client:
        far = await peer.live()
        await client.wait_live()
        await far.event("heartbeat", cursor=1)
        await far.quiet(5)


async def test_leaving_the_block_acknowledges_says_goodbye_and_closes_normally(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=41)
        await anext(client)
        await anext(client)
    assert (await far.receive_event("ack"))["cursor"] == 41
    assert (await far.receive())["payload"] == {"event": "goodbye"}
    assert await far.closed() == 1000
    assert client.state == "closed"


async def test_goodbye_ends_the_iteration_and_answers_who_waits(peer: Peer) -> None:
    async with peer.connect() as client, trio.open_nursery() as nursery:
        far = await peer.live()
        pending = client.send_nowait("chat_message", {"content": "hi"}, target_id="bob")
        nursery.start_soon(far.closed)
        async for event in client:
            if event.event == "synced":
                await client.goodbye()
        with pytest.raises(RelayClosed) as closed:
            await pending.wait()
        assert closed.value.code == 1000


@pytest.mark.parametrize("frame", ["[]", "{", '{"type":5}', "[" * 50_000, b"\x00\xff"])
async def test_frames_that_are_no_envelopes_are_passed_over(peer: Peer, frame: str | bytes) -> None:
    async with peer.connect() as client:
        far = await peer.live(cursor=41)
        await far.socket.send_message(frame)
        await far.message(42)
        for _ in range(2):
            await anext(client)
        assert (await anext(client)).message_id == 42


async def test_a_revoked_session_is_not_named_again(peer: Peer, tmp_path: object) -> None:
    async with peer.connect(state=f"{tmp_path}/state") as client:
        await (await peer.live()).close(4503, "revoked")
        with pytest.raises(RelayClosed):
            async for _ in client:
                pass
    async with peer.connect(state=f"{tmp_path}/state"):
        assert "session_id" not in await (await peer.accept()).ready()


async def test_what_is_not_to_be_kept_fails_without_a_connection(peer: Peer) -> None:
    peer.down = True
    async with peer.connect() as client:
        with pytest.raises(RelayOffline):
            await client.send("typing_indicator", {"typing": True}, target_id="bob")


async def test_a_silent_server_is_left_whatever_the_clock_shows(peer: Peer) -> None:
    """What is left of the wait may be less than the clock can tell; to sleep for that long would never end."""
    async with peer.connect(backoff=Backoff(base=0.1, cap=0.1)):
        for number in range(1, 40):
            far = await peer.live(cursor=number)
            await trio.sleep(0.0433 * number)
            await far.event("heartbeat", cursor=number)
            began = trio.current_time()
            with suppress(ConnectionClosed):
                while True:
                    await far.receive()
            assert trio.current_time() - began == pytest.approx(2 * HEARTBEAT)
