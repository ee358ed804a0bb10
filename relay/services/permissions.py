"""Permissions: one decision, asked on every path alike, by socket, REST, command line and plugins.

`decide` says whether a user may do something, by which rule, and why not; `require` refuses. A conversation's
members and rights are in memory, so neither waits. What a message of an ordinary group needs is no call at all:
`Conversation.restricted` is False there, see `relay.engine.dispatch`.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from math import ceil
from typing import Any, Final, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Role, ServerRole
from relay.protocol.rights import (
    BETWEEN_TWO,
    BY_RIGHT,
    DOING,
    IN_CLOSED,
    ON_SERVER,
    SLOWED,
    Act,
    Holder,
    Rights,
    holder_of,
    includes,
)
from relay.services.channels import Conversation
from relay.services.server_roles import WHO_ON_SERVER, require_server_role
from relay.storage.accounts import Identity, role_of

NOTIFY = "notify"
"""The scope of a token that may notify anybody."""

METRICS = "metrics"
"""The scope of a token that may read the server's metrics."""

_RANK = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}


class Decision(NamedTuple):
    """A decision on what a user may do, and its reasons.

    Attributes:
        rule: what decided: "membership", "right", "role", "closed", "kind", "server", "author", "barred" or
            "slow_mode".
        because: a clause for people, without the user's name: "only admins write here (right `write`)".
        reason: of a refusal, the word of `details.reason`; None where it is answered as for a place that does not
            exist.
        details: what goes with the reason.
        retry_after: the seconds after which it is allowed; None for a refusal that no time changes.
    """

    allowed: bool
    rule: str
    because: str
    reason: str | None = None
    details: tuple[tuple[str, Any], ...] = ()
    retry_after: float | None = None

    def refusal(self, what: str) -> RelayError:
        """Return the refusal, as clients get it.

        Args:
            what: the place, for who may not know that there is one: "group 'team'".
        """
        if self.rule == "membership":
            return not_found(what)
        code = _CODES.get(self.rule, ErrorCode.FORBIDDEN)
        details = {"reason": self.reason, **dict(self.details)}
        return RelayError(code, self.because, retry_after=self.retry_after, details=details)


_CODES: Final = {"kind": ErrorCode.INVALID_PAYLOAD, "slow_mode": ErrorCode.RATE_LIMITED}
"""The codes of refusals by these rules; those of all others are `forbidden`."""

_CLOSED: Final = Decision(
    False, "closed", "this group is closed: nobody writes in it or changes it", "group_closed"
)
_STRANGER: Final = Decision(False, "membership", "only members learn of it, and what is in it")


def decide(
    who: Identity,
    act: Act,
    where: Conversation | None = None,
    *,
    barred: bool = False,
    acquainted: bool = False,
    wait: float = 0.0,
) -> Decision:
    """Decide whether a user may do something: on the server, or in a conversation.

    A server's admin is nobody special in a conversation: who is no member of it does nothing there.

    Args:
        where: the conversation, for all acts but those `ON_SERVER`; None where there is none.
        barred: whether the user was removed from the group, as the database knows; for `Act.JOIN`.
        acquainted: whether the user is in a group with the other; for `Act.START_DIRECT` of a guest.
        wait: the seconds that a plain member has yet to wait by the group's slow mode, as the database knows; for
            the acts `SLOWED`.
    """
    if act in ON_SERVER:
        return _on_server(who, act, acquainted=acquainted)
    if where is None:
        return _STRANGER
    if where.kind is ConversationKind.BROADCAST:
        return _to_everybody(who, act)
    role = where.members.get(who.user_id)
    if where.kind is ConversationKind.GROUP:
        if act is Act.JOIN or role is None:
            return _joining(who, act, where, member=role is not None, barred=barred)
        decision = _in_group(role, act, where.rights, where.closed)
        if wait > 0 and act in SLOWED and decision.allowed and slowed(where, who.user_id):
            return _too_soon(where.slow_mode_seconds, wait)
        return decision
    if where.kind is ConversationKind.SELF:
        return _in_own(who, act, own=role is not None)
    return _STRANGER if role is None else _between_two(act)


