"""Accounts and groups of an import: made where they are missing, and never changed where they are there."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from relay.protocol import records
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.protocol.rights import Rights
from relay.storage import account_links, accounts, conversations, history, public_groups
from relay.storage.first_migrations import BROADCAST_CHANNEL
from relay.storage.imports import Source
from relay.storage.names import kind_of
from relay.storage.shown import check_shown

_EARLIEST: Final = 1
_RANKS: Final = tuple(Role)


def put_user(connection: sqlite3.Connection, source: Source, user: records.User, now: float) -> bool:
    """Make an account, and return whether it was missing.

    Raises:
        RelayError: `conflict` where a group has the name, `invalid_payload` for one that cannot be one.
    """
    if accounts.role_of(connection, user.user_id) is not None:
        return False
    (first,) = connection.execute("SELECT coalesce(max(seq), 0) FROM log WHERE channel_id = 1").fetchone()
    accounts.create_user(
        connection,
        user.user_id,
        user.created_at or now,
        display_name=user.name,
        role=user.role,
        password_hash=user.password_hash,
    )
    connection.execute(
        "UPDATE users SET disabled = ?, receipts = ?, presence_to = ?, groups_from = ?, deleted_at = ?"
        " WHERE user_id = ?",
        (
            user.disabled or user.erased or user.deleted_at is not None, user.receipts, user.presence_to,
            user.groups_from, user.deleted_at, user.user_id,
        ),
    )  # fmt: skip
    connection.execute(
        "UPDATE members SET visible_from = ? WHERE channel_id = ? AND user_id = ?",
        (first + max(user.broadcast_from, _EARLIEST), BROADCAST_CHANNEL, user.user_id),
    )
    connection.execute("INSERT INTO imported_users VALUES (?, ?)", (source.import_id, user.user_id))
    if user.erased:
        connection.execute(
            "INSERT INTO erasures (user_id, asked_at, done_at) VALUES (?1, ?2, ?2)", (user.user_id, now)
        )
    if user.mail and account_links.owner_of(connection, user.mail) is None:
        account_links.set_address(connection, user.user_id, user.mail, now)
    if user.status is not None or user.last_seen is not None:
        connection.execute(
            "INSERT INTO presence (user_id, status, text, until, last_seen) VALUES (?, ?, ?, ?, ?)",
            (user.user_id, user.status, user.status_text, user.status_until, user.last_seen),
        )
    return True


def put_group(connection: sqlite3.Connection, group: records.Group, now: float) -> dict[str, Role] | None:
    """Make a group, or add to the one that is there who is not in it; return who is new in it now.

    Returns:
        The new present members with their roles; None where nothing changed.

    Raises:
        RelayError: `conflict` where a user has the name; `invalid_payload` for a member who is no user.
    """
    for user_id in (*(one.user_id for one in group.members), *group.barred):
        conversations.check_user(connection, user_id)
    row = connection.execute(
        "SELECT channel_id, deleted_at FROM groups WHERE group_id = ?", (group.group_id,)
    ).fetchone()
    if row is None:
        return _make_group(connection, group, now)
    if row[1] is not None:
        if group.deleted_at is not None:
            return None
        text = f"the group {group.group_id!r} was deleted here, and its id stays taken; give it another one"
        raise RelayError(ErrorCode.CONFLICT, text)
    there = {name for (name,) in connection.execute("SELECT user_id FROM members WHERE channel_id = ?", (row[0],))}
    absent = [one for one in group.members if one.user_id not in there]
    newcomers = [
        msgspec.structs.replace(one, role=Role.ADMIN) if one.role is Role.OWNER else one for one in absent
    ]
    return _add_members(connection, row[0], newcomers, now) if newcomers else None


def _make_group(connection: sqlite3.Connection, group: records.Group, now: float) -> dict[str, Role]:
    if kind_of(connection, group.group_id) == "user":
        text = f"{group.group_id!r} is a user here; give the group another id"
        raise RelayError(ErrorCode.CONFLICT, text)
    if strange := group.rights.keys() - set(Rights._fields):
        text = f"rights has {min(strange)!r}, which is no right; there are {', '.join(Rights._fields)}"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    name = check_shown(group.name, "name")
    made_at = group.created_at or now
    made = conversations.create_group(connection, group.group_id, name, {}, made_at, history=group.history)
    members = _with_owner(group)
    owner = next((one.user_id for one in members if one.role is Role.OWNER and one.until_seq is None), "")
    rights = msgspec.json.encode(group.rights).decode()
    connection.execute(
        "UPDATE groups SET description = ?, public = ?, rights = ?, slow_mode_seconds = ?, made_by = ?,"
        " closed_at = ?, deleted_at = ? WHERE channel_id = ?",
        (
            group.description, group.public, rights, group.slow_mode_seconds, group.made_by or owner,
            group.closed_at, group.deleted_at, made.channel_id,
        ),
    )  # fmt: skip
    if group.public:
        public_groups.note_sought(connection, made.channel_id)
    connection.executemany(
        "INSERT OR IGNORE INTO barred (channel_id, user_id) VALUES (?, ?)",
        [(made.channel_id, user_id) for user_id in group.barred],
    )
    return _add_members(connection, made.channel_id, members, made_at)


def _with_owner(group: records.Group) -> list[records.Member]:
    """Return the members of a group; where none is its owner, its oldest admin, or member, is."""
    present = [one for one in group.members if one.until_seq is None]
    if not present or group.deleted_at is not None or any(one.role is Role.OWNER for one in present):
        return group.members
    heir = min(present, key=lambda one: (_RANKS.index(one.role), one.joined_at or 0.0))
    return [msgspec.structs.replace(one, role=Role.OWNER) if one is heir else one for one in group.members]


def _add_members(
    connection: sqlite3.Connection, channel_id: int, members: list[records.Member], now: float
) -> dict[str, Role]:
    """Add members, who see of what the group says already nothing, and of the import what they saw before."""
    before = history.newest_seq(connection, channel_id)
    for one in members:
        stays = [(before + first, before + last) for first, last in one.stays]
        connection.execute(
            "INSERT INTO members (channel_id, user_id, role, visible_from, visible_until, joined_at, seen_before)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                channel_id, one.user_id, one.role, before + max(one.from_seq, _EARLIEST),
                None if one.until_seq is None else before + one.until_seq, one.joined_at or now,
                min((first for first, _ in stays), default=None),
            ),
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO stays VALUES (?, ?, ?, ?)", [(channel_id, one.user_id, *stay) for stay in stays]
        )
    return {one.user_id: one.role for one in members if one.until_seq is None}
