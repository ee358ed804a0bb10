"""A server with the plugin, and receivers that it posts to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.engine.discovery import bundled_directory, in_directory
from relay.testing import Device, RelayWorld, World
from relay.testing import world as open_world
from tests.plugins.webhooks.receiver import Receiver, Receivers

BOSS = "boss"

if "relay_plugin_webhooks" not in sys.modules:  # for tests that ask a module of the plugin without a server
    in_directory(bundled_directory(), "bundled")["webhooks"].load()


class Webhooks:
    """A running server, its receivers, and the commands of the plugin."""

    def __init__(self, world: World, receivers: Receivers) -> None:
        self.world = world
        self.receivers = receivers

    async def command(self, name: str, /, **arguments: Any) -> Any:
        return await run_command(self.world.engine, f"webhook {name}", arguments)

    async def hook(self, host: str = "receiver", **options: Any) -> tuple[str, Receiver]:
        """Add a webhook to a host, and return its id and the receiver."""
        made = await self.command("add", url=f"http://{host}/in", **options)
        return made.hook_id, self.receivers[host]

    async def rest(self, method: str, path: str, user: str = BOSS, **given: Any) -> Any:
        return await self.world.rest(method, path, user, **given)

    async def say(self, device: Device, target: str, *texts: str, type: str = "chat_message") -> list[int]:
        ids = []
        for text in texts:
            answer = await device.request(type, {"content": text}, target)
            assert answer["type"] == "ack", answer
            ids.append(answer["payload"]["message_id"])
        return ids


Run = Callable[..., AbstractAsyncContextManager[Webhooks]]


@pytest.fixture
def webhooks(tmp_path: Path, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a test `webhooks(*users, **options)`: a server, on the same database and network at each call.

    `relay_world` is asked for its virtual time.
    """
    receivers = Receivers()
    monkeypatch.setattr(httpcore, "TrioBackend", lambda: receivers)
    tokens: dict[str, str] = {}

    @asynccontextmanager
    async def run(*users: str, on: bool = True, **options: Any) -> AsyncIterator[Webhooks]:
        environ = {"RELAY_PLUGINS__ALSO": '["webhooks"]' if on else "[]", "RELAY_PLUGINS__DIRECTORIES": "[]"}
        environ |= {f"RELAY_PLUGINS__WEBHOOKS__{name.upper()}": toml(value) for name, value in options.items()}
        async with trio.open_nursery() as receivers.nursery:
            async with open_world(tmp_path, *users, **environ) as world:
                assert world.engine.registry.broken == []
                if not tokens:
                    await world.user(BOSS)
                    await world.engine.runner.write(make_admin)
                tokens.update(world.tokens)
                world.tokens |= tokens
                yield Webhooks(world, receivers)
            receivers.nursery.cancel_scope.cancel()

    return run


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def make_admin(connection: Any) -> None:
    connection.execute("UPDATE users SET role = 'admin' WHERE user_id = ?", (BOSS,))