def require(who: Identity, act: Act, where: Conversation | None = None, what: str = "", **facts: Any) -> None:
    """Refuse a user who may not do something; the arguments are those of `decide`.

    Args:
        what: the place, for who may not know that there is one: "group 'team'".

    Raises:
        RelayError: `forbidden` with `details.reason`; `not_found` for who is no member; `invalid_payload` where
            nobody can do that in such a conversation; `rate_limited` with `retry_after` by slow mode.
    """
    decision = decide(who, act, where, **facts)
    if not decision.allowed:
        raise decision.refusal(what or _named(where))


def refused(user_id: str, act: Act, where: Conversation, what: str) -> RelayError | None:
    """Return the refusal of something that a user does in a conversation; None where they may do it."""
    decision = decide(user(user_id), act, where)
    return None if decision.allowed else decision.refusal(what)


def require_open(where: Conversation, act: Act) -> None:
    """Refuse something in a closed group, whoever does it.

    Raises:
        RelayError: `forbidden`.
    """
    if where.closed and act not in IN_CLOSED:
        raise _CLOSED.refusal("")


def acting(connection: sqlite3.Connection, user_id: str) -> Identity:
    """Return a user with their role on the server, for acts on it, inside a transaction."""
    return Identity(user_id=user_id, role=role_of(connection, user_id) or ServerRole.MEMBER)


def user(user_id: str) -> Identity:
    """Return a user without a token, for acts in conversations, where only membership counts."""
    return Identity(user_id=user_id)


@lru_cache(maxsize=4096)
def _in_group(role: Role, act: Act, rights: Rights, closed: bool) -> Decision:
    """Decide for a member; a few roles, acts and rights come again and again."""
    if act is Act.EDIT_OTHERS:
        return Decision(False, "author", "only its author may edit a message", "not_yours")
    if closed and act not in IN_CLOSED:
        return _CLOSED
    if act is Act.LEAVE and role is Role.OWNER:
        text = "the owner cannot leave: make another the owner, or delete it"
        return Decision(False, "role", text, "owner_stays")
    holder = holder_of(act, rights)
    assert holder is not None  # noqa: S101 - all other acts in a group have one
    right = BY_RIGHT.get(act)
    named = "" if right is None else f" (right `{right}`)"
    rule = "role" if right is None else "right"
    if includes(holder, role):
        return Decision(True, rule, f"{_WHO[holder]} may {DOING[act]}{named}")
    least = Role.OWNER if holder is Holder.OWNER else Role.ADMIN
    details = {"role": least.value} | ({} if right is None else {"right": right})
    reason = "not_yours" if act is Act.DELETE_OTHERS else "group_role"
    text = f"only the group's {_or_higher(least)} may {DOING[act]}"
    return Decision(False, rule, text + named, reason, tuple(details.items()))


_WHO: Final = {
    Holder.EVERYBODY: "every member",
    Holder.ADMINS: "the group's owner and admins",
    Holder.OWNER: "the group's owner",
}


def slowed(group: Conversation, user_id: str) -> bool:
    """Return whether slow mode holds for a member: the group's owner and admins write as they like."""
    return group.slow_mode_seconds > 0 and group.members.get(user_id) is Role.MEMBER


def _too_soon(seconds: int, wait: float) -> Decision:
    often = "second" if seconds == 1 else f"{seconds} seconds"
    text = f"a member writes here once every {often}, by the group's slow mode; write again in {ceil(wait)} s"
    return Decision(False, "slow_mode", text, "slow_mode", (("seconds", seconds),), wait)


def _joining(who: Identity, act: Act, group: Conversation, *, member: bool, barred: bool) -> Decision:
    if act is not Act.JOIN or not (member or group.public):
        return _STRANGER
    if member:
        return Decision(True, "membership", "who is a member stays one")
    if group.closed:
        return _CLOSED
    if who.role is ServerRole.GUEST:
        return _guest("joins no group alone; somebody who manages it can add them")
    if barred:
        text = "you were removed from this group; only who manages it can add you"
        return Decision(False, "barred", text, "barred")
    return Decision(True, "membership", "everybody may join a public group")


