"""This plugin's part of a trace, and what waits in it; the newest of what was sent is in `notifications_sent`."""

import sqlite3
from collections.abc import Iterator, Sequence

from relay.plugin import QueueState, Server, TracedMessage, TraceNote

from . import targets
from .preferences import is_quiet, muted
from .targets import ACTIVE, GIVEN_UP, Target

SCHEMA = """
CREATE TABLE notifications_sent (
    sent_id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, channel_id INTEGER NOT NULL, target_id TEXT NOT NULL,
    from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, what TEXT NOT NULL, place TEXT NOT NULL, at REAL NOT NULL,
    error TEXT
);
CREATE INDEX notifications_sent_to ON notifications_sent(user_id, channel_id);
"""
KEPT = 50_000
"""The newest so many that were sent are remembered, of all users together."""

_SHOWN_ROWS = 50
_WORDS = {
    "pushed": "A notification of it was taken by {place}.",
    "withdrawn": "The notification of it was taken back at {place}.",
    "quiet": "It was not pushed to {place}: {user} was at a device, or it was too old by then.",
    "refused": "{place} refused the notification of it: {error}.",
}


def note_sent(
    connection: sqlite3.Connection,
    target: Target,
    channel_id: int,
    seqs: tuple[int, int] | None,
    what: str,
    at: float,
    error: str | None = None,
) -> None:
    """Remember what was sent to a target, and forget the oldest of all.

    Args:
        seqs: the first and the last message that it is about; None for those of the newest one sent there.
    """
    if seqs is None:
        seqs = connection.execute(
            "SELECT from_seq, to_seq FROM notifications_sent WHERE user_id = ? AND channel_id = ?"
            " AND target_id = ? ORDER BY sent_id DESC LIMIT 1",
            (target.user_id, channel_id, target.target_id),
        ).fetchone()
        if seqs is None:
            return
    place = f"{target.kind} at {target.host}"
    sent_id = connection.execute(
        "INSERT INTO notifications_sent (user_id, channel_id, target_id, from_seq, to_seq, what, place, at, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (target.user_id, channel_id, target.target_id, *seqs, what, place, at, error),
    ).lastrowid
    connection.execute("DELETE FROM notifications_sent WHERE sent_id <= ?", ((sent_id or 0) - KEPT,))


def trace(
    server: Server, connection: sqlite3.Connection, message: TracedMessage, user_ids: Sequence[str]
) -> Iterator[TraceNote]:
    """Yield what was pushed of a message to some users, or what keeps it back."""
    if message.seq is None:
        return
    for user_id in user_ids:
        if user_id != message.sender_id:
            yield from _sent(connection, message, user_id)
            yield from _pending(connection, message, user_id)
            yield from _settings(connection, message, user_id, server.now())
            yield from _failing(connection, user_id)


def _sent(connection: sqlite3.Connection, message: TracedMessage, user_id: str) -> Iterator[TraceNote]:
    rows = connection.execute(
        "SELECT what, place, at, error FROM notifications_sent WHERE user_id = ? AND channel_id = ?"
        " AND from_seq <= ? AND to_seq >= ? ORDER BY sent_id LIMIT ?",
        (user_id, message.channel_id, message.seq, message.seq, _SHOWN_ROWS),
    )
    for what, place, at, error in rows:
        text = _WORDS[what].format(place=place, user=user_id, error=error)
        yield TraceNote(what=what, text=text, user_id=user_id, at=at)


def _pending(connection: sqlite3.Connection, message: TracedMessage, user_id: str) -> Iterator[TraceNote]:
    row = connection.execute(
        "SELECT due_at FROM notifications_conversations WHERE user_id = ? AND channel_id = ?"
        " AND pending_from <= ? AND pending_to >= ?",
        (user_id, message.channel_id, message.seq, message.seq),
    ).fetchone()
    if row is not None:
        text = f"It is pushed if {user_id} does not read it at a device before."
        yield TraceNote(what="push_waits", text=text, user_id=user_id, at=row[0])


def _settings(
    connection: sqlite3.Connection, message: TracedMessage, user_id: str, now: float
) -> Iterator[TraceNote]:
    """Yield what a user has set that keeps notifications back now."""
    silence = muted(connection, user_id, message.address, now)
    if silence is not None:
        how = " but for mentions" if silence.mentions else ""
        text = f"{user_id} has muted this conversation{how}: nothing of it is pushed."
        yield TraceNote(what="muted", text=text, user_id=user_id, at=silence.until)
    if is_quiet(connection, user_id, now):
        yield TraceNote(
            what="quiet_hours", text=f"{user_id} wants no notifications at this hour.", user_id=user_id
        )


def _failing(connection: sqlite3.Connection, user_id: str) -> Iterator[TraceNote]:
    owned = targets.list_of(connection, user_id)
    if not any(target.state == ACTIVE for target in owned):
        text = f"{user_id} has no place to which notifications are pushed."
        yield TraceNote(what="no_target", text=text, user_id=user_id)
    for target in owned:
        place = f"{target.kind} at {target.host}"
        if target.state == GIVEN_UP:
            text = f"{place} was given up, as it failed for too long: {target.last_error}."
            yield TraceNote(what="given_up", text=text, user_id=user_id, at=target.failing_since)
        elif target.failures:
            text = f"{place} has failed {target.failures} times, and is tried again: {target.last_error}."
            yield TraceNote(what="push_fails", text=text, user_id=user_id, at=target.failing_since)


def queues(_server: Server, connection: sqlite3.Connection) -> Iterator[QueueState]:
    """Yield the conversations of users that wait to be pushed, and the places that fail."""
    waiting, oldest = connection.execute(
        "SELECT count(*), min(due_at) FROM notifications_conversations WHERE pending_from IS NOT NULL"
    ).fetchone()
    failing, error = connection.execute(
        "SELECT count(*), max(last_error) FROM notifications_targets WHERE failures > 0 AND state = ?", (ACTIVE,)
    ).fetchone()
    yield QueueState(name="push", waiting=waiting, oldest_at=oldest, failing=failing, text=error or "")
