"""The inbox of a connection: messages keep their order, and no more are read than may wait."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.storage.errors import StorageFailed
from relay.testing import World


async def test_messages_behind_a_hello_are_taken_in_order(world: World) -> None:
    device = await world.upgrade()
    hello = {"event": "hello", "token": world.tokens["alice"]}
    await device.send({"type": "connection_event", "payload": hello, "meta": {"client_id": "a"}})
    for number in range(5):
        await device.say("bob", f"{number}", id=f"m{number}")
    acks = [await device.next("ack") for _ in range(5)]
    assert [ack["meta"]["ref"] for ack in acks] == [f"m{number}" for number in range(5)]
    assert [ack["payload"]["seq"] for ack in acks] == [1, 2, 3, 4, 5]


async def test_messages_sent_at_any_time_during_a_greeting_are_stored_in_their_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await world.connect("alice", "phone")
    await phone.request("chat_message", {"content": "x"}, "bob")  # the conversation is in memory from here on
    await world.talk("bob", "alice", 300)
    queue = world.engine.offline_queue
    honest = queue.frames

    async def slowly(*arguments: Any) -> Any:
        async for frames in honest(*arguments):
            yield frames
            await trio.sleep(1)

    monkeypatch.setattr(queue, "frames", slowly)
    alice = await world.upgrade()
    hello = {"event": "hello", "token": world.tokens["alice"]}
    await alice.send({"type": "connection_event", "payload": hello})
    for number in range(20):
        await alice.say("bob", f"{number}", id=f"m{number}")
        await trio.sleep(0.002)
    assert (await alice.next("ready"))["payload"]["user_id"] == "alice"
    refs = [(await alice.next("ack"))["meta"]["ref"] for _ in range(20)]
    assert refs == [f"m{number}" for number in range(20)]
    said = [message["payload"]["content"] for message in await world.history("alice", "user", "bob")]
    assert said[-20:] == [f"{number}" for number in range(20)]


@pytest.mark.world("alice", "bob", "carol")
async def test_a_message_that_needs_no_wait_stays_behind_one_that_does_and_behind_one_that_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.connect("alice")
    await alice.request("chat_message", {"content": "x"}, "bob")  # the conversation is in memory from here on
    dispatcher = world.engine.dispatcher
    honest = dispatcher.draft

    async def slowly(sender: Any, envelope: Any) -> Any:
        await trio.sleep(1)
        return await honest(sender, envelope)

    monkeypatch.setattr(dispatcher, "draft", slowly)
    for target, id in (("nobody", "refused"), ("carol", "waits"), ("bob", "quick")):
        await alice.say(target, "text", id)
        await trio.sleep(0.3)
    with trio.fail_after(10):
        answers = [await alice.next("ack", "error") for _ in range(3)]
    assert [(answer["type"], answer["meta"]["ref"]) for answer in answers] == [
        ("error", "refused"), ("ack", "waits"), ("ack", "quick"),
    ]  # fmt: skip
    (connection,) = world.engine.connections.of("alice").values()
    assert connection.in_flight == 0


@pytest.mark.world("alice", "bob", RELAY_LIMITS__MESSAGES_PER_SECOND="0", RELAY_LIMITS__IN_FLIGHT="0")
async def test_no_more_than_256_messages_wait_for_a_slow_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.connect("alice")
    dispatcher = world.engine.dispatcher
    honest, asked = dispatcher.draft, trio.Event()

    async def slow(sender: Any, envelope: Any) -> Any:
        await asked.wait()
        return await honest(sender, envelope)

    monkeypatch.setattr(dispatcher, "draft_nowait", lambda _sender, _envelope: None)
    monkeypatch.setattr(dispatcher, "draft", slow)
    for number in range(600):
        await alice.say("bob", f"{number}", f"m{number}")
    await trio.sleep(1)
    (connection,) = world.engine.connections.of("alice").values()
    socket: Any = connection.socket
    read = len(socket._receiver._inbox._waiting)
    asked.set()
    assert read == 256
    refs = {(await alice.next("ack"))["meta"]["ref"] for _ in range(600)}
    assert len(refs) == 600


async def test_a_message_whose_conversation_cannot_be_read_is_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_sender: Any, _envelope: Any) -> Any:
        raise StorageFailed("the disk fails")

    alice = await world.connect("alice")
    monkeypatch.setattr(world.engine.dispatcher, "draft", fail)
    with trio.fail_after(10):
        answer = await alice.request("chat_message", {"content": "x"}, "bob")
    assert (answer["payload"]["code"], answer["payload"]["retry"]) == ("overloaded", True)


@pytest.mark.world("alice", "bob", RELAY_LIMITS__IN_FLIGHT="2")
async def test_no_more_is_read_than_may_be_in_flight(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await world.connect("alice")
    await alice.request("chat_message", {"content": "x"}, "bob")  # the conversation is in memory from here on
    runner = world.engine.runner
    honest, go = runner.write, trio.Event()

    async def held_up(job: Any, **more: Any) -> Any:
        await go.wait()
        return await honest(job, **more)

    monkeypatch.setattr(runner, "write", held_up)
    for number in range(6):
        await alice.say("bob", f"{number}", f"{number}")
    await trio.sleep(5)
    (connection,) = world.engine.connections.of("alice").values()
    assert connection.in_flight == 2
    go.set()
    assert [(await alice.next("ack"))["meta"]["ref"] for _ in range(6)] == [f"{number}" for number in range(6)]
