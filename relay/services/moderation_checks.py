"""Checks of moderation: a restriction ends when it may, and nobody acts on who is as high as they are."""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import Role, ServerRole
from relay.protocol.rights import Act
from relay.services.audit import Actor
from relay.services.channels import Conversation
from relay.services.permissions import require, user
from relay.storage.accounts import role_of
from relay.storage.restrictions import RestrictionKind

LONGEST_TIMEOUT: Final = 366 * 86_400.0
"""The longest timeout, in seconds; what should last longer is a ban."""


def check_until(kind: RestrictionKind, until: float | None, now: float) -> None:
    """Refuse an end that is over, missing, or too far.

    Raises:
        RelayError: `invalid_payload`.
    """
    problem = None
    if until is None and kind == "timeout":
        problem = "a timeout needs an end: seconds, or until in Unix seconds"
    elif until is not None and until <= now:
        problem = "this end is over; until is a time to come, in Unix seconds"
    elif until is not None and kind == "timeout" and until > now + LONGEST_TIMEOUT:
        problem = "a timeout lasts a year at most; what should last longer is a ban"
    if problem is not None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, problem, details={"field": "until"})


def _yourself() -> RelayError:
    return RelayError(ErrorCode.FORBIDDEN, "nobody does that to themself", details={"reason": "yourself"})


def _outranked(user_id: str) -> RelayError:
    text = f"the role of {user_id!r} is as high as yours, or higher"
    return RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "outranked"})


def check_outranks(connection: sqlite3.Connection, actor: Actor, user_id: str) -> None:
    """Refuse an act on the server about somebody whose role there is not lower than the actor's."""
    role = role_of(connection, user_id)
    if role is None:
        raise not_found(f"user {user_id!r}")
    if actor.by == user_id:
        raise _yourself()
    if actor.by is None:
        return
    if actor.role is None or not actor.role.reaches(ServerRole.MODERATOR):
        text = "only a moderator or an admin of this server may do that"
        raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "server_moderator"})
    if role.reaches(actor.role):
        raise _outranked(user_id)


_RANK: Final = {role: -number for number, role in enumerate(Role)}


def check_manages(actor: Actor, conversation: Conversation, user_id: str | None) -> None:
    """Refuse an act in a group by who does not manage it, or about somebody whose role there is as high."""
    if actor.by is None:
        if user_id is not None and conversation.members.get(user_id) is Role.OWNER:
            text = "the owner of a group manages it; make another the owner first"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "owner_stays"})
        return
    require(user(actor.by), Act.REMOVE_MEMBER, conversation)
    if user_id is None:
        return
    if user_id == actor.by:
        raise _yourself()
    own, other = conversation.members[actor.by], conversation.members.get(user_id)
    if other is not None and _RANK[other] >= _RANK[own]:
        raise _outranked(user_id)
