"""Sweeps: the erasure of due messages in small transactions, with pauses in between for other messages."""

import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import trio

from relay.plugin import Server

from .holds import held
from .rules import Due, Messages, Place, Rule

SCHEMA = """
CREATE TABLE retention_runs (
    run_id INTEGER PRIMARY KEY, began_at REAL NOT NULL, ended_at REAL, messages INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
"""
RUNS_KEPT = 1000
FOUND_AT_ONCE = 500
SHORTEST_PAUSE = 0.05
SHARE = 9
"""A pause is this many times as long as the transaction before it: a tenth of the writer's time at most."""

PAGES_AT_ONCE = 100
_INCREMENTAL = 2
_DAY = 86_400.0


class Outcome(msgspec.Struct):
    """The messages that one rule erased, or would erase.

    Attributes:
        bytes: of the messages' payloads.
        file_bytes: of the files they hold, which other messages may hold as well.
        held: how many it would erase if they were not on hold.
    """

    rule: str
    messages: int = 0
    bytes: int = 0
    file_bytes: int = 0
    held: int = 0

    def count(self, due: list[Due], gone: set[int]) -> None:
        """Add the results for some messages that are due by the rule."""
        for one in due:
            if one.message_id not in gone:
                self.held += 1
            else:
                self.messages += 1
                self.bytes += one.size
                self.file_bytes += one.files


class Finder:
    """Finds the messages that are due by one rule at one moment, a few hundred at a time."""

    def __init__(self, server: Server, rule: Rule, at: float) -> None:
        self._server = server
        self._messages = Messages(rule, list(server.message_types.types.values()), at)
        self._place: Place | None = Place()

    async def next(self) -> list[Due]:
        """Return the next due messages; an empty list at the end."""
        due: list[Due] = []
        while self._place is not None and not due:
            look = partial(self._messages.due, place=self._place, limit=FOUND_AT_ONCE)
            due, self._place = await self._server.read(look)
        return due


async def plan(server: Server, rules: dict[str, Rule]) -> list[Outcome]:
    """Return what each rule would erase now; a message that two rules match is counted at both."""
    outcomes = []
    for name, rule in rules.items():
        outcome = Outcome(name)
        finder = Finder(server, rule, server.now())
        while due := await finder.next():
            ids = [one.message_id for one in due]
            outcome.count(due, set(ids) - await server.read(partial(held, message_ids=ids)))
        outcomes.append(outcome)
    return outcomes


async def sweep(server: Server, rules: dict[str, Rule], batch: int) -> list[Outcome]:
    """Erase the messages that are due; an interrupted sweep is begun again and finds the rest."""
    began_at = server.now()
    run_id = await server.write(lambda connection: _begin(connection, began_at))
    outcomes = []
    for name, rule in rules.items():
        outcome = Outcome(name)
        outcomes.append(outcome)
        finder = Finder(server, rule, server.now())
        while due := await finder.next():
            for start in range(0, len(due), batch):
                part, begun = due[start : start + batch], trio.current_time()
                outcome.count(part, set(await server.erase([one.message_id for one in part])))
                await _pause(begun)
    total, size = sum(one.messages for one in outcomes), sum(one.bytes for one in outcomes)
    ended_at = server.now()
    await server.write(lambda connection: _end(connection, run_id, ended_at, total, size))
    if total:
        server.log.info("%d messages erased, %d bytes", total, size)
    await give_back(server)
    return outcomes


async def _pause(begun: float) -> None:
    await trio.sleep(max(SHORTEST_PAUSE, SHARE * (trio.current_time() - begun)))


def _begin(connection: sqlite3.Connection, now: float) -> int:
    run_id = connection.execute("INSERT INTO retention_runs (began_at) VALUES (?)", (now,)).lastrowid or 0
    connection.execute("DELETE FROM retention_runs WHERE run_id <= ?", (run_id - RUNS_KEPT,))
    return run_id


def _end(connection: sqlite3.Connection, run_id: int, now: float, messages: int, size: int) -> None:
    connection.execute(
        "UPDATE retention_runs SET ended_at = ?, messages = ?, bytes = ? WHERE run_id = ?",
        (now, messages, size, run_id),
    )


async def give_back(server: Server) -> None:
    """Return free pages to the file system, if the database was made with auto_vacuum."""
    if await server.read(lambda connection: _pragma(connection, "auto_vacuum")) != _INCREMENTAL:
        return
    while await server.read(lambda connection: _pragma(connection, "freelist_count")):
        begun = trio.current_time()
        await server.write(
            lambda connection: connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        )
        await _pause(begun)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def runs(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the last runs, newest first; one that is running or was interrupted has no end."""
    columns = ("began_at", "ended_at", "messages", "bytes")
    rows = connection.execute(
        f"SELECT {', '.join(columns)} FROM retention_runs ORDER BY run_id DESC LIMIT ?", (limit,)
    )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def last_done(connection: sqlite3.Connection) -> float | None:
    """Return when the last completed run began; None before the first."""
    row = connection.execute("SELECT max(began_at) FROM retention_runs WHERE ended_at IS NOT NULL").fetchone()
    return None if row[0] is None else float(row[0])


def next_run(last: float | None, now: float, at: str, every_minutes: float) -> float:
    """Return when the rules are next to be applied, Unix seconds; a missed time is now.

    Args:
        last: when the last completed run began; None before the first.
        at: the time of the day, UTC, if `every_minutes` is 0.
    """
    if every_minutes:
        return now if last is None else max(now, last + 60 * every_minutes)
    hour, minute = map(int, at.split(":"))
    today = datetime.fromtimestamp(now, UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    newest = today if today.timestamp() <= now else today - timedelta(days=1)
    if last is not None and last < newest.timestamp():
        return now
    return newest.timestamp() + _DAY