def _between_two(act: Act) -> Decision:
    if act in BETWEEN_TWO:
        return Decision(True, "membership", f"both may {DOING[act]} in a conversation of two")
    if act in (Act.EDIT_OTHERS, Act.DELETE_OTHERS, Act.END_OTHERS):
        return Decision(False, "author", "only its author may do that to a message", "not_yours")
    return Decision(False, "kind", f"there is nobody to {DOING[act]} in a conversation of two", "not_a_group")


def _in_own(who: Identity, act: Act, *, own: bool) -> Decision:
    """Decide for a user's own channel, which holds notifications to them."""
    if own and act in (Act.READ, Act.REACT, Act.DELETE, Act.DELETE_OTHERS):
        return Decision(True, "membership", "it is the user's own")
    if act is Act.WRITE or (act in (Act.DELETE, Act.DELETE_OTHERS) and who.admin):
        return _on_server(who, Act.NOTIFY)
    return _between_two(act) if own else _STRANGER


def _to_everybody(who: Identity, act: Act) -> Decision:
    """Decide for the conversation of everybody, in which every user is."""
    if act in (Act.READ, Act.REACT):
        return Decision(True, "membership", "every user is in it")
    if act is Act.DELETE_OTHERS:
        if who.admin:
            return Decision(True, "server", "an admin of the server may")
        return Decision(False, "server", "only its author, or an admin of this server, may delete it", "not_yours")
    return _on_server(who, Act.NOTIFY) if act in BETWEEN_TWO else _between_two(act)


def _on_server(who: Identity, act: Act, *, acquainted: bool = False) -> Decision:
    least = _LEAST.get(act)
    if least is not None and not who.role.reaches(least):
        text = f"only {WHO_ON_SERVER[least]} may {DOING[act]}"
        return Decision(False, "server", text, f"server_{least.value}")
    if who.role is ServerRole.GUEST and act in _NO_GUEST and not acquainted:
        return _guest(_NO_GUEST[act])
    if act is Act.NOTIFY and not who.admin and NOTIFY not in who.scopes:
        return _no_scope(NOTIFY)
    return Decision(True, "server", f"may {DOING[act]}")


_LEAST: Final = {
    Act.ADMINISTER: ServerRole.ADMIN,
    Act.INVITE_PEOPLE: ServerRole.ADMIN,
    Act.MODERATE: ServerRole.MODERATOR,
}
"""The server role that an act takes at least."""

_NO_GUEST: Final = {
    Act.MAKE_GROUP: "makes no groups; ask a member of this server",
    Act.HAVE_TOKENS: "has no tokens but those of logins",
    Act.START_DIRECT: "writes only to people whom they share a group with",
    Act.SEE_DIRECTORY: "finds only the people of their own conversations",
}
"""Acts that no guest does; to begin a conversation, one who is acquainted with the other does."""


def _no_scope(scope: str) -> Decision:
    text = f"this needs an admin, or a token with the scope {scope!r}"
    return Decision(False, "server", text, "scope", (("scope", scope),))


def _guest(what: str) -> Decision:
    return Decision(False, "server", f"a guest {what}", "guest")


def _named(where: Conversation | None) -> str:
    return "user or group" if where is None else f"group {where.address.partition(':')[2]!r}"


def require_admin(identity: Identity) -> None:
    """Refuse a user who is not an admin of this server.

    Raises:
        RelayError: `forbidden`.
    """
    require_server_role(identity, ServerRole.ADMIN)


def require_scope(identity: Identity, scope: str) -> None:
    """Refuse a token that is not an admin's and does not have the scope.

    Raises:
        RelayError: `forbidden`.
    """
    if not identity.admin and scope not in identity.scopes:
        raise _no_scope(scope).refusal("")


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
        text = f"only the group's {_or_higher(least)} may do that"
        raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "group_role", "role": least})


def holds(chosen: frozenset[Role] | None) -> Holder:
    """Return who has the right of an act whose message type is for these roles; None for all."""
    if chosen is None or Role.MEMBER in chosen:
        return Holder.EVERYBODY
    return Holder.ADMINS if Role.ADMIN in chosen else Holder.OWNER


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
