"""The audit log in the database: its conversation, the index of its entries, and what protects them.

Its entries are messages of the type `audit_event` in a conversation of the server's own, which has no members. An
index beside the log finds them by act, by who did it and by what it is about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

TYPE: Final = "audit_event"
ADDRESS: Final = "self:*"
"""The address of the server's own channel: users have `self:USER`, and no user is called `*`."""

_SMALL: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
"""What SQLite's lower() does: it knows ASCII letters only."""

_HERE: Final = f"(SELECT channel_id FROM channels WHERE address = '{ADDRESS}')"


class Indexed(NamedTuple):
    """The fields that an entry is found by; None for the operator, and for an act about nothing."""

    act: str
    by: str | None
    kind: str | None
    about: str | None


class Found(NamedTuple):
    """An entry as it is read; `at` in Unix seconds."""

    message_id: int
    seq: int
    at: float
    payload: dict[str, Any]


class Wanted(NamedTuple):
    """A choice of entries; None means any.

    Attributes:
        act: an act, or the first word of several: `user` for all `user.…`.
        text: is somewhere in the entry; the case of ASCII letters makes no difference.
        before, after: `message_id`s between which the entries are; neither is among them.
    """

    act: str | None = None
    by: str | None = None
    kind: str | None = None
    about: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    after: int | None = None


def channel_of(connection: sqlite3.Connection) -> int:
    """Return the id of the server's own channel."""
    return int(connection.execute(f"SELECT {_HERE}").fetchone()[0])


def index(connection: sqlite3.Connection, message_id: int, entry: Indexed, at: float) -> None:
    """Store what an entry is found by."""
    connection.execute(
        "INSERT INTO audit_entries (message_id, act, by, kind, about, at) VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, *entry, at),
    )


def find(connection: sqlite3.Connection, wanted: Wanted, limit: int) -> list[Found]:
    """Return entries, newest first; with `after` oldest first."""
    conditions, values = _conditions(wanted)
    order = "ASC" if wanted.after is not None and wanted.before is None else "DESC"
    rows = connection.execute(
        "SELECT a.message_id, l.seq, a.at, l.payload FROM audit_entries a JOIN log l USING (message_id)"
        f" WHERE l.payload IS NOT NULL{conditions} ORDER BY a.message_id {order} LIMIT ?",
        (*values, limit),
    )
    return [Found(message_id, seq, at, msgspec.json.decode(payload)) for message_id, seq, at, payload in rows]


def _conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    text = None if wanted.text is None else wanted.text.translate(_SMALL)
    compared = (
        ("a.by = ?", wanted.by),
        ("a.kind = ?", wanted.kind),
        ("a.about = ?", wanted.about),
        ("instr(lower(l.payload), ?) > 0", text),
        ("a.at >= ?", wanted.since),
        ("a.at < ?", wanted.until),
        ("a.message_id < ?", wanted.before),
        ("a.message_id > ?", wanted.after),
    )
    given = [(condition, value) for condition, value in compared if value is not None]
    conditions, values = [condition for condition, _ in given], [value for _, value in given]
    if wanted.act is not None:
        conditions.append("(a.act = ? OR a.act > ? AND a.act < ?)")  # `user` has `user.…` behind it
        values += [wanted.act, f"{wanted.act}.", f"{wanted.act}/"]
    return "".join(f" AND {condition}" for condition in conditions), values


def due(connection: sqlite3.Connection, before: float, limit: int) -> list[int]:
    """Return entries that are older than a moment, Unix seconds, the oldest first."""
    rows = connection.execute(
        "SELECT message_id FROM audit_entries WHERE at < ? ORDER BY at, message_id LIMIT ?", (before, limit)
    )
    return [row[0] for row in rows]


def forget(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete entries from the index."""
    connection.executemany("DELETE FROM audit_entries WHERE message_id = ?", [(one,) for one in message_ids])


def among(connection: sqlite3.Connection, message_ids: Sequence[int]) -> set[int]:
    """Return which of some messages are in the audit log: nothing but its own retention changes them."""
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT message_id FROM log WHERE message_id IN ({marks}) AND channel_id = {_HERE}", tuple(message_ids)
    )
    return {row[0] for row in rows}
