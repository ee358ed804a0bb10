"""A session's life on virtual time: hello, replay, live, resume, takeover, heartbeats, and bad manners."""

import gc
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import CloseCode
from relay.protocol.framing import PING_FRAME
from relay.storage import accounts
from relay.storage.errors import StorageFailed
from relay.testing import Closed, Device, World
from relay.testing import world as open_world
from relay.transports.greeting import Greeting
from relay.transports.websocket import WebSocket

DAY = 86_400


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["meta"]["seq"] for frame in frames if "seq" in frame["meta"]]


async def talk(sender: Device, target: str, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        await sender.say(target, f"message {number}", id=f"{target}-{number}")
    for _ in range(count):
        await sender.next("ack")


async def test_a_message_reaches_every_other_device_once_and_its_sender_gets_one_ack(world: World) -> None:
    alice, phone = await world.connect("alice"), await world.connect("alice", "alice-phone")
    bob = await world.connect("bob")
    await alice.drain()
    await talk(alice, "bob", 3)
    for device in (phone, bob):
        frames = [frame for frame in await device.drain() if frame["type"] == "chat_message"]
        assert seqs(frames) == [1, 2, 3]
        assert frames[0]["meta"]["sender_id"] == "alice"
        assert frames[0]["meta"]["client_id"] == "alice-1"
        assert frames[0]["meta"]["id"] == "bob-0"
    assert await alice.drain() == []


@pytest.mark.world("alice")
async def test_the_devices_of_a_user_learn_of_each_other(world: World) -> None:
    alice = await world.connect("alice")
    phone = await world.connect("alice", "alice-phone")
    came = await alice.next()
    assert came["payload"] == {"event": "device_connected", "client_id": "alice-phone"}
    await phone.cut()
    gone = await alice.next()
    assert gone["payload"] == {"event": "device_disconnected", "client_id": "alice-phone"}


@pytest.mark.world("alice")
async def test_resume_with_zero_events_is_a_resume(world: World) -> None:
    alice = await world.connect("alice")
    await alice.cut()
    again = await world.connect("alice", cursor=alice.synced["cursor"], epoch=alice.ready["epoch"])
    assert again.ready["resumed"] is True
    assert again.ready["session_id"] == alice.ready["session_id"]
    assert again.replayed == []


async def test_resume_after_a_restart_and_a_day_brings_exactly_what_was_missed(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await talk(alice, "bob", 2)
        assert seqs(await bob.drain()) == [1, 2]
        cursor, epoch, tokens = 2, bob.ready["epoch"], world.tokens
        session = bob.ready["session_id"]
        await bob.cut()
        await talk(alice, "bob", 3, start=2)
    await trio.sleep(DAY)
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        bob = await world.connect("bob", cursor=cursor, epoch=epoch, session_id=session)
        assert bob.ready["resumed"] is True
        assert bob.ready["session_id"] == session
        assert seqs(bob.replayed) == [3, 4, 5]
        assert all(frame["meta"]["replay"] is True for frame in bob.replayed)
        assert bob.synced["cursor"] == 5


@pytest.mark.parametrize("wrong", [{"cursor": 1, "epoch": "another"}, {"cursor": 999}])
async def test_another_epoch_or_a_cursor_ahead_starts_afresh(world: World, wrong: dict[str, Any]) -> None:
    alice = await world.connect("alice")
    await talk(alice, "bob", 2)
    bob = await world.connect("bob", **{"epoch": world.engine.epoch, **wrong})
    assert bob.ready["resumed"] is False
    assert seqs(bob.replayed) == [1, 2]


async def test_without_a_cursor_the_replay_starts_where_undelivered_starts(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await talk(alice, "bob", 3)
    await bob.drain()
    await bob.event("ack", cursor=2)
    await trio.sleep(1)
    fresh = await world.connect("bob", "bob-new")
    assert seqs(fresh.replayed) == [3]


async def test_an_ack_tells_the_sender_what_was_delivered(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await talk(alice, "bob", 3)
    await bob.event("ack", cursor=2)
    receipt = await alice.next("read_receipt")
    assert receipt["payload"] == {"up_to_seq": 2, "state": "delivered"}
    assert receipt["meta"]["sender_id"] == "bob"


@pytest.mark.world("alice")
async def test_an_ack_ahead_of_the_log_is_refused(world: World) -> None:
    alice = await world.connect("alice")
    await alice.event("ack", cursor=7)
    with trio.fail_after(5):
        assert (await alice.next("error"))["payload"]["code"] == "invalid_payload"


@pytest.mark.world("alice", "bob", "carol", RELAY_LIMITS__MESSAGES_PER_SECOND="0", RELAY_REPLAY__LIMIT="1000")
async def test_ten_thousand_missed_messages_bring_the_newest_and_exact_gaps(world: World) -> None:
    await world.talk("alice", "bob", 10_000)
    await world.talk("carol", "bob", 40)
    bob = await world.connect("bob")
    assert bob.synced["limited"] is True
    assert bob.synced["replayed"] == 1000
    (gap,) = bob.synced["gaps"]
    assert gap == {"kind": "user", "target_id": "alice", "from_seq": 1, "to_seq": 10_000 - 960}
    of_alice = [frame for frame in bob.replayed if frame["meta"]["sender_id"] == "alice"]
    of_carol = [frame for frame in bob.replayed if frame["meta"]["sender_id"] == "carol"]
    assert seqs(of_alice) == list(range(10_000 - 959, 10_001))
    assert seqs(of_carol) == list(range(1, 41))
    fetched: list[int] = []
    before = gap["to_seq"] + 1
    while before > gap["from_seq"]:
        page = await world.history("bob", "user", "alice", before=before)
        fetched = seqs(page) + fetched
        before = fetched[0]
    assert fetched == list(range(gap["from_seq"], gap["to_seq"] + 1))


async def test_the_replay_goes_by_priority_and_a_cut_in_it_costs_nothing(world: World) -> None:
    alice = await world.connect("alice")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await alice.say("team", "in the group", type="group_message", id="g1")
    await alice.next("ack")
    await talk(alice, "bob", 2)
    await alice.send(
        {"type": "read_receipt", "payload": {"up_to_seq": 2}, "meta": {"target_id": "bob", "id": "r"}}
    )
    await alice.next("ack")
    cut = await world.hello("bob", cursor=0, epoch=world.engine.epoch)
    assert (await cut.next())["type"] == "chat_message"
    await cut.cut()
    bob = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    assert [frame["type"] for frame in bob.replayed] == [
        "chat_message", "chat_message", "group_event", "group_message", "read_receipt",
    ]  # fmt: skip


@pytest.mark.world("alice", "bob", RELAY_LIMITS__MESSAGES_PER_SECOND="0")
async def test_a_replay_ends_with_its_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_off(_socket: WebSocket, _data: bytes) -> None:
        raise trio.BrokenResourceError

    alice = await world.connect("alice")
    await talk(alice, "bob", 600)
    monkeypatch.setattr(WebSocket, "send", break_off)
    with pytest.raises(Closed):
        await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    gc.collect()  # an iterator that was left open warns, which is an error here


@pytest.mark.world("alice", "bob", RELAY_LIMITS__MESSAGES_PER_SECOND="0")
async def test_a_message_sent_during_a_replay_arrives_once_after_it(world: World) -> None:
    alice = await world.connect("alice")
    await talk(alice, "bob", 800)
    bob = await world.hello("bob")
    await bob.say("alice", "mine", id="during")
    await talk(alice, "bob", 5, start=800)
    frames = [await bob.next() for _ in range(1)]
    while frames[-1]["payload"].get("event") != "synced":
        frames.append(await bob.next())
    live = await bob.drain()
    replayed = [frame for frame in frames if frame["meta"].get("replay")]
    assert seqs(replayed) == list(range(1, 801))
    assert "ready" not in {frame["payload"].get("event") for frame in frames}, "it came once, before"
    arrived = [frame["meta"].get("seq") or frame["payload"].get("seq") for frame in live]
    assert sorted(arrived) == list(range(801, 807))
    ids = [frame["meta"].get("message_id") or frame["payload"].get("message_id") for frame in live]
    assert ids == sorted(ids)
    assert [frame["type"] for frame in live].count("ack") == 1


async def test_a_message_that_is_stored_while_a_hello_is_read_arrives_once_after_the_replay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.talk("alice", "bob", 1)
    honest = Greeting.attach

    async def attach(greeting: Greeting, *arguments: Any) -> Any:
        await world.talk("alice", "bob", 2)  # the first of them is stored already
        return await honest(greeting, *arguments)

    monkeypatch.setattr(Greeting, "attach", attach)
    bob = await world.connect("bob")
    assert (seqs(bob.replayed), bob.synced["cursor"]) == ([1], 1)
    assert seqs(await bob.drain()) == [2]


async def test_what_comes_during_a_catch_up_waits_until_it_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await world.connect("bob")
    await world.talk("alice", "bob", 2)
    first, second = [(await bob.next("chat_message"))["meta"]["message_id"] for _ in range(2)]
    queue = world.engine.offline_queue
    honest = queue.frames

    async def frames(*arguments: Any) -> Any:
        await world.talk("alice", "bob", 3)  # of which two are stored already
        async for some in honest(*arguments):
            yield some

    monkeypatch.setattr(queue, "frames", frames)
    for _ in range(2):
        await bob.next("heartbeat")
        await bob.event("heartbeat", cursor=first)
    assert (await bob.next("heartbeat"))["payload"]["behind"]
    told = [await bob.next("chat_message", "synced") for _ in range(3)]
    assert [frame["payload"].get("cursor") or frame["meta"]["message_id"] for frame in told] == [
        second, second, second + 1,
    ]  # fmt: skip


async def test_a_refusal_during_a_replay_is_sent_after_it_and_the_heartbeat_stands_where_it_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.talk("alice", "bob", 2)
    queue = world.engine.offline_queue
    honest = queue.frames

    async def slowly(*arguments: Any) -> Any:
        async for frames in honest(*arguments):
            await trio.sleep(1)
            yield frames

    monkeypatch.setattr(queue, "frames", slowly)
    device = await world.upgrade()
    hello = {"event": "hello", "token": world.tokens["bob"]}
    await device.send({"type": "connection_event", "payload": hello})
    await trio.sleep(0.5)
    await device.send({"type": "connection_event", "payload": {"event": "ack", "cursor": 99}})
    told = [await device.next() for _ in range(5)]
    assert [frame["payload"].get("event") or frame["type"] for frame in told] == [
        "ready", "chat_message", "chat_message", "synced", "error",
    ]  # fmt: skip
    assert (await device.next("heartbeat"))["payload"]["cursor"] == told[3]["payload"]["cursor"] == 2


@pytest.mark.parametrize("step", ["identify", "attach"])
async def test_a_connection_that_ends_in_its_greeting_was_never_there(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    honest = getattr(Greeting, step)

    async def slowly(*arguments: Any) -> Any:
        found = await honest(*arguments)
        await trio.sleep(1)
        return found

    monkeypatch.setattr(Greeting, step, slowly)
    device = await world.upgrade()
    await device.event("hello", token=world.tokens["bob"])
    await trio.sleep(0.5)
    await device.event("goodbye")
    assert (await device.closed()).code == CloseCode.NORMAL
    await trio.sleep(2)
    assert world.engine.connections.of("bob") == {}
    assert not world.engine.tally.starts
    (status,) = await world.engine.presence.statuses("alice", ["bob"])
    assert (status["status"], status["last_seen"]) == ("offline", None)


async def test_a_hello_that_the_disk_does_not_take_is_told_to_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: Any) -> Any:
        raise StorageFailed("the disk is full")

    monkeypatch.setattr(Greeting, "attach", fail)
    device = await world.upgrade()
    await device.event("hello", token=world.tokens["bob"])
    assert (await device.closed()).code == CloseCode.OVERLOADED
    assert world.engine.connections.of("bob") == {}


async def test_a_client_whose_messages_wait_to_be_written_is_not_behind(world: World) -> None:
    bob = await world.connect("bob")
    await world.talk("alice", "bob", 1)
    (connection,) = world.engine.connections.of("bob").values()
    for _ in range(2):
        beat = await bob.next("heartbeat")
        connection.outbox.push(PING_FRAME)
        await bob.event("heartbeat", cursor=beat["payload"]["cursor"] - 1)
    assert "behind" not in (await bob.next("heartbeat"))["payload"]


async def test_a_second_connection_of_a_device_takes_over(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    other = await world.connect("bob", "bob-other")
    newer = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    assert (await bob.closed()).code == 4510
    assert [frame["payload"].get("event") for frame in await other.drain()] == ["device_connected"]
    await other.cut()
    await talk(alice, "bob", 1)
    assert seqs(await newer.drain()) == [1]
    assert world.engine.connections.statistics().connections == 2


async def test_two_devices_live_side_by_side(world: World) -> None:
    alice, one, two = (
        await world.connect("alice"),
        await world.connect("bob", "b1"),
        await world.connect("bob", "b2"),
    )
    await talk(alice, "bob", 1)
    assert seqs(await one.drain()) == seqs(await two.drain()) == [1]


@pytest.mark.world("alice")
async def test_a_token_that_expires_ends_its_connection(world: World) -> None:
    world.tokens["alice"] = await world.engine.runner.write(
        lambda c: accounts.create_token(
            c, "alice", world.engine.now(), origin="login", expires_at=world.engine.now() + 60
        )
    )
    alice = await world.connect("alice")
    assert (await alice.closed()).code == 4501
    assert trio.current_time() < 60 + 2 * world.engine.settings.heartbeat.interval_seconds


@pytest.mark.world("alice")
async def test_the_heartbeat_carries_the_cursor_and_silence_is_closed(world: World) -> None:
    alice = await world.connect("alice")
    alice.answer_pings = False
    began, interval = trio.current_time(), world.engine.settings.heartbeat.interval_seconds
    assert (await alice.next("heartbeat"))["payload"] == {"event": "heartbeat", "cursor": 0}
    assert trio.current_time() - began == pytest.approx(interval, abs=0.02)
    assert (await alice.closed()).code == 4402
    assert trio.current_time() - began == pytest.approx(2 * interval, abs=0.02)


@pytest.mark.world("alice")
async def test_pongs_alone_keep_a_connection_for_a_day(world: World) -> None:
    alice = await world.connect("alice")
    with trio.move_on_after(DAY):
        await alice.closed()
    assert alice.pings >= DAY / world.engine.settings.heartbeat.interval_seconds - 2
    assert world.engine.connections.statistics().connections == 1


async def test_a_client_that_only_reads_a_busy_stream_is_still_asked_for_life(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")

    async def chatter() -> None:
        number = 0
        while True:
            await alice.say("bob", "…", id=f"c{number}")
            await alice.drain()
            number += 1
            await trio.sleep(5)

    world.nursery.start_soon(chatter)
    with trio.move_on_after(600):
        await bob.closed()
    assert bob.pings > 0
    assert world.engine.connections.of("bob")


@pytest.mark.world("alice")
async def test_goodbye_closes_normally(world: World) -> None:
    alice = await world.connect("alice")
    await alice.event("goodbye")
    assert (await alice.closed()).code == 1000


async def test_a_second_hello_is_refused_and_changes_nothing(world: World) -> None:
    alice = await world.connect("alice")
    await alice.event("hello", token=world.tokens["bob"])
    assert (await alice.next("error"))["payload"]["code"] == "bad_envelope"
    (connection,) = world.engine.connections.of("alice").values()
    assert connection.active
    assert world.engine.connections.of("bob") == {}


@pytest.mark.world("alice", RELAY_LIMITS__BAD_FRAMES="3")
async def test_what_is_not_the_protocol_is_answered_then_closed(world: World) -> None:
    alice = await world.connect("alice")
    for _ in range(3):
        await alice.send("{")
    codes = [(await alice.next("error"))["payload"]["code"] for _ in range(3)]
    assert codes == ["bad_json"] * 3
    with trio.fail_after(5):
        assert (await alice.closed()).code == 4505


async def test_refusals_name_the_message_and_the_connection_goes_on(world: World) -> None:
    alice = await world.connect("alice")
    refused = {
        "unknown_type": {"type": "nonsense", "meta": {"target_id": "bob"}},
        "not_found": {"type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": "nobody"}},
        "invalid_payload": {"type": "chat_message", "payload": {"text": "x"}, "meta": {"target_id": "bob"}},
        "bad_envelope": {"type": "chat_message", "payload": {"content": "x"}},
        "forbidden": {"type": "group_event", "payload": {"event": "deleted"}, "meta": {"target_id": "bob"}},
    }
    for code, envelope in refused.items():
        await alice.send(envelope | {"meta": envelope.get("meta", {}) | {"id": code}})
        answer = await alice.next()
        assert (answer["type"], answer["payload"]["code"], answer["meta"]["ref"]) == ("error", code, code)
    await talk(alice, "bob", 1)


async def test_one_id_is_stored_once_whatever_happens_between(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        alice, other = await world.connect("alice"), await world.connect("alice", "alice-2")
        tokens = world.tokens
        for _ in range(25):
            await alice.say("bob", "once", id="same")
            await other.say("bob", "once", id="same")
        acks = [(await device.next("ack"))["payload"] for device in (alice, other) for _ in range(25)]
        assert sorted(ack["duplicate"] for ack in acks) == [False] + [True] * 49
        assert {(ack["message_id"], ack["seq"], ack["timestamp"]) for ack in acks} == {
            (acks[0]["message_id"], 1, acks[0]["timestamp"])
        }
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        alice = await world.connect("alice")
        await alice.say("bob", "once", id="same")
        again = (await alice.next("ack"))["payload"]
        assert again == acks[0] | {"duplicate": True}
        await alice.say("bob", "something else", id="same")
        assert (await alice.next("error"))["payload"]["code"] == "conflict"
        assert len(await world.history("alice", "user", "bob")) == 1


@pytest.mark.world("alice", "bob", RELAY_LIMITS__MESSAGES_PER_SECOND="1", RELAY_LIMITS__MESSAGES_BURST="3")
async def test_a_flood_is_rate_limited_with_the_time_to_wait(world: World) -> None:
    alice = await world.connect("alice")
    for number in range(4):
        await alice.say("bob", "x", id=f"m{number}")
    answers = {(frame := await alice.next())["meta"]["ref"]: frame for _ in range(4)}
    error = answers["m3"]["payload"]
    assert (error["code"], error["retry"]) == ("rate_limited", True)
    await trio.sleep(error["retry_after"])
    await alice.say("bob", "x", id="m3")
    assert (await alice.next())["type"] == "ack"


@pytest.mark.world("alice", "bob", RELAY_LIMITS__QUEUE_MESSAGES="20", RELAY_LIMITS__MESSAGES_PER_SECOND="0")
async def test_a_reader_that_never_reads_is_cut_and_loses_nothing(world: World) -> None:
    alice = await world.connect("alice")
    bob = await world.hello("bob")
    world.engine.connections.of("bob")["bob-1"].socket.hold_outbox()  # type: ignore[attr-defined]
    await talk(alice, "bob", 50)
    assert (await bob.closed()).code == 4403
    back = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    assert seqs(back.replayed) == list(range(1, 51))


async def test_a_client_id_never_changes_on_a_connection(world: World) -> None:
    alice = await world.connect("alice")
    await alice.send(
        {
            "type": "chat_message",
            "payload": {"content": "x"},
            "meta": {"target_id": "bob", "client_id": "z", "id": "i"},
        }
    )
    assert (await alice.next())["payload"]["code"] == "bad_envelope"


async def test_frames_in_the_handshakes_own_packet_are_read(tmp_path: Path) -> None:
    from wsproto.events import TextMessage

    from relay.testing import UPGRADE

    async with open_world(tmp_path, "alice") as world:
        stream = await world.dial()
        device = Device(stream, world.described)
        hello = '{"type":"connection_event","payload":{"event":"hello","token":"%s"}}' % world.tokens["alice"]
        await stream.send_all(UPGRADE + device.frames.send(TextMessage(data=hello)))
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(1)
        assert (await device.next())["payload"]["event"] == "ready"


async def test_a_private_receipt_reaches_only_ones_own_devices(world: World) -> None:
    alice, bob, phone = (
        await world.connect("alice"),
        await world.connect("bob"),
        await world.connect("bob", "bob-phone"),
    )
    await talk(alice, "bob", 2)
    await bob.send(
        {
            "type": "read_receipt",
            "payload": {"up_to_seq": 2, "private": True},
            "meta": {"target_id": "alice", "id": "r"},
        }
    )
    await bob.next("ack")
    assert (await phone.next("read_receipt"))["payload"]["private"] is True
    assert [frame for frame in await alice.drain() if frame["type"] == "read_receipt"] == []
    later = await world.connect("alice", "alice-2", cursor=0, epoch=world.engine.epoch)
    assert [frame for frame in later.replayed if frame["type"] == "read_receipt"] == []


@pytest.mark.world("alice", "bob", "eve")
async def test_a_stranger_and_an_ex_member_find_no_group(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice, bob, eve = [await world.connect(name) for name in ("alice", "bob", "eve")]
    await eve.say("team", "let me in", id="e", type="group_message")
    assert (await eve.next())["payload"]["code"] == "not_found"
    await bob.say("team", "hi", id="b1", type="group_message")
    await bob.next("ack")
    await world.engine.groups.remove_member("alice", "team", "bob")
    assert (await bob.next("group_event"))["payload"] == {"event": "member_removed", "user_id": "bob"}
    await bob.say("team", "still here?", id="b2", type="group_message")
    assert (await bob.next("error"))["payload"]["code"] == "not_found"
    await alice.say("team", "gone", id="a1", type="group_message")
    await alice.next("ack")
    assert await bob.drain() == []
    back = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    assert [frame["type"] for frame in back.replayed] == ["group_event", "group_message", "group_event"]


@pytest.mark.world("alice")
async def test_a_heartbeat_leaves_a_device_active_and_inactive_devices_hear_no_comings(world: World) -> None:
    alice = await world.connect("alice")
    await alice.event("heartbeat", cursor=0)
    await world.connect("alice", "second")
    assert (await alice.next())["payload"]["event"] == "device_connected"
    await alice.event("inactive")
    await world.connect("alice", "third")
    assert await alice.drain() == []
    await alice.event("active")
    await world.connect("alice", "fourth")
    assert (await alice.next())["payload"] == {"event": "device_connected", "client_id": "fourth"}


@pytest.mark.world("alice", "bob", "carol")
async def test_a_fault_of_our_own_is_closed_with_1011_and_costs_nobody_else_anything(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
    honest = world.engine.dispatcher.draft_nowait

    def broken(sender: Any, envelope: Any) -> Any:
        if sender.user_id == "alice":
            raise ZeroDivisionError("a bug")
        return honest(sender, envelope)

    monkeypatch.setattr(world.engine.dispatcher, "draft_nowait", broken)
    await alice.say("bob", "boom", id="boom")
    assert (await alice.closed()).code == 1011
    await trio.sleep(5)
    assert "ZeroDivisionError" in caplog.text
    await talk(bob, "carol", 1)
    assert seqs(await carol.drain()) == [1]


async def test_a_client_that_stands_still_behind_what_it_was_sent_is_told_and_caught_up(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await bob.say("alice", "one")
    await bob.say("alice", "two")
    missed = [(await alice.next("chat_message"))["meta"]["message_id"] for _ in range(2)]
    beat = await alice.next("heartbeat")
    assert beat["payload"] == {"event": "heartbeat", "cursor": missed[1]}
    await alice.event("heartbeat", cursor=missed[0])
    assert (await alice.next("heartbeat"))["payload"]["cursor"] == missed[1]
    await alice.event("heartbeat", cursor=missed[0])
    told = await alice.next("heartbeat")
    assert told["payload"] == {"event": "heartbeat", "cursor": missed[1], "behind": True}
    await bob.say("alice", "three")
    again = await alice.next("chat_message")
    assert (again["payload"]["content"], again["meta"]["replay"]) == ("two", True)
    synced = (await alice.next("synced"))["payload"]
    assert (synced["cursor"], synced["replayed"], synced["gaps"]) == (missed[1], 1, [])
    live = await alice.next("chat_message")
    assert (live["payload"]["content"], "replay" in live["meta"]) == ("three", False)
    await alice.say("bob", "and on")
    assert (await alice.next("ack"))["payload"]["message_id"] > missed[1]
    for _ in range(4):  # it counts in some way of its own: it is left alone from here on
        assert "behind" not in (await alice.next("heartbeat"))["payload"]
        await alice.event("heartbeat", cursor=missed[0])
    assert [frame for frame in await alice.drain() if frame["type"] != "connection_event"] == []


async def test_a_client_that_moves_or_does_not_say_is_left_alone(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    for content in ("one", "two", "three"):
        await bob.say("alice", content)
    ids = [(await alice.next("chat_message"))["meta"]["message_id"] for _ in range(3)]
    for cursor in (ids[0], ids[1], None, None, ids[2], ids[2]):
        assert "behind" not in (await alice.next("heartbeat"))["payload"]
        await alice.event("heartbeat", **({} if cursor is None else {"cursor": cursor}))
    assert await alice.drain() == []
    await alice.event("heartbeat", cursor=99)
    assert (await alice.next("error"))["payload"]["code"] == "invalid_payload"


async def test_a_users_bytes_are_read_at_a_pace_and_refused_to_nobody(tmp_path: Path) -> None:
    limit = {"RELAY_LIMITS__MESSAGE_BYTES_PER_SECOND": "100000"}
    async with open_world(tmp_path, "alice", "bob", "carol", **limit) as world, trio.open_nursery() as nursery:
        devices = [await world.connect("alice", f"alice-{number}") for number in range(2)]
        bob = await world.connect("bob")
        begun = trio.current_time()
        ended: list[float] = []

        async def flood(device: Device, number: int) -> None:
            for count in range(20):
                payload = {"content": "", "extra": {"large": "x" * 60_000}}
                meta = {"target_id": "carol", "id": f"{number}-{count}"}
                await device.send({"type": "chat_message", "payload": payload, "meta": meta})
                while (await device.next("ack", "error"))["meta"].get("ref") != meta["id"]:
                    raise AssertionError("another answer than this one's")
            ended.append(trio.current_time() - begun)

        for number, device in enumerate(devices):
            nursery.start_soon(flood, device, number)
        await trio.sleep(5)
        assert ended == [], "2.4 MB take as long as they may: a mebibyte at once, then 100,000 bytes a second"
        before = trio.current_time()
        await bob.say("carol", "not mine to wait for")
        assert (await bob.next("ack"))["type"] == "ack"
        assert trio.current_time() - before < 0.1
        with trio.fail_after(60):
            while len(ended) < 2:
                await trio.sleep(0.1)
        assert 12 < max(ended) < 15


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "connection_event", "payload": {"event": "active"}},
        {"type": "connection_event", "payload": {"event": "heartbeat"}},
        {"type": "connection_event", "payload": {"event": "ack", "cursor": 1 << 40}},
        {"type": "connection_event", "payload": {"event": 1}},
        {"type": "no_such_type", "payload": {}, "meta": {"target_id": "bob"}},
        {"type": "chat_message", "payload": {"text": "x"}, "meta": {"target_id": "bob"}},
    ],
)
@pytest.mark.world("alice", "bob", RELAY_LIMITS__EVENTS_PER_SECOND="10")
async def test_events_and_refused_messages_without_end_are_read_at_their_rate(
    world: World, frame: dict[str, Any]
) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    began = trio.current_time()
    for _ in range(150):
        await alice.send(frame)
    await alice.say("bob", "after all that", "m-1")
    await bob.say("alice", "not slowed down", "m-2")
    await bob.next("ack")
    assert trio.current_time() - began < 1
    await alice.next("ack")
    assert 5 <= trio.current_time() - began < 6


@pytest.mark.world(RELAY_LIMITS__EVENTS_PER_SECOND="10", RELAY_LIMITS__BAD_FRAMES="0")
async def test_frames_before_the_hello_are_read_at_the_rate_of_their_address(world: World) -> None:
    stranger = await world.upgrade()
    began = trio.current_time()
    for _ in range(150):
        await stranger.send("{")
    for _ in range(150):
        await stranger.next("error")
    assert 4 < trio.current_time() - began < 6
    began = trio.current_time()
    another = await world.upgrade()  # of the same address
    for _ in range(30):
        await another.send("{")
    for _ in range(30):
        await another.next("error")
    assert trio.current_time() - began > 2
