"""The plugin's tables: the schema, and the queries on outgoing webhooks.

Nothing here grows with the messages: the log itself is the queue. A webhook has a `position`: the log was scanned
for it up to there. One row of `webhooks_backlogs` is what it still has to get of one conversation, from a seq to a
seq; the row goes when all of that was delivered.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from relay.plugin import SAID_HERE, Server

from .filter import Choice, StoredMessage

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

USES = """
ALTER TABLE webhooks_hooks ADD COLUMN made_by TEXT;
ALTER TABLE webhooks_incoming ADD COLUMN made_by TEXT;
ALTER TABLE webhooks_incoming ADD COLUMN used_at REAL;
"""

_HOOK = (
    "hook_id, url, secret, old_secret, old_secret_until, choice, reply_as, created_at, position, failing_since,"
    " paused_at, paused_because, made_by"
)
_MESSAGE = (
    "SELECT l.message_id, l.channel_id, l.seq, l.type, l.sender_id, c.address FROM log l"
    " JOIN channels c USING (channel_id)"
)
Statement = tuple[str, tuple[Any, ...]]
DeliveryIds = Callable[[int], str]
"""Makes the id of a delivery from the id of its message."""


class Hook(msgspec.Struct, frozen=True, array_like=True):
    """The row of an outgoing webhook.

    Attributes:
        old_secret, old_secret_until: the secret before the last rotation, and how long deliveries are signed with
            it as well.
        failing_since: when the first attempt failed after the last success; None while attempts succeed.
        paused_because: None where an admin paused it.
        made_by: the admin who made it; None for the operator, and for those of before this was kept.
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
    made_by: str | None = None

    def secrets(self, now: float) -> tuple[str, ...]:
        """Return the secrets that are valid now."""
        if self.old_secret is not None and (self.old_secret_until or 0) > now:
            return self.secret, self.old_secret
        return (self.secret,)


class AttemptView(msgspec.Struct):
    """One attempt; `message_id` is None for a test."""

    delivery_id: str
    message_id: int | None
    attempt: int
    at: float
    milliseconds: int
    status: int | None
    error: str | None
    answer: str


class DeadView(msgspec.Struct):
    """A dead letter: a message that was given up; `replaying` while it is delivered once more."""

    delivery_id: str
    message_id: int
    attempts: int
    status: int | None
    error: str | None
    at: float
    replaying: bool


async def execute(server: Server, statements: Iterable[Statement]) -> None:
    """Execute statements in one transaction.

    Raises:
        StorageFailed: the disk did not take it.
    """

    def work(connection: sqlite3.Connection) -> None:
        for sql, values in statements:
            connection.execute(sql, values)

    await server.write(work)


# Outgoing webhooks.


def read_hooks(connection: sqlite3.Connection) -> list[Hook]:
    """Return all outgoing webhooks, oldest first."""
    rows = connection.execute(f"SELECT {_HOOK} FROM webhooks_hooks ORDER BY created_at, hook_id").fetchall()
    return [msgspec.convert([*row[:5], msgspec.json.decode(row[5]), *row[6:]], Hook) for row in rows]


