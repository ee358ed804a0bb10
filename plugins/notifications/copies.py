"""Stored notifications say what their messages say: they are rewritten and erased with them.

A stored notification repeats the words of a message, in its user's own channel. Its own id begins with the
message's, so it is found by an index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from relay.plugin import Edited, Entry, Server, erase_messages, rewrite_message

from .options import Options
from .rules import COLUMNS, Rulebook
from .words import payload_of

AT_ONCE = 200


def erased(options: Options, server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Erase what repeats messages that are gone."""
    copies = [copy for message_id in message_ids for copy, _user in _copies(connection, options, message_id)]
    if copies:
        erase_messages(connection, copies, server.now())


def edited(options: Options, server: Server, connection: sqlite3.Connection, message: Edited) -> None:
    """Have what repeats a message say what it says now."""
    freshen(options, server, connection, message.message_id)


def freshen(options: Options, server: Server, connection: sqlite3.Connection, message_id: int) -> None:
    """Have what repeats a message say what it says now, or nothing where it notifies nobody any more."""
    copies = _copies(connection, options, message_id)
    if not copies:
        return
    rules, now = Rulebook(server, options), server.now()
    row = connection.execute(
        f"SELECT {COLUMNS} FROM log l JOIN channels c USING (channel_id) WHERE l.message_id = ?", (message_id,)
    ).fetchone()
    message = rules.message(row) if row else None
    type_ = server.message_types.types["notification"]
    for copy_id, user_id in copies:
        rule = rules.stored_for(message, user_id, rules.candidates(message)) if message is not None else None
        if message is None or rule is None:
            erase_messages(connection, [copy_id], now)
            continue
        said = type_.write(payload_of(options, connection, rule, message, user_id))
        (before,) = connection.execute("SELECT payload FROM log WHERE message_id = ?", (copy_id,)).fetchone()
        if msgspec.json.decode(said) != msgspec.json.decode(before):
            rewrite_message(connection, copy_id, said, now)


def _copies(connection: sqlite3.Connection, options: Options, message_id: int) -> list[tuple[int, str]]:
    """Return the stored notifications of a message that still say something, and whose they are."""
    return connection.execute(
        "SELECT l.message_id, substr(c.address, 6) FROM log l JOIN channels c USING (channel_id)"
        " WHERE l.sender_id = ? AND l.own_id > ? AND l.own_id < ? AND l.type = 'notification'"
        " AND l.deleted_at IS NULL AND c.kind = 'self'",
        (options.sender, f"{message_id}-", f"{message_id}."),  # "." comes after "-"
    ).fetchall()


async def group_deleted(options: Options, server: Server, entry: Entry) -> None:
    """Erase what repeats messages of a group that is deleted: nobody reads it any more."""
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
        (options.sender, after, group_id, AT_ONCE),
    )
    return [row[0] for row in rows]
