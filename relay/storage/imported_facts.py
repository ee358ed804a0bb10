"""The parts of an import beside messages: pictures, read pointers, threads, who follows and blocks whom, bans."""

from __future__ import annotations

import sqlite3
from functools import singledispatch

from relay.protocol import records
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind
from relay.storage import accounts, blocks, imports, leaving, restrictions
from relay.storage.conversations import group_address, parties, self_address, user_address
from relay.storage.imports import Source


def check_user(connection: sqlite3.Connection, user_id: str) -> None:
    """Check that there is such a user.

    Raises:
        RelayError: `not_found`.
    """
    if accounts.role_of(connection, user_id) is None:
        raise not_found(f"user {user_id!r} here, or in the lines before this one")


def address_of(named: str) -> tuple[str, ConversationKind, list[str]]:
    """Return the address of the conversation that a record names, its kind, and the users or the group of it.

    Raises:
        RelayError: `invalid_payload`.
    """
    kind, _, rest = named.partition(":")
    names = rest.split(":")
    if named == "*":
        return named, ConversationKind.BROADCAST, []
    if all(names) and kind == ConversationKind.GROUP and len(names) == 1:
        return group_address(rest), ConversationKind.GROUP, names
    if all(names) and kind == ConversationKind.SELF and len(names) == 1:
        return self_address(rest), ConversationKind.SELF, names
    if all(names) and kind == ConversationKind.USER and len(names) <= 2:
        address = user_address(names[0], names[-1])
        return address, ConversationKind.USER, parties(address)
    text = f"there is no conversation {named!r}; write group:ID, user:ONE:OTHER, self:ID, or * for everybody"
    raise RelayError(ErrorCode.INVALID_PAYLOAD, text)


def channel_of(connection: sqlite3.Connection, named: str) -> int:
    """Return the channel of the conversation that a record names.

    Raises:
        RelayError: `not_found`.
    """
    address, _, _ = address_of(named)
    row = connection.execute("SELECT channel_id FROM channels WHERE address = ?", (address,)).fetchone()
    if row is None:
        raise not_found(f"conversation {named!r} here, or in the lines before this one")
    return int(row[0])


@singledispatch
def put(record: records.Record, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    """Store what a record says, and return whether it was new.

    Raises:
        RelayError: it refers to what is not there.
    """
    raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a record {type(record).__name__.lower()!r} does not stand here")


@put.register
def _(record: records.Picture, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    attachment_id = imports.file_of(connection, source, record.attachment_id)
    made = connection.execute(
        "INSERT OR IGNORE INTO pictures (name, attachment_id) SELECT name, ?2 FROM names WHERE name = ?1"
        " RETURNING 1",
        (record.of, attachment_id),
    ).fetchall()
    if made:
        imports.date_files(connection, [attachment_id])
    return bool(made)


@put.register
def _(record: records.Read, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    channel_id = channel_of(connection, record.conversation)
    seqs = [
        0 if old is None else imports.place(connection, source, old, field).seq or 0
        for old, field in ((record.up_to, "up_to"), (record.shown_up_to, "shown_up_to"))
    ]
    return _move(connection, channel_id, record.user_id, *seqs, spoke=record.spoke)


def _move(
    connection: sqlite3.Connection, channel_id: int, user_id: str, read: int, shown: int, *, spoke: bool
) -> bool:
    """Move a user's pointers forward; return whether one moved."""
    return bool(
        connection.execute(
            "INSERT INTO pointers (channel_id, user_id, read_seq, shown_seq, spoke) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET read_seq = max(read_seq, excluded.read_seq),"
            " shown_seq = max(shown_seq, excluded.shown_seq), spoke = max(spoke, excluded.spoke)"
            " WHERE read_seq < excluded.read_seq OR shown_seq < excluded.shown_seq OR spoke < excluded.spoke"
            " RETURNING 1",
            (channel_id, user_id, read, shown, spoke),
        ).fetchall()
    )


@put.register
def _(record: records.Delivered, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    reached = imports.new_id(connection, source, record.up_to, "up_to")
    moved = connection.execute(
        "UPDATE users SET delivered = ?1 WHERE user_id = ?2 AND delivered < ?1", (reached, record.user_id)
    )
    return moved.rowcount > 0


@put.register
def _(record: records.Thread, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    root = imports.place(connection, source, record.root, "root")
    read = 0 if record.up_to is None else imports.place(connection, source, record.up_to, "up_to").seq or 0
    return bool(
        connection.execute(
            "INSERT INTO thread_members (user_id, root_id, channel_id, follows, read_seq) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET follows = excluded.follows, read_seq = max(read_seq, excluded.read_seq)"
            " WHERE read_seq < excluded.read_seq RETURNING 1",
            (record.user_id, root.message_id, root.channel_id, record.follows, read),
        ).fetchall()
    )


@put.register
def _(record: records.Follow, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    check_user(connection, record.other)
    made = connection.execute(
        "INSERT OR IGNORE INTO following VALUES (?, ?, ?)", (record.user_id, record.other, record.at)
    )
    return made.rowcount > 0


@put.register
def _(record: records.Block, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    check_user(connection, record.other)
    if blocks.blocks(connection, record.user_id, record.other):
        return False
    blocks.put(connection, record.user_id, record.other, record.at)
    return True


@put.register
def _(record: records.Restriction, connection: sqlite3.Connection, source: Source, now: float) -> bool:
    check_user(connection, record.user_id)
    channel_id = restrictions.SERVER
    if record.group is not None:
        channel_id = channel_of(connection, group_address(record.group))
    found = restrictions.find(connection, channel_id, record.user_id, record.kind)
    over = record.until is not None and record.until <= now
    if found is not None or over or leaving.is_erased(connection, record.user_id):
        return False
    restriction = restrictions.Restriction(
        channel_id, record.user_id, record.kind, record.reason, record.by, record.at, record.until
    )
    restrictions.put(connection, restriction)
    return True


def read_all(connection: sqlite3.Connection, source: Source) -> None:
    """Let the accounts that an import made have read, and had, everything that it brought."""
    newest = connection.execute(
        "SELECT i.channel_id, max(l.seq), max(l.message_id) FROM imported i JOIN log l USING (message_id)"
        " WHERE i.import_id = ? GROUP BY i.channel_id",
        (source.import_id,),
    ).fetchall()
    for channel_id, seq, _position in newest:
        members = connection.execute(
            "SELECT user_id FROM members JOIN imported_users USING (user_id)"
            " WHERE channel_id = ? AND visible_until IS NULL AND import_id = ?",
            (channel_id, source.import_id),
        ).fetchall()
        for (user_id,) in members:
            _move(connection, channel_id, user_id, seq, 0, spoke=False)
            connection.execute(
                "UPDATE thread_members SET read_seq = max(read_seq, ?) WHERE channel_id = ? AND user_id = ?",
                (seq, channel_id, user_id),
            )
    if newest:
        connection.execute(
            "UPDATE users SET delivered = max(delivered, ?)"
            " WHERE user_id IN (SELECT user_id FROM imported_users WHERE import_id = ?)",
            (max(position for _, _, position in newest), source.import_id),
        )
