"""Permissions, checked on every action: by socket, REST and command line alike."""

from __future__ import annotations

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.services.channels import Conversation
from relay.storage.accounts import Identity

NOTIFY = "notify"
"""The scope of a token that may notify anybody."""

METRICS = "metrics"
"""The scope of a token that may read the server's metrics."""

_RANK = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}


def require_admin(identity: Identity) -> None:
    """Refuse a user who is not an admin of this server.

    Raises:
        RelayError: `forbidden`.
    """
    if not identity.admin:
        raise RelayError(ErrorCode.FORBIDDEN, "only an admin of this server may do that")


def require_scope(identity: Identity, scope: str) -> None:
    """Refuse a token that is not an admin's and does not have the scope.

    Raises:
        RelayError: `forbidden`.
    """
    if not identity.admin and scope not in identity.scopes:
        raise RelayError(ErrorCode.FORBIDDEN, f"this needs an admin, or a token with the scope {scope!r}")


def require_member(user_id: str, conversation: Conversation | None, what: str) -> Conversation:
    """Return the conversation if the user is a member of it.

    Raises:
        RelayError: `not_found`, as for a conversation that does not exist: others do not learn that it does.
    """
    if conversation is None or user_id not in conversation.members:
        raise not_found(what)
    return conversation


def require_place(identity: Identity, conversation: Conversation, target_id: str) -> None:
    """Refuse a sender who may not send to a conversation. All users may send to the broadcast conversation.

    Raises:
        RelayError: `not_found`, as for a conversation that does not exist.
    """
    if conversation.kind is ConversationKind.BROADCAST or identity.user_id in conversation.members:
        return
    if conversation.kind is ConversationKind.SELF and (identity.admin or NOTIFY in identity.scopes):
        return
    raise not_found(f"user or group {target_id!r}")


def require_role(user_id: str, conversation: Conversation, least: Role) -> None:
    """Refuse a member whose role in the group is too low.

    Raises:
        RelayError: `forbidden`.
    """
    role = conversation.members.get(user_id)
    if role is None or _RANK[role] < _RANK[least]:
        raise RelayError(ErrorCode.FORBIDDEN, f"only the group's {_or_higher(least)} may do that")


def is_group_admin(user_id: str, conversation: Conversation) -> bool:
    """Return whether a user is the owner or an admin of a group; False in any other conversation."""
    role = conversation.members.get(user_id)
    return conversation.kind is ConversationKind.GROUP and role in (Role.OWNER, Role.ADMIN)


def require_kind(conversation: Conversation, kinds: frozenset[ConversationKind], type_name: str) -> None:
    """Refuse a message to a kind of conversation that its type does not go to.

    Raises:
        RelayError: `invalid_payload`, naming the right kinds.
    """
    if conversation.kind not in kinds:
        wanted = " or ".join(f"a {kind}" for kind in sorted(kinds))
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"a {type_name} goes to {wanted}; the target is a {conversation.kind}"
        )


def _or_higher(least: Role) -> str:
    return "owner" if least is Role.OWNER else "owner and admins"
