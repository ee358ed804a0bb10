"""This plugin's part of a trace, and what its rules will erase in days to come."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial

import trio

from relay.plugin import Freed, Server, TracedMessage, TraceNote

from .holds import held
from .rules import Rule
from .sweep import Finder, Outcome

_SECONDS = 2.0
"""How long the rules are looked through for one answer; what was not reached by then is left out of the sum."""

_DAY = 86_400.0


def trace(
    _server: Server, connection: sqlite3.Connection, message: TracedMessage, _user_ids: Sequence[str]
) -> Iterator[TraceNote]:
    """Yield the run of the rules in which a message was erased, and whether a hold keeps it."""
    if message.seq is None:
        return
    if message.deleted_at is not None:
        row = connection.execute(
            "SELECT began_at, messages FROM retention_runs WHERE began_at <= ? AND coalesce(ended_at, ?) >= ?"
            " ORDER BY run_id DESC LIMIT 1",
            (message.deleted_at,) * 3,
        ).fetchone()
        if row is not None:
            text = f"A run of the retention rules went on at that time; it erased {row[1]} messages."
            yield TraceNote(what="retention_run", text=text, at=row[0])
    elif held(connection, [message.message_id]):
        text = "It is on legal hold: nothing erases or edits it."
        yield TraceNote(what="on_hold", text=text)


async def frees(rules: dict[str, Rule], server: Server, days: float) -> list[Freed]:
    """Return what each rule will erase within some days of what is stored now."""
    until, found = trio.current_time() + _SECONDS, []
    for name, rule in rules.items():
        outcome, finder, whole = Outcome(name), Finder(server, rule, server.now() + days * _DAY), True
        while due := await finder.next():
            ids = [one.message_id for one in due]
            outcome.count(due, set(ids) - await server.read(partial(held, message_ids=ids)))
            if trio.current_time() > until:
                whole = False
                break
        size = outcome.bytes + outcome.file_bytes
        found.append(Freed(rule=name, messages=outcome.messages, bytes=size, whole=whole))
    return found
