"""The facts about one message that the database has: what became of it, who was to get it, and their devices.

All of it is derived from what is stored anyway; nothing is kept for a trace alone. What a message says is not
told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from relay.storage.devices import Device
from relay.storage.history import View
from relay.storage.leaving import FACTS

_COLUMNS: Final = (
    "m.message_id, m.channel_id, c.address, c.kind, {seq}, m.type, m.sender_id, m.client_id, m.own_id,"
    " m.timestamp, m.sent_at, length(CAST(m.payload AS BLOB)), {edited}, {only_for}"
)
_STREAM: Final = _COLUMNS.format(
    seq="m.seq",
    edited="m.edited_at, m.edit_id, m.deleted_at, m.expires_at, m.replaces, coalesce(m.depth, 0)",
    only_for="NULL",
)
_LATEST: Final = _COLUMNS.format(seq="NULL", edited="NULL, NULL, NULL, NULL, NULL, 0", only_for="m.only_for")
_LOOKED_AT: Final = 2000
"""Messages of one moment that are searched for the one which ended another."""


class TracedMessage(NamedTuple):
    """A stored message, without what it says.

    Attributes:
        address: its conversation: `user:alice:bob`, `group:team`, `self:alice`, `*`.
        kind: `user`, `group`, `self` or `broadcast`.
        seq: None for the value of a latest type.
        client_id: the device that sent it; None where it was none.
        own_id: the id that its sender gave it.
        stored_at: Unix seconds.
        size: bytes of its payload; None once that was erased.
        only_for: the only user who gets it.
    """

    message_id: int
    channel_id: int
    address: str
    kind: str
    seq: int | None
    type: str
    sender_id: str
    client_id: str | None
    own_id: str | None
    stored_at: float
    sent_at: float | None
    size: int | None
    edited_at: float | None
    edit_id: int | None
    deleted_at: float | None
    expires_at: float | None
    replaces: int | None
    depth: int
    only_for: str | None


class Ending(NamedTuple):
    """The act that made a message a tombstone.

    Attributes:
        what: `expired`, `deleted`, `replaced`, `account_erased`, or `erased` where nothing stored says why.
        by: the user who did it; None where nobody did, or it is not known who.
        message_id: the message that says so.
    """

    what: str
    by: str | None = None
    message_id: int | None = None


class Recipient(NamedTuple):
    """Somebody who is, or was, in the conversation, and what is stored about them and it.

    Attributes:
        view: the part of the conversation that they see.
        joined_at: Unix seconds, of the present stay or the last.
        left_at: None while they are in it.
        disabled: whether the account is closed.
        erased_at: when the account was erased; None for one that is there.
        delivered: the position up to which some device of theirs has everything.
        read_seq: the seq up to which others are shown that they have read.
        blocks_since: since when they block the message's sender, Unix seconds; None where they do not.
    """

    user_id: str
    view: View
    joined_at: float
    left_at: float | None
    disabled: bool
    erased_at: float | None
    delivered: int
    read_seq: int
    blocks_since: float | None


def find(connection: sqlite3.Connection, message_id: int) -> TracedMessage | None:
    """Return a stored message of either kind; None if there is none of this id."""
    for columns, table in ((_STREAM, "log"), (_LATEST, "latest")):
        row = connection.execute(
            f"SELECT {columns} FROM {table} m JOIN channels c USING (channel_id) WHERE m.message_id = ?",
            (message_id,),
        ).fetchone()
        if row is not None:
            return TracedMessage._make(row)
    return None


def editor(connection: sqlite3.Connection, message: TracedMessage) -> str | None:
    """Return who made the edit that gave a message its text; None where that is not known."""
    row = connection.execute("SELECT sender_id FROM log WHERE message_id = ?", (message.edit_id,)).fetchone()
    return None if row is None else str(row[0])


def ending(connection: sqlite3.Connection, message: TracedMessage) -> Ending | None:
    """Return what made a message a tombstone; None for one that is whole."""
    at = message.deleted_at
    if at is None:
        return None
    if message.expires_at is not None and message.expires_at == at:
        return Ending("expired")
    for message_id, type_, sender_id, replaces, payload in _stored_at(connection, message, at):
        if replaces == message.message_id:
            return Ending("replaced", sender_id, message_id)
        if type_ == "message_delete" and _names(payload, message.message_id):
            return Ending("deleted", sender_id, message_id)
    owner = message.address.partition(":")[2] if message.kind == "self" else message.sender_id
    erased = connection.execute(
        "SELECT user_id FROM erasures WHERE user_id IN (?, ?) AND asked_at <= ? AND coalesce(done_at, ?) >= ?",
        (message.sender_id, owner, at, at, at),
    ).fetchone()
    if erased is not None and message.type not in FACTS:
        return Ending("account_erased", erased[0])
    return Ending("erased")


def _stored_at(connection: sqlite3.Connection, message: TracedMessage, at: float) -> Iterator[tuple[Any, ...]]:
    """Yield the messages of the same conversation that were stored at a moment: found by bisection."""
    low = (message.seq or 0) + 1
    newest = connection.execute("SELECT max(seq) FROM log WHERE channel_id = ?", (message.channel_id,)).fetchone()
    high = int(newest[0] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT timestamp FROM log WHERE channel_id = ? AND seq >= ? ORDER BY seq LIMIT 1",
            (message.channel_id, middle),
        ).fetchone()
        if row is not None and row[0] < at:
            low = middle + 1
        else:
            high = middle
    rows = connection.execute(
        "SELECT message_id, type, sender_id, replaces, payload, timestamp FROM log"
        " WHERE channel_id = ? AND seq >= ? ORDER BY seq LIMIT ?",
        (message.channel_id, low, _LOOKED_AT),
    )
    for *row, timestamp in rows:
        if timestamp > at:
            return
        yield tuple(row)


def _names(payload: str | None, message_id: int) -> bool:
    try:
        return bool(msgspec.json.decode(payload or "{}").get("message_id") == message_id)
    except (msgspec.DecodeError, AttributeError):
        return False


_RECIPIENT: Final = (
    "SELECT m.user_id, m.visible_from, m.visible_until, m.seen_before, m.joined_at,"
    " (SELECT timestamp FROM log l WHERE l.channel_id = m.channel_id AND l.seq = m.visible_until),"
    " coalesce(u.disabled, 0), e.asked_at, coalesce(u.delivered, 0), coalesce(p.shown_seq, 0),"
    " (SELECT made_at FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = ?)"
    " FROM members m LEFT JOIN users u ON u.user_id = m.user_id LEFT JOIN erasures e ON e.user_id = m.user_id"
    " LEFT JOIN pointers p ON p.channel_id = m.channel_id AND p.user_id = m.user_id WHERE m.channel_id = ?"
)


def recipients(
    connection: sqlite3.Connection, message: TracedMessage, after: str, limit: int, only: str | None
) -> list[Recipient]:
    """Return those who are, or were, in a message's conversation, by user id.

    Args:
        after: the user id to go on after.
        only: one user alone.
    """
    condition, values = " AND m.user_id > ?", list[Any]((message.sender_id, message.channel_id, after))
    for user_id in filter(None, (only, message.only_for)):
        condition += " AND m.user_id = ?"
        values.append(user_id)
    rows = connection.execute(f"{_RECIPIENT}{condition} ORDER BY m.user_id LIMIT ?", (*values, limit))
    return [
        Recipient(
            user_id,
            View(message.channel_id, message.address, message.kind, first, last, user_id, before),
            joined_at,
            left_at,
            bool(disabled),
            erased_at,
            *rest,
        )
        for user_id, first, last, before, joined_at, left_at, disabled, erased_at, *rest in rows
    ]


class Counts(NamedTuple):
    """The numbers of present members of a conversation who have a message, of all whom it was for.

    Attributes:
        members: who are in the conversation now and may see it.
        delivered: those of whom some device has it.
        read: those of whom others are shown that they have read it.
    """

    members: int
    delivered: int
    read: int


def counts(connection: sqlite3.Connection, message: TracedMessage) -> Counts:
    """Count those for whom a message is, its sender left out."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(u.delivered >= ?2), 0), coalesce(sum(coalesce(p.shown_seq, 0) >= ?3), 0)"
        " FROM members m JOIN users u USING (user_id)"
        " LEFT JOIN pointers p ON p.channel_id = m.channel_id AND p.user_id = m.user_id"
        " WHERE m.channel_id = ?1 AND m.visible_until IS NULL AND coalesce(m.seen_before, m.visible_from) <= ?3"
        " AND m.user_id <> ?4 AND coalesce(?5, m.user_id) = m.user_id",
        (message.channel_id, message.message_id, message.seq or 1 << 62, message.sender_id, message.only_for),
    ).fetchone()
    return Counts(row[0], row[1], row[2] if message.seq is not None else 0)


def devices(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, list[Device]]:
    """Return all devices of some users, revoked ones too, the one that was here last first."""
    marks = ",".join("?" * len(user_ids))
    rows = connection.execute(
        "SELECT user_id, client_id, session_id, acked, created_at, seen_at, revoked_at, token_id, agent"
        f" FROM devices WHERE user_id IN ({marks}) ORDER BY seen_at DESC",
        tuple(user_ids),
    )
    found: dict[str, list[Device]] = {user_id: [] for user_id in user_ids}
    for user_id, *row in rows:
        found[user_id].append(Device(*row))
    return found


def last_seen(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, float]:
    """Return when users were last present, as far as it is stored."""
    marks = ",".join("?" * len(user_ids))
    rows = connection.execute(
        f"SELECT user_id, last_seen FROM presence WHERE user_id IN ({marks}) AND last_seen IS NOT NULL",
        tuple(user_ids),
    )
    return dict(rows.fetchall())
