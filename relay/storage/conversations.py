"""Channels, groups, members and read pointers."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role, ServerRole
from relay.storage import blocks, public_groups, restrictions, slow_mode, versions
from relay.storage.accounts import check_name, claim_name, role_of
from relay.storage.first_migrations import BROADCAST_CHANNEL

_MADE_UP_BYTES: Final = 6
_MADE_UP: Final = "g_" + "[0-9a-f]" * 2 * _MADE_UP_BYTES
_LOOKED_AT: Final = 1000


class ChannelRow(NamedTuple):
    """A stored conversation; `members` maps the present members to their roles, `rights` holds those chosen."""

    channel_id: int
    kind: ConversationKind
    address: str
    name: str
    members: dict[str, Role]
    history: str
    public: bool = False
    rights: Mapping[str, str] = MappingProxyType({})
    closed: bool = False
    slow_mode_seconds: int = 0


def user_address(one: str, other: str) -> str:
    """Return the address of the conversation of two users, the same from both sides."""
    low, high = sorted((one, other))
    return f"user:{low}:{high}" if low != high else f"user:{low}"


def parties(address: str) -> list[str]:
    """Return the two users (or the one) of a conversation's address; [] for a group or the broadcast."""
    kind, _, users = address.partition(":")
    return users.split(":") if kind == "user" else []


def self_address(user_id: str) -> str:
    """Return the address of a user's own channel: messages for this user alone, on all devices."""
    return f"self:{user_id}"


def group_address(group_id: str) -> str:
    """Return the address of a group's conversation."""
    return f"group:{group_id}"


def address_of(connection: sqlite3.Connection, channel_id: int) -> str | None:
    """Return the address of the conversation with an id; None if there is none."""
    row = connection.execute("SELECT address FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
    return row[0] if row else None


def load_channel(connection: sqlite3.Connection, address: str) -> ChannelRow | None:
    """Return the conversation at an address; None if there is none, or its group is deleted."""
    row = connection.execute(
        "SELECT c.channel_id, c.kind, coalesce(g.name, ''), coalesce(g.history, 'start'), coalesce(g.public, 0),"
        " coalesce(g.rights, '{}'), g.closed_at, coalesce(g.slow_mode_seconds, 0) FROM channels c"
        " LEFT JOIN groups g USING (channel_id) WHERE c.address = ? AND g.deleted_at IS NULL",
        (address,),
    ).fetchone()
    if row is None:
        return None
    roles: dict[str, Role] = {}
    if row[0] != BROADCAST_CHANNEL:  # every user is a member of it, and nobody asks for the list
        members = connection.execute(
            "SELECT user_id, role FROM members WHERE channel_id = ? AND visible_until IS NULL", (row[0],)
        )
        roles = {user_id: Role(role) for user_id, role in members}
    rights: dict[str, str] = msgspec.json.decode(row[5])
    kind, closed = ConversationKind(row[1]), row[6] is not None
    return ChannelRow(row[0], kind, address, row[2], roles, row[3], bool(row[4]), rights, closed, row[7])


def ensure_user_channel(connection: sqlite3.Connection, one: str, other: str, now: float) -> ChannelRow:
    """Return the conversation of two users; create it if there is none."""
    address = user_address(one, other)
    found = load_channel(connection, address)
    if found is not None:
        return found
    channel_id = _create_channel(connection, address, ConversationKind.USER, now)
    members = dict.fromkeys((one, other), Role.MEMBER)
    for user_id, role in members.items():
        _add_row(connection, channel_id, user_id, role, 1, now)
    return ChannelRow(channel_id, ConversationKind.USER, address, "", members, "start")


def ensure_self_channel(connection: sqlite3.Connection, user_id: str, now: float) -> ChannelRow:
    """Return a user's own channel; create it if there is none."""
    address = self_address(user_id)
    found = load_channel(connection, address)
    if found is not None:
        return found
    channel_id = _create_channel(connection, address, ConversationKind.SELF, now)
    _add_row(connection, channel_id, user_id, Role.MEMBER, 1, now)
    return ChannelRow(channel_id, ConversationKind.SELF, address, "", {user_id: Role.MEMBER}, "start")


def create_group(
    connection: sqlite3.Connection,
    group_id: str,
    name: str,
    members: dict[str, Role],
    now: float,
    *,
    history: str = "join",
) -> ChannelRow:
    """Create a group with its first members.

    Args:
        history: what a new member sees: "join": messages from then on; "start": all of them.

    Raises:
        RelayError: `conflict` when the name is taken; `invalid_payload` for an invalid name or an unknown member.
    """
    claim_name(connection, check_name(group_id, "group id"), "group")
    channel_id = _create_channel(connection, group_address(group_id), ConversationKind.GROUP, now)
    connection.execute(
        "INSERT INTO groups (group_id, channel_id, name, history, created_at, made_by) VALUES (?,?,?,?,?,?)",
        (group_id, channel_id, name, history, now, owner_of(members)),
    )
    for user_id, role in members.items():
        check_user(connection, user_id)
        _add_row(connection, channel_id, user_id, role, 1, now)
    return ChannelRow(channel_id, ConversationKind.GROUP, group_address(group_id), name, members, history)


def check_user(connection: sqlite3.Connection, user_id: str) -> None:
    """Check that a user exists.

    Raises:
        RelayError: `invalid_payload`.
    """
    if connection.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone() is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"there is no user {user_id!r}")


