"""What admins are shown of webhooks: on the command line as lines and tables, by REST as JSON."""

import sqlite3
from collections.abc import Callable

import msgspec

from .choosing import Choice
from .tables import hooks

IdOf = Callable[[int], str]
"""The id of a delivery, by its message's."""


class Created(msgspec.Struct):
    """A webhook's id and its secret, which is shown this once."""

    hook_id: str
    secret: str


class HookView(msgspec.Struct):
    """An outgoing webhook and how it stands.

    Attributes:
        state: `active`; `failing`, when the last attempt failed; or `paused`.
        reason: why it is paused or failing.
        position: up to this message_id the log was looked through for it.
        waiting: conversations in which it still has something to get.
        next_attempt_at: when the next of them is tried again; None where none waits for that.
        dead: dead letters.
    """

    hook_id: str
    state: str
    url: str
    messages: Choice
    reply_as: str | None
    created_at: float
    failing_since: float | None
    paused_at: float | None
    reason: str | None
    old_secret_until: float | None
    position: int
    waiting: int
    next_attempt_at: float | None
    dead: int


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
    """A message that was given up; `replaying` while it is delivered once more."""

    delivery_id: str
    message_id: int
    attempts: int
    status: int | None
    error: str | None
    at: float
    replaying: bool


class Replayed(msgspec.Struct):
    """How many dead letters are delivered once more."""

    replayed: int


def hook_views(connection: sqlite3.Connection) -> list[HookView]:
    """Return how each webhook stands, oldest first."""
    found = []
    for hook in hooks(connection):
        waiting, error, next_at = connection.execute(
            "SELECT count(*), max(error), min(next_at) FILTER (WHERE attempts > 0) FROM webhooks_backlogs"
            " WHERE hook_id = ?",
            (hook.hook_id,),
        ).fetchone()
        (dead,) = connection.execute(
            "SELECT count(*) FROM webhooks_dead WHERE hook_id = ?", (hook.hook_id,)
        ).fetchone()
        state = "active" if hook.failing_since is None else "failing"
        found.append(
            HookView(
                hook_id=hook.hook_id,
                state="paused" if hook.paused_at is not None else state,
                url=hook.url,
                messages=hook.choice,
                reply_as=hook.reply_as,
                created_at=hook.created_at,
                failing_since=hook.failing_since,
                paused_at=hook.paused_at,
                reason=hook.paused_because or error,
                old_secret_until=hook.old_secret_until,
                position=hook.position,
                waiting=waiting,
                next_attempt_at=next_at,
                dead=dead,
            )
        )
    return found


def attempt_views(connection: sqlite3.Connection, hook_id: str, id_of: IdOf) -> list[AttemptView]:
    """Return the attempts of a webhook that are kept, newest first."""
    rows = connection.execute(
        "SELECT message_id, attempt, at, milliseconds, status, error, answer FROM webhooks_attempts"
        " WHERE hook_id = ? ORDER BY attempt_id DESC",
        (hook_id,),
    )
    return [AttemptView(id_of(row[0]), *row) for row in rows]


def dead_views(
    connection: sqlite3.Connection, hook_id: str, after: int, limit: int, id_of: IdOf
) -> list[DeadView]:
    """Return dead letters of a webhook behind a message_id, oldest first."""
    rows = connection.execute(
        "SELECT message_id, attempts, status, error, at, replaying FROM webhooks_dead"
        " WHERE hook_id = ? AND message_id > ? ORDER BY message_id LIMIT ?",
        (hook_id, after, limit),
    )
    return [
        DeadView(id_of(message_id), message_id, attempts, status, error, at, bool(replaying))
        for message_id, attempts, status, error, at, replaying in rows
    ]