def add_hook(connection: sqlite3.Connection, hook: Hook) -> None:
    """Store a new webhook, with the end of the log as its position."""
    (position,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    row = msgspec.structs.astuple(msgspec.structs.replace(hook, position=position))
    choice = msgspec.json.encode(hook.choice).decode()
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO webhooks_hooks ({_HOOK}) VALUES ({marks})", (*row[:5], choice, *row[6:]))


def remove_hook(connection: sqlite3.Connection, hook_id: str) -> None:
    """Delete a webhook and everything that belongs to it."""
    for table in ("webhooks_hooks", "webhooks_backlogs", "webhooks_attempts", "webhooks_dead"):
        connection.execute(f"DELETE FROM {table} WHERE hook_id = ?", (hook_id,))


# Messages of the log.


def read_log(connection: sqlite3.Connection, position: int, limit: int) -> list[StoredMessage]:
    """Return the stream messages that were stored after a position, oldest first."""
    rows = connection.execute(
        f"{_MESSAGE} WHERE l.message_id > ? AND {SAID_HERE} ORDER BY l.message_id LIMIT ?", (position, limit)
    )
    return [StoredMessage(*row) for row in rows]


def read_conversation(
    connection: sqlite3.Connection, channel_id: int, after: int, until: int, limit: int
) -> list[StoredMessage]:
    """Return messages of one conversation with a seq above `after` and up to `until`, oldest first."""
    rows = connection.execute(
        f"{_MESSAGE} WHERE l.channel_id = ? AND l.seq > ? AND l.seq <= ? AND {SAID_HERE} ORDER BY l.seq LIMIT ?",
        (channel_id, after, until, limit),
    )
    return [StoredMessage(*row) for row in rows]


def read_address(connection: sqlite3.Connection, channel_id: int) -> str:
    """Return the address of a conversation."""
    row = connection.execute("SELECT address FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
    return str(row[0])


# Backlogs.


def read_backlogs(connection: sqlite3.Connection, hook_id: str) -> list[tuple[Any, ...]]:
    """Return a webhook's backlogs: channel_id, after_seq, until_seq, attempts, next_at, error."""
    return connection.execute(
        "SELECT channel_id, after_seq, until_seq, attempts, next_at, error FROM webhooks_backlogs"
        " WHERE hook_id = ? ORDER BY next_at",
        (hook_id,),
    ).fetchall()


def save_backlog(hook_id: str, *row: object) -> Statement:
    """Return the statement that stores a backlog; `row` is as `read_backlogs` returns it."""
    return (
        "INSERT OR REPLACE INTO webhooks_backlogs (hook_id, channel_id, after_seq, until_seq, attempts, next_at,"
        " error) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (hook_id, *row),
    )


def remove_backlog(hook_id: str, channel_id: int) -> Statement:
    """Return the statement that deletes a backlog."""
    return "DELETE FROM webhooks_backlogs WHERE hook_id = ? AND channel_id = ?", (hook_id, channel_id)


# Attempts.


def read_attempts(connection: sqlite3.Connection, hook_id: str, id_of: DeliveryIds) -> list[AttemptView]:
    """Return the stored attempts of a webhook, newest first."""
    rows = connection.execute(
        "SELECT message_id, attempt, at, milliseconds, status, error, answer FROM webhooks_attempts"
        " WHERE hook_id = ? ORDER BY attempt_id DESC",
        (hook_id,),
    )
    return [AttemptView(id_of(row[0]), *row) for row in rows]


def forget_answers(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete what receivers answered to deliveries of some messages."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(
        f"UPDATE webhooks_attempts SET answer = NULL WHERE message_id IN ({marks}) AND answer IS NOT NULL",
        tuple(message_ids),
    )


def add_attempt(hook_id: str, *row: object) -> Statement:
    """Return the statement that adds an attempt: message_id, attempt, at, milliseconds, status, error, answer."""
    return (
        "INSERT INTO webhooks_attempts (hook_id, message_id, attempt, at, milliseconds, status, error, answer)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (hook_id, *row),
    )


def trim_attempts(hook_id: str, most: int) -> Statement:
    """Return the statement that deletes all but the newest attempts of a webhook."""
    return (
        "DELETE FROM webhooks_attempts WHERE hook_id = ?1 AND attempt_id <= (SELECT attempt_id FROM"
        " webhooks_attempts WHERE hook_id = ?1 ORDER BY attempt_id DESC LIMIT 1 OFFSET ?2)",
        (hook_id, most),
    )


# Dead letters.


def read_dead(
    connection: sqlite3.Connection, hook_id: str, after: int, limit: int, id_of: DeliveryIds
) -> list[DeadView]:
    """Return the dead letters of a webhook after a message_id, oldest first."""
    rows = connection.execute(
        "SELECT message_id, attempts, status, error, at, replaying FROM webhooks_dead"
        " WHERE hook_id = ? AND message_id > ? ORDER BY message_id LIMIT ?",
        (hook_id, after, limit),
    )
    return [
        DeadView(id_of(message_id), message_id, attempts, status, error, at, bool(replaying))
        for message_id, attempts, status, error, at, replaying in rows
    ]


def read_replays(connection: sqlite3.Connection, hook_id: str) -> list[int]:
    """Return the channels in which dead letters of a webhook are to be delivered once more."""
    rows = connection.execute(
        "SELECT DISTINCT channel_id FROM webhooks_dead WHERE hook_id = ? AND replaying = 1", (hook_id,)
    )
    return [row[0] for row in rows]


def next_replay(connection: sqlite3.Connection, hook_id: str, channel_id: int, after: int) -> int | None:
    """Return the next dead letter of a conversation that is to be delivered once more; None at the end."""
    row = connection.execute(
        "SELECT d.message_id FROM webhooks_dead d JOIN log USING (message_id) WHERE d.hook_id = ?"
        " AND d.channel_id = ? AND d.replaying = 1 AND d.message_id > ? ORDER BY d.message_id LIMIT 1",
        (hook_id, channel_id, after),
    ).fetchone()
    return None if row is None else int(row[0])


def add_dead(hook_id: str, *row: object) -> Statement:
    """Return the statement that adds a dead letter: message_id, channel_id, attempts, status, error, at."""
    return (
        "INSERT OR REPLACE INTO webhooks_dead (hook_id, message_id, channel_id, attempts, status, error, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (hook_id, *row),
    )


def remove_dead(hook_id: str, message_id: int) -> Statement:
    """Return the statement that deletes a dead letter."""
    return "DELETE FROM webhooks_dead WHERE hook_id = ? AND message_id = ?", (hook_id, message_id)


def trim_dead(hook_id: str, most: int) -> Statement:
    """Return the statement that deletes all but the newest dead letters of a webhook."""
    return (
        "DELETE FROM webhooks_dead WHERE hook_id = ?1 AND message_id <= (SELECT message_id FROM webhooks_dead"
        " WHERE hook_id = ?1 ORDER BY message_id DESC LIMIT 1 OFFSET ?2)",
        (hook_id, most),
    )
