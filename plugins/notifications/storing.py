"""The task that stores: what a rule says is kept as a `notification` in the user's own channel, once."""

from __future__ import annotations

import sqlite3
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

import trio

from relay.plugin import RelayError, Server, create_user, get_user

from .copies import freshen
from .cursor import GATHER_SECONDS, SLICE, Cursor, patiently
from .options import Options
from .rules import COLUMNS, Rulebook
from .words import payload_of

NOTIFY = frozenset({"notify"})


class Kept(NamedTuple):
    """A notification that is to be stored.

    Attributes:
        message_id: of the message that it repeats.
        own_id: always the same for this message and user, so that it is stored once.
    """

    message_id: int
    user_id: str
    own_id: str
    payload: dict[str, object]


async def store(options: Options, server: Server) -> None:
    """Follow the log, and store notifications for whom the rules say; once each, whatever ends in between."""
    if Rulebook(server, options).stores:
        await patiently(server, partial(_store, options, server))


async def _store(options: Options, server: Server) -> None:
    rules = Rulebook(server, options)
    await server.write(partial(_ensure_sender, options=options, now=server.now()))
    cursor = await Cursor.load(server, "stored")
    while True:
        await server.stored_beyond(cursor.at)
        until = server.services.router.position
        while cursor.at < until:
            reached, kept = await server.read(partial(_to_store, rules, options, cursor.at, until, server.now()))
            for one in kept:
                await _send(server, options.sender, one)
                # It may have been edited or deleted since it was read.
                await server.write(partial(_freshen, options, server, one.message_id))
            cursor.at = reached
            if kept:
                await cursor.note()
        await cursor.note_now_and_then()
        await trio.sleep(GATHER_SECONDS)


def _freshen(options: Options, server: Server, message_id: int, connection: sqlite3.Connection) -> None:
    freshen(options, server, connection, message_id)


def _to_store(
    rules: Rulebook, options: Options, at: int, until: int, now: float, connection: sqlite3.Connection
) -> tuple[int, list[Kept]]:
    """Return what a part of the log says is to be stored, and how far it was read."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM log l JOIN channels c USING (channel_id)"
        " WHERE l.message_id > ? AND l.message_id <= ? ORDER BY l.message_id LIMIT ?",
        (at, until, SLICE),
    ).fetchall()
    kept: list[Kept] = []
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
                payload = payload_of(options, connection, rule, message, user_id)
                kept.append(Kept(message.message_id, user_id, f"{message.message_id}-{who}", payload))
    return (rows[-1][0] if len(rows) == SLICE else until), kept


async def _send(server: Server, sender: str, kept: Kept) -> None:
    """Send a stored notification, waiting where there are too many at once."""
    while True:
        try:
            await server.send(
                sender, "notification", kept.payload, kept.user_id, own_id=kept.own_id, scopes=NOTIFY
            )
            return
        except RelayError as refusal:
            if refusal.retry_after is None:
                server.log.warning("a notification for %r was refused: %s", kept.user_id, refusal)
                return
            await trio.sleep(refusal.retry_after)


def _ensure_sender(connection: sqlite3.Connection, options: Options, now: float) -> None:
    if get_user(connection, options.sender) is None:
        create_user(connection, options.sender, now, display_name=options.name)
