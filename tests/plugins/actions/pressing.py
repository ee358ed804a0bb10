"""A group in which bob asks with actions and the others answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from relay.testing import Device, RelayWorld, World

APPROVE = {"type": "button", "id": "approve", "label": "Approve", "style": "primary"}
REJECT = {"type": "button", "id": "reject", "label": "Reject", "style": "danger", "confirm": "Really?"}
BOTH = {"elements": [APPROVE, REJECT]}


@asynccontextmanager
async def with_team(
    relay_world: RelayWorld, **environ: str
) -> AsyncIterator[tuple[World, Device, Device, Device]]:
    """Run a server with alice (who owns the team), bob and carol, all connected."""
    async with relay_world(None, "alice", "bob", "carol", **environ) as world:
        await world.engine.groups.create("alice", "The team", ["bob", "carol"], "team")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        yield world, alice, bob, carol
        guard = world.engine.registry.guard("actions")
        assert guard is not None
        assert guard.failures == 0, guard.last


async def ask(device: Device, actions: dict[str, Any], target: str = "team", **more: Any) -> int:
    """Send a message with actions, and return its id."""
    acked = await device.request("group_message", {"content": "May I?", "actions": actions, **more}, target)
    assert acked["type"] == "ack", acked
    return int(acked["payload"]["message_id"])


async def press(device: Device, message_id: int, action: str, **more: Any) -> dict[str, Any]:
    """Answer an action, and return what the ack or the error says."""
    options = {name: more.pop(name) for name in ("id", "copies") if name in more}
    payload = {"message_id": message_id, "action": action, **more}
    return (await device.request("action", payload, **options))["payload"]


async def newest(device: Device, type_: str) -> dict[str, Any]:
    """Return the payload of the newest message of a type that has come or comes soon."""
    frame = await device.next(type_)
    for later in await device.drain():
        frame = later if later["type"] == type_ else frame
    return dict(frame["payload"])
