"""Groups as answers and events show them."""

from __future__ import annotations

from typing import Any

from relay.protocol.kinds import Role
from relay.protocol.rights import may
from relay.services.channels import Conversation


def listed_members(roles: dict[str, Role]) -> list[dict[str, str]]:
    """Return members with their roles, as answers and events list them."""
    return [{"user_id": user_id, "role": role} for user_id, role in roles.items()]


def describe(conversation: Conversation) -> dict[str, Any]:
    """Return a group for REST, its members sorted by role, then by name."""
    rank = list(Role)
    members = sorted(conversation.members.items(), key=lambda member: (rank.index(member[1]), member[0]))
    return {
        "group_id": conversation.address.partition(":")[2],
        "name": conversation.name,
        "public": conversation.public,
        "history": conversation.history,
        "rights": conversation.rights._asdict(),
        "closed": conversation.closed,
        "slow_mode_seconds": conversation.slow_mode_seconds,
        "members": listed_members(dict(members)),
    }


def allowed(conversation: Conversation, user_id: str) -> list[str]:
    """Return what a user may do in a group; nothing for who is no member."""
    role = conversation.members.get(user_id)
    return [] if role is None else may(role, conversation.rights, closed=conversation.closed)
