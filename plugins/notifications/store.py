"""Stored notifications: a `notification` in the user's own channel for what a rule says is to be stored.

Each repeats the text of a message, so it is rewritten and erased with that. Its idempotency key begins with the
message's id: so it is stored once, and is found by an index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import trio

from relay.plugin import (
    NOTIFY,
    Edited,
    Entry,
    LogCursor,
    RelayError,
    Server,
    Slice,
    create_user,
    erase_messages,
    get_user,
    rewrite_message,
    survive_full_disk,
)

from .content import payload_of
from .options import Options
from .push import GATHER_SECONDS
from .rules import SELECT_MESSAGES, Rulebook, read_slice

_AT_ONCE = 200


class Copy(NamedTuple):
    """A notification to store.

    Attributes:
        message_id: of the message that it repeats.
        own_id: the same for this message and user each time.
    """

    message_id: int
    user_id: str
    own_id: str
    payload: dict[str, object]


async def store(options: Options, server: Server) -> None:
    """Follow the log, and store a notification once for each user for whom a rule says so."""
    if Rulebook(server, options).stores:
        await survive_full_disk(server, partial(_store, options, server))


async def _store(options: Options, server: Server) -> None:
    rules = Rulebook(server, options)
    await server.write(partial(_ensure_sender, options=options, now=server.now()))
    cursor = await LogCursor.open(server, "notifications_state", "stored")
    while True:
        await cursor.wait()
        await cursor.catch_up(partial(_take_slice, rules, options, server))
        await trio.sleep(GATHER_SECONDS)


async def _take_slice(rules: Rulebook, options: Options, server: Server, after: int, until: int) -> Slice:
    reached, copies = await server.read(partial(_to_store, rules, options, after, until, server.now()))
    for copy in copies:
        await _send(server, options.sender, copy)
        # The message may have been edited or deleted since it was read.
        await server.write(partial(_update, options, server, message_id=copy.message_id))
    return Slice(reached, acted=bool(copies))


def _to_store(
    rules: Rulebook, options: Options, after: int, until: int, now: float, connection: sqlite3.Connection
) -> tuple[int, list[Copy]]:
    """Return how far the log was read, and what is to be stored."""
    rows, reached = read_slice(connection, after, until)
    copies: list[Copy] = []
    for row in rows:
        edit = row[3] == "message_edit"
        message = rules.called_by_edit(connection, row) if edit else rules.message(row)
        among = rules.candidates(message) if message is not None else []
        if message is None or not among or message.timestamp < now - options.max_age_hours * 3600:
            continue
        members = connection.execute(
            "SELECT user_id FROM members WHERE channel_id = ? AND visible_until IS NULL AND visible_from <= ?",
            (message.channel_id, message.seq),
        ).fetchall()
        for (user_id,) in members:
            rule = None if edit and not message.calls(user_id) else rules.stored_for(message, user_id, among)
            if rule is not None:
                who = blake2b(user_id.encode(), digest_size=12).hexdigest()
                (shown,) = rules.as_shown(connection, user_id, [message])
                payload = payload_of(options, connection, rule, shown, user_id)
                copies.append(Copy(message.message_id, user_id, f"{message.message_id}-{who}", payload))
    return reached, copies


async def _send(server: Server, sender: str, copy: Copy) -> None:
    """Send a notification; wait when there are too many at once."""
    while True:
        try:
            await server.send(
                sender, "notification", copy.payload, copy.user_id, own_id=copy.own_id, scopes=frozenset({NOTIFY})
            )
            return
        except RelayError as refusal:
            if refusal.retry_after is None:
                server.log.warning("a notification for %r was refused: %s", copy.user_id, refusal)
                return
            await trio.sleep(refusal.retry_after)


def _ensure_sender(connection: sqlite3.Connection, options: Options, now: float) -> None:
    if get_user(connection, options.sender) is None:
        create_user(connection, options.sender, now, display_name=options.name)


def erase_copies(
    options: Options, server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]
) -> None:
    """Erase the stored notifications of messages that were erased."""
    copies = [copy for message_id in message_ids for copy, _user in _copies(connection, options, message_id)]
    if copies:
        erase_messages(connection, copies, server.now())


def update_copies(options: Options, server: Server, connection: sqlite3.Connection, message: Edited) -> None:
    """Rewrite the stored notifications of a message that was edited."""
    _update(options, server, connection, message.message_id)


def _update(options: Options, server: Server, connection: sqlite3.Connection, message_id: int) -> None:
    """Rewrite the stored notifications of a message, or erase those that no rule stores any more."""
    copies = _copies(connection, options, message_id)
    if not copies:
        return
    rules, now = Rulebook(server, options), server.now()
    row = connection.execute(f"{SELECT_MESSAGES} WHERE l.message_id = ?", (message_id,)).fetchone()
    message = rules.message(row) if row else None
    type_ = server.message_types.types["notification"]
    for copy_id, user_id in copies:
        rule = rules.stored_for(message, user_id, rules.candidates(message)) if message is not None else None
        if message is None or rule is None:
            erase_messages(connection, [copy_id], now)
            continue
        (shown,) = rules.as_shown(connection, user_id, [message])
        said = type_.write(payload_of(options, connection, rule, shown, user_id))
        (before,) = connection.execute("SELECT payload FROM log WHERE message_id = ?", (copy_id,)).fetchone()
        if msgspec.json.decode(said) != msgspec.json.decode(before):
            rewrite_message(connection, copy_id, said, now)


def _copies(connection: sqlite3.Connection, options: Options, message_id: int) -> list[tuple[int, str]]:
    """Return the stored notifications of a message that are not erased, and whose they are."""
    return connection.execute(
        "SELECT l.message_id, substr(c.address, 6) FROM log l JOIN channels c USING (channel_id)"
        " WHERE l.sender_id = ? AND l.own_id > ? AND l.own_id < ? AND l.type = 'notification'"
        " AND l.deleted_at IS NULL AND c.kind = 'self'",
        (options.sender, f"{message_id}-", f"{message_id}."),  # "." comes after "-"
    ).fetchall()


async def erase_copies_of_group(options: Options, server: Server, entry: Entry) -> None:
    """Erase the stored notifications of a group's messages when the group is deleted."""
    if msgspec.json.decode(entry.payload).get("event") != "deleted":
        return
    after = 0
    while found := await server.read(partial(_of_group, options, entry.target_id, after)):
        await server.erase(found)
        after = found[-1]


def _of_group(options: Options, group_id: str, after: int, connection: sqlite3.Connection) -> list[int]:
    rows = connection.execute(
        "SELECT message_id FROM log WHERE sender_id = ? AND own_id IS NOT NULL AND message_id > ?"
        " AND type = 'notification' AND deleted_at IS NULL AND json_extract(payload, '$.data.kind') = 'group'"
        " AND json_extract(payload, '$.data.target_id') = ? ORDER BY message_id LIMIT ?",
        (options.sender, after, group_id, _AT_ONCE),
    )
    return [row[0] for row in rows]
