"""Checks of changes of groups, made at once and again in the change's own transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.protocol.rights import Act
from relay.services.channels import Conversation
from relay.services.permissions import require, user
from relay.storage import conversations
from relay.storage.entry import Unchanged
from relay.storage.group_profiles import Profile

CHANGING: Final = {"public": Act.PUBLISH, "rights": Act.CHANGE_RIGHTS, "closed": Act.CLOSE}
"""The acts that change a part of a group's profile; the rest takes `Act.EDIT_PROFILE`."""


def check_put(
    conversation: Conversation, user_id: str, member: str, role: Role, seen: Role | None, *, most: int
) -> None:
    """Refuse a change of a member that is not allowed or no longer fits; raises Unchanged if it changes nothing.

    Args:
        seen: the role that the member had when the change was asked for; None for no member.
        most: the most members of a group.
    """
    present = conversation.members.get(member)
    acts = [Act.INVITE if present is None else Act.CHANGE_ROLE]
    if Role.OWNER in (role, present):
        acts.append(Act.HAND_ON)
    elif present is None and role is Role.ADMIN:
        acts.append(Act.CHANGE_ROLE)
    for act in acts:
        require(user(user_id), act, conversation)
    if present is role:
        raise Unchanged
    if present is not seen:
        text = f"the role of {member!r} was just changed; look and try again"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "changed_meanwhile"})
    if present is Role.OWNER:
        raise RelayError(
            ErrorCode.FORBIDDEN, "make another member the owner first", details={"reason": "owner_stays"}
        )
    if present is None and len(conversation.members) >= most:
        raise group_full(ErrorCode.FORBIDDEN, most)


def group_full(code: ErrorCode, most: int) -> RelayError:
    """Return the refusal of a member for whom a group has no room."""
    text = f"a group has at most {most} members"
    return RelayError(code, text, details={"reason": "group_full", "max": most})


def require_consent(connection: sqlite3.Connection, actor: str, member: str) -> None:
    """Refuse to add somebody who does not let the actor add them.

    Raises:
        RelayError: `forbidden`.
    """
    if not conversations.may_add(connection, actor, member):
        raise RelayError(
            ErrorCode.FORBIDDEN,
            f"{member!r} does not let you add them to a group",
            details={"reason": "not_addable", "user_id": member},
        )


def differs(group: Conversation, changes: Profile) -> bool:
    """Return whether changes change anything; a profile that is said again is told again."""
    if changes.keys() - {"rights", "closed"}:
        return True
    closed = changes.get("closed", group.closed)
    return closed != group.closed or changes.get("rights", group.chosen) != group.chosen