def add_member(
    connection: sqlite3.Connection, channel_id: int, user_id: str, role: Role, visible_from: int, now: float
) -> None:
    """Make a user a member, also one who had left; they see messages from `visible_from` (a seq) on.

    A member who comes back still sees what they saw before they left, and nothing of what was said in between.

    Raises:
        RelayError: `invalid_payload` for an unknown user, `forbidden` for one who is banned from the group.
    """
    check_user(connection, user_id)
    ban = restrictions.find(connection, channel_id, user_id, "ban")
    if ban is not None and ban.holds(now):
        raise restrictions.refusal(ban)
    row = connection.execute(
        "SELECT visible_from, visible_until, seen_before FROM members WHERE channel_id = ? AND user_id = ?"
        " AND visible_until IS NOT NULL",
        (channel_id, user_id),
    ).fetchone()
    _add_row(connection, channel_id, user_id, role, visible_from, now)
    # Having spoken before they left does not make them known to those who are members now.
    connection.execute("UPDATE pointers SET spoke = 0 WHERE channel_id = ? AND user_id = ?", (channel_id, user_id))
    if row is None:
        return
    before, until, earliest = row
    if visible_from <= (before if earliest is None else earliest):  # they may see the group's whole history
        connection.execute("DELETE FROM stays WHERE channel_id = ? AND user_id = ?", (channel_id, user_id))
        earliest = None
    elif visible_from <= until + 1:  # nothing was said in between
        visible_from = before
    else:
        connection.execute("INSERT INTO stays VALUES (?, ?, ?, ?)", (channel_id, user_id, before, until))
        earliest = before if earliest is None else earliest
    connection.execute(
        "UPDATE members SET visible_from = ?, seen_before = ? WHERE channel_id = ? AND user_id = ?",
        (visible_from, earliest, channel_id, user_id),
    )
    versions.forget_unneeded(connection, channel_id)


def acquaint(connection: sqlite3.Connection, channel_id: int, user_ids: Iterable[str]) -> None:
    """Mark members of a group as known to each other, as if each had spoken: an operator brought them together."""
    connection.executemany(
        "INSERT INTO pointers (channel_id, user_id, spoke) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET spoke = 1",
        [(channel_id, user_id) for user_id in user_ids],
    )


def set_role(connection: sqlite3.Connection, channel_id: int, user_id: str, role: Role) -> None:
    """Change a member's role."""
    connection.execute(
        "UPDATE members SET role = ? WHERE channel_id = ? AND user_id = ?", (role, channel_id, user_id)
    )


def end_membership(connection: sqlite3.Connection, channel_id: int, user_id: str, last_seq: int) -> None:
    """End a membership: the former member can still fetch everything up to `last_seq`, and nothing after it."""
    connection.execute(
        "UPDATE members SET visible_until = ? WHERE channel_id = ? AND user_id = ?",
        (last_seq, channel_id, user_id),
    )


