"""A world with bots in it, made as an operator makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from relay.app.plugin_admin import run_command
from relay.testing import Device, RelayWorld, World

ON = {"RELAY_PLUGINS__ALSO": "bots"}
ROLL = {"name": "roll", "description": "Roll dice", "usage": "2d6"}
HELP = {"name": "help", "description": "What there is"}
SECRET = {"name": "secret", "description": "Something for you alone", "private": True}


async def bot(world: World, name: str, *commands: dict[str, Any], **options: Any) -> Device:
    """Add a bot with commands, connected."""
    world.tokens[name] = await run_command(world.engine, "bot add", {"name": name, **options})
    device = await world.connect(name)
    answer = await device.request("bot_commands", {"commands": list(commands)})
    assert answer["type"] == "ack", answer
    return device


@asynccontextmanager
async def with_dice(relay_world: RelayWorld, *users: str, **environ: str) -> AsyncIterator[tuple[World, Device]]:
    """Run a server with alice, bob, carol, their team, and the bot dice, which is in none of their conversations."""
    async with relay_world(None, "alice", "bob", "carol", *users, **ON | environ) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        yield world, await bot(world, "dice", ROLL, SECRET)
        guard = world.engine.registry.guard("bots")
        assert guard is not None
        assert guard.failures == 0, guard.last


async def invoke(device: Device, target: str, command: str, text: str = "", **more: Any) -> dict[str, Any]:
    """Invoke a command and return what the ack or the error says."""
    payload = {"command": command} | ({"text": text} if text else {})
    return (await device.request("slash_command", payload, target, **more))["payload"]


async def answer(
    device: Device, invocation: int, content: str, id: str | None = None, **more: Any
) -> dict[str, Any]:
    """Answer an invocation and return what the ack or the error says."""
    payload = {"invocation": invocation, "content": content, **more}
    return (await device.request("slash_response", payload, id=id))["payload"]


async def types(device: Device, *wanted: str) -> list[dict[str, Any]]:
    """Return what has come of some types."""
    return [frame for frame in await device.drain() if frame["type"] in wanted]
