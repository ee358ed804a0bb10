"""A plugin that fails in every way that it can, when a message's text asks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import trio

from relay.plugin import Draft, Entry, MessageHook, Server, hookimpl

MARK = "!plugin-"
"""What a text begins with that asks for a failure; then come its place and its way."""


def _asked(text: Any, place: str) -> str:
    """Return how to fail in a place; "" for not at all."""
    start = f"{MARK}{place}-"
    return text.removeprefix(start).partition(" ")[0] if isinstance(text, str) and text.startswith(start) else ""


async def before(draft: Draft) -> Any:
    """Fail before the message is stored."""
    way = _asked(getattr(draft.payload, "content", None), "before")
    if way == "raise":
        raise RuntimeError("as the message asked")
    if way == "slow":
        await trio.sleep(1.5)
    if way == "hang":
        await trio.sleep_forever()
    return object() if way == "junk" else None


def stored(_server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> Any:
    """Fail in the transaction, with writes of its own in it."""
    for entry in entries:
        text = entry.payload
        if f"{MARK}stored-raise" in text:
            connection.execute("INSERT INTO facts (name, value) VALUES ('misbehaved', 1)")
            raise RuntimeError("as the message asked")
        if f"{MARK}stored-sql" in text:
            connection.execute("SELECT nothing FROM nowhere")
        if f"{MARK}stored-ends" in text:
            connection.execute("ROLLBACK")
    return object()


async def committed(_server: Server, entry: Entry) -> Any:
    """Fail after the commit."""
    if f"{MARK}committed-raise" in entry.payload:
        raise RuntimeError("as the message asked")
    if f"{MARK}committed-hang" in entry.payload:
        await trio.sleep_forever()
    return object()


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Register the ways to fail."""
    types = frozenset({"chat_message", "group_message"})
    return [MessageHook(types=types, before=before, stored=stored, committed=committed)]
