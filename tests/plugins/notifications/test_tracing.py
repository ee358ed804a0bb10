"""What `notifications` tells of a message: pushed, taken back, refused, kept back, and why."""

from __future__ import annotations

from typing import Any

import trio

from relay.testing import World
from relay.testing.world import EPOCH
from tests.plugins.notifications.conftest import SOON, Notifying
from tests.plugins.notifications.receivers import Reply


async def told(world: World, message_id: int, user: str = "bob") -> list[Any]:
    """Return the notes of this plugin on one message and user."""
    engine = world.engine
    found = await engine.tracing.trace(message_id, engine.router.position, user=user)
    return [note for note in found.recipients[0].notes if note.plugin == "notifications"]


async def test_pushed_and_taken_back(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        ack = await town.say("alice", "bob", "Lunch?")
        await trio.sleep(1)
        (note,) = await told(town.world, ack["message_id"])
        assert (note.what, note.text) == ("push_waits", "It is pushed if bob does not read it at a device before.")
        await trio.sleep(SOON)
        (note,) = await told(town.world, ack["message_id"])
        assert (note.what, note.text) == ("pushed", "A notification of it was taken by ntfy at ntfy.example.")
        assert EPOCH < note.at <= EPOCH + trio.current_time()
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(3)
        assert [note.what for note in await told(town.world, ack["message_id"])] == ["pushed", "withdrawn"]


async def test_each_message_of_a_conversation_has_its_own(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        first = await town.say("alice", "bob", "one")
        await trio.sleep(SOON)
        second = await town.say("alice", "bob", "two")
        await trio.sleep(SOON)
        assert [note.what for note in await told(town.world, first["message_id"])] == ["pushed", "pushed"]
        assert [note.what for note in await told(town.world, second["message_id"])] == ["pushed"]
        assert await told(town.world, second["message_id"], "alice") == []


async def test_a_muted_conversation(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.rest("PUT", "/api/push/muted/alice", "bob", 204, mentions=False)
        ack = await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        (note,) = await told(town.world, ack["message_id"])
        assert (note.what, note.at) == ("muted", None)


async def test_who_has_no_place_and_one_that_fails(notifying: Notifying) -> None:
    async with notifying() as town:
        ack = await town.say("alice", "bob", "Lunch?")
        (note,) = await told(town.world, ack["message_id"])
        assert note.what == "no_target"
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(503)] * 9
        ack = await town.say("alice", "bob", "Dinner?")
        await trio.sleep(SOON)
        (note,) = await told(town.world, ack["message_id"])
        assert note.what == "push_fails"
        assert "'ntfy.example' answered 503" in note.text
        (queue,) = await town.world.engine.diagnosis.queues()
        assert (queue.plugin, queue.name, queue.failing) == ("notifications", "push", 1)


async def test_nothing_of_it_stays_with_an_account_that_is_erased(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        await town.world.engine.leaving.erase("bob")

        def count(connection: Any) -> int:
            return int(connection.execute("SELECT count(*) FROM notifications_sent").fetchone()[0])

        assert await town.world.engine.runner.read(count) == 0
