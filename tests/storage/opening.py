"""A database file on disk, open, and one small thing to put into it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from relay.storage.database import open_runner
from relay.storage.jobs import Runner
from relay.testing.world import make_database

Note = Callable[[sqlite3.Connection], int]


@asynccontextmanager
async def opened(
    folder: Path, *, inline: bool = False, rollbacks: list[int] | None = None, recorded: bool = False
) -> AsyncIterator[Runner]:
    def count() -> None:
        if rollbacks is not None:
            rollbacks.append(1)

    if not folder.exists():
        folder.mkdir()
        make_database(folder / "relay.db")
    place = folder / "relay.db"
    async with open_runner(place, inline=inline, readers=2, recorded=recorded, on_rollback=count) as runner:
        yield runner


def note(text: str) -> Note:
    return lambda connection: connection.execute("INSERT INTO facts VALUES (?, 1)", (text,)).rowcount


async def notes(runner: Runner) -> set[str]:
    found = await runner.read(lambda connection: connection.execute("SELECT name FROM facts").fetchall())
    return {row[0] for row in found} - {"epoch", "created_at", "high_water", "running"}