def rename_group(connection: sqlite3.Connection, channel_id: int, name: str) -> None:
    """Change a group's display name."""
    connection.execute("UPDATE groups SET name = ? WHERE channel_id = ?", (name, channel_id))
    public_groups.note_sought(connection, channel_id)


def describe_group(connection: sqlite3.Connection, channel_id: int, description: str) -> None:
    """Change the text that says what a group is for."""
    connection.execute("UPDATE groups SET description = ? WHERE channel_id = ?", (description, channel_id))
    public_groups.note_sought(connection, channel_id)


def read_profile(connection: sqlite3.Connection, channel_id: int) -> tuple[str, str | None]:
    """Return a group's description and its picture."""
    row = connection.execute(
        "SELECT g.description, p.attachment_id FROM groups g LEFT JOIN pictures p ON p.name = g.group_id"
        " WHERE g.channel_id = ?",
        (channel_id,),
    ).fetchone()
    return (row[0], row[1]) if row else ("", None)


def delete_group(connection: sqlite3.Connection, channel_id: int, last_seq: int, now: float) -> None:
    """Mark a group as deleted and end every membership with its last event; its name stays taken."""
    connection.execute("UPDATE groups SET deleted_at = ? WHERE channel_id = ?", (now, channel_id))
    connection.execute(
        "UPDATE members SET visible_until = ? WHERE channel_id = ? AND visible_until IS NULL",
        (last_seq, channel_id),
    )
    # Members still see the event that deletes the group; those who left before, the event of their leaving.
    connection.execute(
        "UPDATE members SET visible_from = visible_until, seen_before = NULL WHERE channel_id = ?", (channel_id,)
    )
    connection.execute("DELETE FROM stays WHERE channel_id = ?", (channel_id,))
    connection.execute(
        "UPDATE groups SET description = '', public = 0, sought = '' WHERE channel_id = ?", (channel_id,)
    )
    connection.execute("DELETE FROM barred WHERE channel_id = ?", (channel_id,))
    restrictions.forget_channel(connection, channel_id)
    slow_mode.forget_channel(connection, channel_id)
    connection.execute(
        "DELETE FROM pictures WHERE name = (SELECT group_id FROM groups WHERE channel_id = ?)", (channel_id,)
    )
    versions.forget_unneeded(connection, channel_id)


def move_read(
    connection: sqlite3.Connection, channel_id: int, user_id: str, up_to_seq: int, *, shown: bool
) -> bool:
    """Move a read pointer forward; return whether it moved.

    Args:
        shown: also move the pointer that others see; a private receipt does not.
    """
    row = connection.execute(
        "SELECT read_seq, shown_seq FROM pointers WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
    ).fetchone() or (0, 0)
    read_seq, shown_seq = max(row[0], up_to_seq), max(row[1], up_to_seq if shown else 0)
    if (read_seq, shown_seq) == tuple(row):
        return False
    connection.execute(
        "INSERT INTO pointers (channel_id, user_id, read_seq, shown_seq) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET read_seq = excluded.read_seq, shown_seq = excluded.shown_seq",
        (channel_id, user_id, read_seq, shown_seq),
    )
    return True


def count_made(connection: sqlite3.Connection, user_id: str) -> int:
    """Return how many groups a user has made; of deleted ones those with a chosen id count, as it stays taken."""
    row = connection.execute(
        "SELECT count(*) FROM groups WHERE made_by = ? AND (deleted_at IS NULL OR group_id NOT GLOB ?)",
        (user_id, _MADE_UP),
    ).fetchone()
    return int(row[0])


def made_up_id() -> str:
    """Return a new group id, for a group whose maker chose none."""
    return f"g_{secrets.token_hex(_MADE_UP_BYTES)}"


