"""This plugin's part of a trace, and what waits for each outgoing webhook."""

import sqlite3
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from relay.plugin import QueueState, Server, TracedMessage, TraceNote

from .filter import Filter, StoredMessage
from .tables import Hook, read_backlogs, read_hooks


def trace(
    _server: Server, connection: sqlite3.Connection, message: TracedMessage, _user_ids: Sequence[str]
) -> Iterator[TraceNote]:
    """Yield what webhooks did with a message; of attempts only the newest of each webhook are kept."""
    if message.seq is None:
        return
    stored = StoredMessage(*message[:2], message.seq, message.type, message.sender_id, message.address)
    for hook in read_hooks(connection):
        attempts = list(_attempts(connection, hook, message.message_id))
        yield from attempts
        if (note := _standing(connection, hook, stored, tried=bool(attempts))) is not None:
            yield note


def _name(hook: Hook) -> str:
    return f"webhook {hook.hook_id} at {urlsplit(hook.url).hostname}"


def _attempts(connection: sqlite3.Connection, hook: Hook, message_id: int) -> Iterator[TraceNote]:
    for attempt, at, status, error in connection.execute(
        "SELECT attempt, at, status, error FROM webhooks_attempts WHERE hook_id = ? AND message_id = ?"
        " ORDER BY attempt_id",
        (hook.hook_id, message_id),
    ):
        if error is None:
            text = f"{_name(hook)} took it, with status {status}, at attempt {attempt}."
            yield TraceNote(what="webhook_delivered", text=text, at=at)
        else:
            text = f"{_name(hook)} did not take it at attempt {attempt}: {error}."
            yield TraceNote(what="webhook_failed", text=text, at=at)


def _standing(
    connection: sqlite3.Connection, hook: Hook, message: StoredMessage, *, tried: bool
) -> TraceNote | None:
    """Return that a message waits for a webhook, or was given up; None where neither is so."""
    dead = connection.execute(
        "SELECT at, attempts FROM webhooks_dead WHERE hook_id = ? AND message_id = ?",
        (hook.hook_id, message.message_id),
    ).fetchone()
    if dead is not None:
        text = f"{_name(hook)} was not sent it any more after {dead[1]} attempts: it is a dead letter."
        return TraceNote(what="webhook_dead", text=text, at=dead[0])
    if not Filter(hook.choice, hook.reply_as).matches(message):
        return None
    if hook.paused_at is not None and message.message_id > hook.position:
        return TraceNote(what="webhook_waits", text=f"It waits for {_name(hook)}, which is paused.")
    waits = connection.execute(
        "SELECT next_at FROM webhooks_backlogs WHERE hook_id = ? AND channel_id = ? AND after_seq < ?"
        " AND until_seq >= ?",
        (hook.hook_id, message.channel_id, message.seq, message.seq),
    ).fetchone()
    if waits is None:
        return None
    why = ", which is paused" if hook.paused_at is not None else ", to be tried again" if tried else ""
    return TraceNote(what="webhook_waits", text=f"It waits for {_name(hook)}{why}.", at=waits[0] or None)


def queues(_server: Server, connection: sqlite3.Connection) -> Iterator[QueueState]:
    """Yield what waits for each outgoing webhook; of the last seconds it may tell too much."""
    for hook in read_hooks(connection):
        backlogs = read_backlogs(connection, hook.hook_id)
        errors = [error for *_, error in backlogs if error]
        paused = f"paused: {hook.paused_because or 'an admin paused it'}" if hook.paused_at is not None else ""
        yield QueueState(
            name=hook.hook_id,
            waiting=sum(until - after for _, after, until, *_ in backlogs),
            oldest_at=hook.failing_since,
            failing=int(hook.failing_since is not None),
            text=paused or (errors[0] if errors else ""),
        )
