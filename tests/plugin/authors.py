"""A world with plugins that a test writes, and devices that use them."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.testing import Device, World
from relay.testing import world as open_world

HEAD = """
from typing import Any
import trio
from relay.plugin import Draft, ErrorCode, Kind, MessageType, Payload, RelayError, Unchanged, hookimpl

class P(Payload):
    n: int = 0
    extra: dict[str, Any] | None = None
    content: str | None = None

def made(**more: Any) -> list[MessageType]:
    return [MessageType(**{"name": "t", "payload": P, "kind": Kind.STREAM} | more)]
"""


def write(folder: Path, name: str, code: str) -> Path:
    """Drop a plugin into a directory."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(HEAD + textwrap.dedent(code))
    return path


def returning(arguments: str) -> str:
    """Return the end of a plugin that adds the type `t` with these arguments."""
    return f"\n@hookimpl\ndef relay_message_types(options: dict[str, Any]) -> list[MessageType]:\n    return made({arguments})\n"


@asynccontextmanager
async def plugged(
    folder: Path, code: str, arguments: str = "", *users: str, **environ: str
) -> AsyncIterator[tuple[World, Device, Device]]:
    """Run a server with one plugin, and alice and bob connected to it."""
    plugins = folder / "plugins"
    write(plugins, "mine", textwrap.dedent(code) + returning(arguments))
    async with open_world(
        folder, "alice", "bob", *users, RELAY_PLUGINS__DIRECTORIES=f'["{plugins}"]', **environ
    ) as world:
        assert world.engine.registry.broken == []
        yield world, await world.connect("alice"), await world.connect("bob")


async def send(device: Device, own_id: str, type_: str = "t", target: str = "bob", **payload: Any) -> None:
    """Send one message of a type."""
    await device.send({"type": type_, "payload": payload, "meta": {"target_id": target, "id": own_id}})


async def answers(device: Device, count: int) -> dict[str, Any]:
    """Return by own id what each message was answered: "ack", or the code of its error."""
    found = {}
    for _ in range(count):
        frame = await device.next("ack", "error")
        found[frame["meta"]["ref"]] = "ack" if frame["type"] == "ack" else frame["payload"]["code"]
    return found