def may_add(connection: sqlite3.Connection, actor: str, user_id: str) -> bool:
    """Return whether `user_id` lets `actor` add them to a group, as their `groups_from` says.

    With "shared", `actor` must be in a group with them, or they must have written to `actor`: what one side can do
    alone, such as writing to somebody, opens nothing. Everybody may add themself; for guests everybody's is
    "shared" at most. Who is blocked by a user never adds them.
    """
    if actor == user_id:
        return True
    if blocks.blocks(connection, user_id, actor):
        return False
    row = connection.execute("SELECT groups_from FROM users WHERE user_id = ?", (user_id,)).fetchone()
    by_guest = role_of(connection, actor) is ServerRole.GUEST
    if not by_guest and (row is None or row[0] == "everyone"):
        return True
    return (
        row is not None
        and row[0] != "nobody"
        and (in_a_group_together(connection, actor, user_id) or _has_written(connection, user_id, actor))
    )


def is_member(connection: sqlite3.Connection, address: str, user_id: str) -> bool:
    """Return whether a user is a member of the conversation at an address now."""
    row = connection.execute(
        "SELECT 1 FROM channels c JOIN members m USING (channel_id)"
        " WHERE c.address = ? AND m.user_id = ? AND m.visible_until IS NULL",
        (address, user_id),
    ).fetchone()
    return row is not None


def in_a_group_together(connection: sqlite3.Connection, one: str, other: str) -> bool:
    """Return whether two users are in a group together now."""
    row = connection.execute(
        "SELECT 1 FROM members a JOIN members b USING (channel_id) JOIN groups g USING (channel_id)"
        " WHERE a.user_id = ? AND a.visible_until IS NULL AND b.user_id = ? AND b.visible_until IS NULL LIMIT 1",
        (one, other),
    ).fetchone()
    return row is not None


def _has_written(connection: sqlite3.Connection, user_id: str, other: str) -> bool:
    """Return whether a user wrote one of the newest messages in their conversation with another."""
    row = connection.execute(
        "SELECT 1 FROM (SELECT sender_id FROM log WHERE channel_id = (SELECT channel_id FROM channels"
        " WHERE address = ?) ORDER BY seq DESC LIMIT ?) WHERE sender_id = ? LIMIT 1",
        (user_address(user_id, other), _LOOKED_AT, user_id),
    ).fetchone()
    return row is not None


def owner_of(members: dict[str, Role]) -> str:
    """Return the owner among a group's members, or ""."""
    return next((user_id for user_id, role in members.items() if role is Role.OWNER), "")


def groups_of(
    connection: sqlite3.Connection, user_id: str, after: str, limit: int, shared_with: str | None = None
) -> list[tuple[str, str, str]]:
    """Return (id, name, own role) of the groups that a user is in, by id after `after`.

    Args:
        shared_with: another user; then only groups that both are in.
    """
    both = (
        " AND EXISTS (SELECT 1 FROM members o WHERE o.channel_id = m.channel_id AND o.user_id = :other"
        " AND o.visible_until IS NULL)"
    )
    return connection.execute(
        "SELECT g.group_id, g.name, m.role FROM members m JOIN groups g USING (channel_id)"
        " WHERE m.user_id = :user AND m.visible_until IS NULL AND g.deleted_at IS NULL AND g.group_id > :after"
        f"{'' if shared_with is None else both} ORDER BY g.group_id LIMIT :limit",
        {"user": user_id, "after": after, "limit": limit, "other": shared_with},
    ).fetchall()


def _create_channel(connection: sqlite3.Connection, address: str, kind: ConversationKind, now: float) -> int:
    cursor = connection.execute(
        "INSERT INTO channels (address, kind, created_at) VALUES (?, ?, ?)", (address, kind, now)
    )
    return int(cursor.lastrowid or 0)


def _add_row(
    connection: sqlite3.Connection, channel_id: int, user_id: str, role: Role, visible_from: int, now: float
) -> None:
    connection.execute(
        "INSERT INTO members (channel_id, user_id, role, visible_from, joined_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (channel_id, user_id) DO UPDATE SET role = excluded.role, joined_at = excluded.joined_at,"
        " visible_from = excluded.visible_from, visible_until = NULL",
        (channel_id, user_id, role, visible_from, now),
    )
