"""The outbox: acks, refusals, resending, order and bounds."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.client import Ack, Client, OutboxFull, PendingSend, RelayError, RelayOffline
from tests.client.peer import Far, Peer


def say(client: Client, text: str, **options: Any) -> PendingSend:
    return client.send_nowait("chat_message", {"content": text}, target_id="bob", **options)


async def texts(far: Far, count: int) -> list[str]:
    return [(await far.receive_message())["payload"]["content"] for _ in range(count)]


async def test_a_message_goes_out_with_its_id_target_device_and_time(peer: Peer) -> None:
    async with peer.connect(client_id="desk") as client, trio.open_nursery() as nursery:
        far = await peer.live()
        answers: list[Ack] = []

        async def send() -> None:
            answers.append(await client.send("chat_message", {"content": "hi"}, target_id="bob", id="m1"))

        nursery.start_soon(send)
        assert await far.receive_message() == {
            "type": "chat_message",
            "payload": {"content": "hi"},
            "meta": {"id": "m1", "client_id": "desk", "timestamp": 1_000.5, "target_id": "bob"},
        }
        await far.ack("m1", 101)
        await trio.testing.wait_all_tasks_blocked()
        [ack] = answers
        assert (ack.message_id, ack.seq, ack.timestamp, ack.duplicate) == (101, 101, 1.5, False)
        assert client.unanswered == 0


async def test_a_refusal_for_good_is_raised_where_it_is_waited_for(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        pending = say(client, "hi")
        await far.receive_message()
        await far.error(pending.id, "forbidden", details={"why": "blocked"})
        with pytest.raises(RelayError) as refused:
            await pending.wait()
        assert (refused.value.code, refused.value.retry) == ("forbidden", False)
        assert refused.value.details == {"why": "blocked"}
        assert client.unanswered == 0


async def test_messages_written_offline_go_out_in_order_once_connected(peer: Peer) -> None:
    peer.down = True
    async with peer.connect() as client:
        for number in range(20):
            say(client, str(number))
        await trio.sleep(5)
        peer.down = False
        far = await peer.live()
        assert await texts(far, 20) == [str(number) for number in range(20)]


async def test_what_was_not_answered_is_sent_again_with_the_same_frame_and_in_order(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        waiting = [say(client, str(number)) for number in range(6)]
        first = [await far.receive_message() for _ in range(6)]
        await far.ack(waiting[0].id, 101)
        await far.ack(waiting[3].id, 102)
        await waiting[3].wait()
        await far.stream.aclose()
        far = await peer.live()
        say(client, "6")
        again = [await far.receive_message() for _ in range(5)]
        assert again[:4] == [first[1], first[2], first[4], first[5]]
        assert again[4]["payload"] == {"content": "6"}
        await far.ack(waiting[1].id, 90, duplicate=True)
        assert (await waiting[1].wait()).duplicate


async def test_a_rate_limit_holds_everything_back_as_long_as_the_server_says(peer: Peer) -> None:
    async with peer.connect(in_flight=1) as client:
        far = await peer.live()
        waiting = [say(client, text) for text in "abc"]
        assert await texts(far, 1) == ["a"]
        await far.error(waiting[0].id, "rate_limited", retry=True, retry_after=7)
        refused = trio.current_time()
        assert await texts(far, 1) == ["a"]
        assert trio.current_time() == pytest.approx(refused + 7)
        await far.ack(waiting[0].id, 101)
        assert await texts(far, 1) == ["b"]


async def test_after_a_rate_limit_the_window_opens_slowly(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        waiting = [say(client, str(number)) for number in range(8)]
        await texts(far, 8)
        for pending in waiting:
            await far.error(pending.id, "rate_limited", retry=True, retry_after=3)
        assert await texts(far, 1) == ["0"]
        await far.quiet(1)
        await far.ack(waiting[0].id, 101)
        assert await texts(far, 2) == ["1", "2"]
        await far.quiet(1)
        await far.ack(waiting[1].id, 102)
        await far.ack(waiting[2].id, 103)
        assert await texts(far, 4) == ["3", "4", "5", "6"]


async def test_other_passing_refusals_are_retried_a_few_times_only(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        pending = say(client, "a")
        for _ in range(6):
            await texts(far, 1)
            await far.error(pending.id, "internal", retry=True)
        with pytest.raises(RelayError, match="internal"):
            await pending.wait()


@pytest.mark.parametrize(("ours", "theirs", "window"), [(64, {}, 64), (5, {}, 5), (64, {"in_flight": 3}, 3)])
async def test_no_more_than_the_window_is_on_the_wire(
    peer: Peer, ours: int, theirs: dict[str, int], window: int
) -> None:
    async with peer.connect(in_flight=ours) as client:
        far = await peer.live(limits=theirs)
        assert client.state in ("replaying", "live")
        waiting = [say(client, str(number)) for number in range(window + 2)]
        await texts(far, window)
        await far.quiet(1)
        await far.ack(waiting[0].id, 101)
        assert await texts(far, 1) == [str(window)]
        await far.quiet(1)


async def test_a_full_outbox_refuses_and_send_waits_for_room(peer: Peer) -> None:
    async with peer.connect(outbox_capacity=2) as client, trio.open_nursery() as nursery:
        far = await peer.live()
        waiting = [say(client, "a"), say(client, "b")]
        with pytest.raises(OutboxFull):
            say(client, "c")
        nursery.start_soon(client.send, "chat_message", {"content": "c"})
        assert await texts(far, 2) == ["a", "b"]
        await far.quiet(1)
        await far.ack(waiting[0].id, 101)
        third = await far.receive_message()
        assert third["payload"] == {"content": "c"}
        await far.ack(third["meta"]["id"], 102)


async def test_a_timeout_leaves_the_message_on_its_way(peer: Peer) -> None:
    peer.down = True
    async with peer.connect() as client:
        with pytest.raises(trio.TooSlowError):
            await client.send("chat_message", {"content": "a"}, target_id="bob", id="m1", timeout=3)
        peer.down = False
        far = await peer.live()
        assert (await far.receive_message())["meta"]["id"] == "m1"


async def test_the_same_id_again_is_the_same_message(peer: Peer) -> None:
    async with peer.connect() as client:
        assert say(client, "a", id="m1") is say(client, "a", id="m1")
        with pytest.raises(RelayError, match="conflict"):
            say(client, "b", id="m1")
        with pytest.raises(ValueError, match="64"):
            say(client, "b", id="x" * 65)
        with pytest.raises(TypeError):
            client.send_nowait("chat_message", {"content": object()})
        assert client.unanswered == 1


async def test_a_message_that_is_not_kept_fails_with_its_connection(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        await client.wait_live()
        pending = client.send_nowait("typing_indicator", {"typing": True}, target_id="bob")
        await far.receive_message()
        await far.stream.aclose()
        with pytest.raises(RelayOffline):
            await pending.wait()
        far = await peer.live()
        await far.quiet(5)


async def test_a_message_the_server_closes_for_its_size_is_not_sent_for_ever(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        small, large = say(client, "a"), say(client, "b" * 10_000)
        await texts(far, 2)
        await far.close(1009, "over the limit")
        with pytest.raises(RelayError, match="too_large"):
            await large.wait()
        far = await peer.live()
        assert await texts(far, 1) == ["a"]
        await far.ack(small.id, 101)
        await small.wait()


async def test_a_message_over_the_servers_known_limit_is_not_sent_at_all(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live(limits={"frame_bytes": 1_000})
        await client.wait_live()
        with pytest.raises(RelayError, match="too_large"):
            await say(client, "ü" * 500).wait()
        say(client, "a")
        assert await texts(far, 1) == ["a"]


async def test_flush_waits_for_the_last_answer(peer: Peer) -> None:
    async with peer.connect() as client, trio.open_nursery() as nursery:
        far = await peer.live()
        pending = say(client, "a")
        await texts(far, 1)
        flushed = trio.Event()

        async def flush() -> None:
            await client.flush()
            flushed.set()

        nursery.start_soon(flush)
        await trio.sleep(1)
        assert not flushed.is_set()
        await far.ack(pending.id, 101)
        await flushed.wait()


def shout(client: Client, text: str, target: str = "team", type: str = "group_message") -> PendingSend:
    return client.send_nowait(type, {"content": text}, target_id=target)


async def test_slow_mode_holds_one_type_to_one_group_and_goes_on_in_order(peer: Peer) -> None:
    slow = {"reason": "slow_mode", "seconds": 30}
    async with peer.connect() as client:
        far = await peer.live()
        held = [shout(client, text) for text in ("one", "two", "three")]
        assert await texts(far, 3) == ["one", "two", "three"]
        await far.ack(held[0].id, 1)
        for pending in held[1:]:
            await far.error(pending.id, "rate_limited", retry=True, retry_after=30, details=slow)
        others = [say(client, "to bob"), shout(client, "elsewhere", "other"), shout(client, "hi", type="greeting")]
        assert await texts(far, 3) == ["to bob", "elsewhere", "hi"]
        for number, pending in enumerate(others):
            await far.ack(pending.id, 10 + number)
        began = trio.current_time()
        assert await texts(far, 1) == ["two"]
        assert trio.current_time() - began == pytest.approx(30, abs=0.1)
        await far.ack(held[1].id, 20)
        assert await texts(far, 1) == ["three"]
        await far.error(held[2].id, "rate_limited", retry=True, retry_after=30, details=slow)
        assert await texts(far, 1) == ["three"]
        await far.ack(held[2].id, 21)
        assert (await held[2].wait()).message_id == 21
        assert client.unanswered == 0


async def test_a_new_connection_does_not_end_what_slow_mode_holds(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()
        held = shout(client, "one")
        await texts(far, 1)
        await far.error(held.id, "rate_limited", retry=True, retry_after=15, details={"reason": "slow_mode"})
        began = trio.current_time()
        await far.stream.aclose()
        far = await peer.live()
        assert await texts(far, 1) == ["one"]
        assert trio.current_time() - began > 14
        await far.ack(held.id, 1)
        await held.wait()
