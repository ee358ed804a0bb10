"""Roles on this server: who may do what by their role, and what guests may not; the one place that decides it.

Every path asks here: sockets, REST, the command line, and plugins by their server.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ServerRole
from relay.storage import accounts, conversations
from relay.storage.accounts import Identity

WHO_ON_SERVER: Final = {
    ServerRole.OWNER: "an owner of this server",
    ServerRole.ADMIN: "an admin of this server",
    ServerRole.MODERATOR: "a moderator or an admin of this server",
}
_BELOW_ADMINS: Final = frozenset({ServerRole.MODERATOR, ServerRole.MEMBER, ServerRole.GUEST})


def require_server_role(identity: Identity, least: ServerRole) -> None:
    """Refuse a user whose role on this server is too low.

    Raises:
        RelayError: `forbidden`.
    """
    if not identity.role.reaches(least):
        details = {"reason": f"server_{least}"}
        raise RelayError(ErrorCode.FORBIDDEN, f"only {WHO_ON_SERVER[least]} may do that", details=details)


def check_manages(by: ServerRole | None, other: ServerRole) -> None:
    """Refuse to change the account of somebody whose role is not below one's own; an owner manages everybody.

    Args:
        by: the role of who acts; None for the operator, who may everything.

    Raises:
        RelayError: `forbidden`.
    """
    if by is None or by is ServerRole.OWNER or (by is ServerRole.ADMIN and other in _BELOW_ADMINS):
        return
    who = "an owner" if other in (ServerRole.OWNER, ServerRole.ADMIN) else "an admin or an owner"
    text = f"this is the account of a server's {other}; only {who} of this server may change it"
    raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "role_too_high", "role": other})


def check_gives(by: ServerRole | None, role: ServerRole) -> None:
    """Refuse to give somebody a role that one may not give: owners give every role, admins those below their own.

    Args:
        by: the role of who gives it; None for the operator.

    Raises:
        RelayError: `forbidden`.
    """
    if by is None or by is ServerRole.OWNER or (by is ServerRole.ADMIN and role in _BELOW_ADMINS):
        return
    who = "an owner" if role in (ServerRole.OWNER, ServerRole.ADMIN) else "an admin or an owner"
    text = f"only {who} of this server makes somebody {role}"
    raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "role_too_high", "role": role})


def first_is_owner(connection: sqlite3.Connection, role: ServerRole) -> ServerRole:
    """Return the role for a new account: the first admin is the owner, as nobody else could make one."""
    return ServerRole.OWNER if role is ServerRole.ADMIN and not accounts.has_admins(connection) else role


def check_owner_stays(connection: sqlite3.Connection, user_id: str) -> None:
    """Refuse to take the last owner away: by another role, by disabling the account, or by erasing it.

    Raises:
        RelayError: `conflict`.
    """
    user = accounts.get_user(connection, user_id)
    if user is None or user.role is not ServerRole.OWNER or user.disabled:
        return
    if accounts.count_owners(connection) == 1:
        text = f"{user_id!r} is the last owner of this server; make somebody else an owner first"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "last_owner"})


def is_guest(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether a user is a guest."""
    return accounts.role_of(connection, user_id) is ServerRole.GUEST


def check_may_address(connection: sqlite3.Connection, user_id: str, target_id: str) -> None:
    """Refuse that a guest writes to somebody whom they share no group with, or to a group that they are not in.

    Raises:
        RelayError: `not_found`, as for a name that nobody has: a guest does not learn who is here.
    """
    if (
        is_guest(connection, user_id)
        and user_id != target_id
        and not conversations.is_member(connection, conversations.group_address(target_id), user_id)
        and not conversations.in_a_group_together(connection, user_id, target_id)
    ):
        raise not_found(f"user or group {target_id!r}")
