"""What `webhooks` tells of a message, and of what waits."""

from __future__ import annotations

from typing import Any

import trio

from tests.plugins.webhooks.conftest import Run, Webhooks
from tests.plugins.webhooks.receiver import failing


async def told(webhooks: Webhooks, message_id: int) -> list[Any]:
    engine = webhooks.world.engine
    found = await engine.tracing.trace(message_id, engine.router.position)
    return [event for event in found.events if event.plugin == "webhooks"]


async def test_taken_and_not_taken(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as server:
        hook_id, receiver = await server.hook()
        alice = await server.world.connect("alice")
        (taken,) = await server.say(alice, "bob", "Lunch?")
        await trio.sleep(3)
        (event,) = await told(server, taken)
        assert event.what == "webhook_delivered"
        assert event.text == f"webhook {hook_id} at receiver took it, with status 204, at attempt 1."
        receiver.behaviour = failing(100, status=503)
        (refused,) = await server.say(alice, "bob", "Dinner?")
        await trio.sleep(3)
        events = await told(server, refused)
        assert {event.what for event in events} == {"webhook_failed", "webhook_waits"}
        (queue,) = await server.world.engine.diagnosis.queues()
        assert (queue.plugin, queue.name, queue.waiting, queue.failing) == ("webhooks", hook_id, 1, 1)


async def test_a_paused_webhook_and_one_that_the_message_is_not_for(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as server:
        await server.hook("other", type=["group_message"])
        hook_id, _ = await server.hook()
        await server.command("pause", hook_id=hook_id)
        alice = await server.world.connect("alice")
        (waits,) = await server.say(alice, "bob", "Lunch?")
        await trio.sleep(3)
        (event,) = await told(server, waits)
        assert event.text == f"It waits for webhook {hook_id} at receiver, which is paused."
