"""Saying and searching, as a user does, and the plugin's modules and tables."""

import importlib
import sqlite3
import sys
from typing import Any
from urllib.parse import quote

from relay.engine.discovery import bundled_directory, in_directory
from relay.testing import Device, World


def load() -> None:
    """Load the plugin, so that its modules can be imported."""
    sys.modules.get("relay_plugin_search") or in_directory(bundled_directory(), "bundled")["search"].load()


def module(name: str = "") -> Any:
    """Return a module of the plugin as it is loaded now: another test may have loaded the plugin anew."""
    load()
    return importlib.import_module(f"relay_plugin_search{name}")


def progress() -> Any:
    """Return the module that has new messages wait to be indexed."""
    return module(".progress")


def tables() -> sqlite3.Connection:
    """Return an empty database with the plugin's tables."""
    connection = sqlite3.connect(":memory:")
    for step in module().relay_migrations():
        if callable(step.sql):
            step.sql(connection)
        else:
            connection.executescript(step.sql)
    return connection


async def ask(world: World, user: str, q: str, /, **more: Any) -> Any:
    query = {"q": q, **more}
    return await world.rest(
        "GET", "/api/search?" + "&".join(f"{k}={quote(str(v))}" for k, v in query.items()), user
    )


async def found(world: World, user: str, q: str, /, **more: Any) -> list[str]:
    answer = await ask(world, user, q, **more)
    assert answer.status == 200, answer.body
    return [one["message"]["payload"]["content"] for one in answer.body["results"]]


async def say(device: Device, target: str, *texts: str) -> list[int]:
    ids = []
    for text in texts:
        answer = await device.request("chat_message", {"content": text}, target)
        ids.append(answer["payload"]["message_id"])
    return ids
