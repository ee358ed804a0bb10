"""The plugin's tables. Nothing here grows with the messages: where a webhook stands is a pointer into the log.

A webhook has a `position`: up to there the log was looked through for it. What it still has to get of a
conversation is one row of `webhooks_backlogs`, from a seq to a seq, which goes when all of it was delivered.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from relay.plugin import Server

from .choosing import Choice, Said

SCHEMA = """
CREATE TABLE webhooks_hooks (
    hook_id TEXT PRIMARY KEY, url TEXT NOT NULL, secret TEXT NOT NULL, old_secret TEXT, old_secret_until REAL,
    choice TEXT NOT NULL, reply_as TEXT, created_at REAL NOT NULL, position INTEGER NOT NULL,
    failing_since REAL, paused_at REAL, paused_because TEXT
) WITHOUT ROWID;
CREATE TABLE webhooks_backlogs (
    hook_id TEXT NOT NULL, channel_id INTEGER NOT NULL, after_seq INTEGER NOT NULL, until_seq INTEGER NOT NULL,
    attempts INTEGER NOT NULL, next_at REAL NOT NULL, error TEXT, PRIMARY KEY (hook_id, channel_id)
) WITHOUT ROWID;
CREATE TABLE webhooks_attempts (
    attempt_id INTEGER PRIMARY KEY, hook_id TEXT NOT NULL, message_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
    at REAL NOT NULL, milliseconds INTEGER NOT NULL, status INTEGER, error TEXT, answer TEXT
);
CREATE INDEX webhooks_attempts_by_hook ON webhooks_attempts(hook_id);
CREATE TABLE webhooks_dead (
    hook_id TEXT NOT NULL, message_id INTEGER NOT NULL, channel_id INTEGER NOT NULL, attempts INTEGER NOT NULL,
    status INTEGER, error TEXT, at REAL NOT NULL, replaying INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hook_id, message_id)
) WITHOUT ROWID;
CREATE TABLE webhooks_incoming (
    name TEXT PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, user_id TEXT NOT NULL, target_id TEXT NOT NULL,
    target_kind TEXT NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;
"""

_HOOK = (
    "hook_id, url, secret, old_secret, old_secret_until, choice, reply_as, created_at, position, failing_since,"
    " paused_at, paused_because"
)
Statement = tuple[str, tuple[Any, ...]]


class Hook(msgspec.Struct, frozen=True, array_like=True):
    """An outgoing webhook as it is kept.

    Attributes:
        old_secret, old_secret_until: the secret before the last rotation, and how long it is signed with as well.
        failing_since: when the first attempt failed after the last that did not; None when the last did not.
        paused_because: None for one that a person paused.
    """

    hook_id: str
    url: str
    secret: str
    old_secret: str | None
    old_secret_until: float | None
    choice: Choice
    reply_as: str | None
    created_at: float
    position: int
    failing_since: float | None
    paused_at: float | None
    paused_because: str | None

    def secrets(self, now: float) -> tuple[str, ...]:
        """Return the secrets that are good now."""
        if self.old_secret is not None and (self.old_secret_until or 0) > now:
            return self.secret, self.old_secret
        return (self.secret,)


def hooks(connection: sqlite3.Connection) -> list[Hook]:
    """Return all outgoing webhooks, oldest first."""
    rows = connection.execute(f"SELECT {_HOOK} FROM webhooks_hooks ORDER BY created_at, hook_id").fetchall()
    return [msgspec.convert([*row[:5], msgspec.json.decode(row[5]), *row[6:]], Hook) for row in rows]


def add(connection: sqlite3.Connection, hook: Hook) -> None:
    """Store a new webhook, whose position is the end of the log."""
    (position,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    row = msgspec.structs.astuple(msgspec.structs.replace(hook, position=position))
    choice = msgspec.json.encode(hook.choice).decode()
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO webhooks_hooks ({_HOOK}) VALUES ({marks})", (*row[:5], choice, *row[6:]))


def remove(connection: sqlite3.Connection, hook_id: str) -> None:
    """Forget a webhook and all that is kept for it."""
    for table in ("webhooks_hooks", "webhooks_backlogs", "webhooks_attempts", "webhooks_dead"):
        connection.execute(f"DELETE FROM {table} WHERE hook_id = ?", (hook_id,))


def forget_answers(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Forget what was answered to deliveries of messages."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(
        f"UPDATE webhooks_attempts SET answer = NULL WHERE message_id IN ({marks}) AND answer IS NOT NULL",
        tuple(message_ids),
    )


def remove_incoming_of(connection: sqlite3.Connection, user_id: str) -> None:
    """Remove the incoming webhooks that post as a user, or to them."""
    connection.execute(
        "DELETE FROM webhooks_incoming WHERE user_id = ?1 OR target_kind = 'user' AND target_id = ?1", (user_id,)
    )


def backlogs(connection: sqlite3.Connection, hook_id: str) -> list[tuple[Any, ...]]:
    """Return what a webhook still has to get: channel_id, after_seq, until_seq, attempts, next_at, error."""
    return connection.execute(
        "SELECT channel_id, after_seq, until_seq, attempts, next_at, error FROM webhooks_backlogs"
        " WHERE hook_id = ? ORDER BY next_at",
        (hook_id,),
    ).fetchall()


def replaying(connection: sqlite3.Connection, hook_id: str) -> list[int]:
    """Return the conversations of which dead letters are to be delivered once more."""
    rows = connection.execute(
        "SELECT DISTINCT channel_id FROM webhooks_dead WHERE hook_id = ? AND replaying = 1", (hook_id,)
    )
    return [row[0] for row in rows]


def next_replayed(connection: sqlite3.Connection, hook_id: str, channel_id: int, after: int) -> int | None:
    """Return the next dead letter of a conversation that is to be delivered once more."""
    row = connection.execute(
        "SELECT d.message_id FROM webhooks_dead d JOIN log USING (message_id) WHERE d.hook_id = ?"
        " AND d.channel_id = ? AND d.replaying = 1 AND d.message_id > ? ORDER BY d.message_id LIMIT 1",
        (hook_id, channel_id, after),
    ).fetchone()
    return None if row is None else int(row[0])


def said_after(connection: sqlite3.Connection, position: int, limit: int) -> list[Said]:
    """Return the stream messages that were stored after a position, oldest first."""
    rows = connection.execute(
        "SELECT l.message_id, l.channel_id, l.seq, l.type, l.sender_id, c.address FROM log l"
        " JOIN channels c USING (channel_id) WHERE l.message_id > ? ORDER BY l.message_id LIMIT ?",
        (position, limit),
    )
    return [Said(*row) for row in rows]


def said_in(connection: sqlite3.Connection, channel_id: int, after: int, until: int, limit: int) -> list[Said]:
    """Return messages of one conversation, from the seq behind `after` up to `until`."""
    rows = connection.execute(
        "SELECT l.message_id, l.channel_id, l.seq, l.type, l.sender_id, c.address FROM log l"
        " JOIN channels c USING (channel_id) WHERE l.channel_id = ? AND l.seq > ? AND l.seq <= ?"
        " ORDER BY l.seq LIMIT ?",
        (channel_id, after, until, limit),
    )
    return [Said(*row) for row in rows]


def address_of(connection: sqlite3.Connection, channel_id: int) -> str:
    """Return the address of a conversation."""
    row = connection.execute("SELECT address FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
    return str(row[0])


async def run_all(server: Server, statements: Iterable[Statement]) -> None:
    """Run statements in one transaction."""

    def work(connection: sqlite3.Connection) -> None:
        for sql, values in statements:
            connection.execute(sql, values)

    await server.write(work)
