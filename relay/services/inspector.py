"""The inspector: verdicts on what a user may do, and by which rule; it asks what all paths ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Role, ServerRole
from relay.protocol.rights import DOING, ON_SERVER, SLOWED, Act
from relay.services.channels import EVERYBODY, ChannelManager, Conversation
from relay.services.slow_mode import waiting
from relay.services.standing import Standing
from relay.storage import public_groups, restrictions
from relay.storage.accounts import Identity, get_user
from relay.storage.conversations import ChannelRow, in_a_group_together, user_address
from relay.storage.jobs import Runner
from relay.storage.names import kind_of
from relay.storage.restrictions import Restriction

ACTS: Final = {act: doing.replace("their own", "one's own") for act, doing in DOING.items()}
"""Every act, in words."""


class Verdict(NamedTuple):
    """A verdict on what a user may do; `reason` is the word of the refusal's `details.reason`."""

    user: str
    act: str
    target: str | None
    allowed: bool
    rule: str
    reason: str | None
    sentence: str


class _Known(NamedTuple):
    """A user and a target, as the database knows them."""

    identity: Identity
    kind: str | None
    barred: bool
    acquainted: bool
    ban: Restriction | None


class Services(Protocol):
    """The services that the inspector asks: an engine has them all.

    Attributes:
        now: Unix seconds.
    """

    runner: Runner
    channels: ChannelManager
    standing: Standing
    now: Callable[[], float]


async def inspect(services: Services, user_id: str, act: Act, target_id: str | None) -> Verdict:
    """Return whether a user may do something, and why.

    Args:
        target_id: a group, another user or `*`, for an act in a conversation, and for `Act.START_DIRECT` the other
            user; None for an act on the server.

    Raises:
        RelayError: `not_found` for a user or target that does not exist; `invalid_payload` for an act without its
            target.
    """
    if act in ON_SERVER and act is not Act.START_DIRECT:
        target_id = None
    elif target_id is None and act is not Act.START_DIRECT:
        text = f"{act.value} is done in a conversation; name a group, another user or `*` as its target"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    runner, channels = services.runner, services.channels
    known = await runner.read(lambda connection: _read(connection, user_id, target_id))
    where = (
        None if target_id is None or act in ON_SERVER else await _place(channels, user_id, target_id, known.kind)
    )
    wait = 0.0
    if where is not None and where.slow_mode_seconds and act in SLOWED:
        wait = await runner.read(
            lambda connection: waiting(connection, where, user_id, None, services.now()), inline=True
        )
    decision = services.standing.decide(
        known.identity,
        act,
        where,
        ban=known.ban,
        other=target_id if act is Act.START_DIRECT else None,
        barred=known.barred,
        acquainted=known.acquainted,
        wait=wait,
    )
    said = "yes" if decision.allowed else "no"
    standing = _standing(known.identity, where)
    sentence = f"{said}: {decision.because}, and {standing}"
    return Verdict(user_id, act, target_id, decision.allowed, decision.rule, decision.reason, sentence)


def _read(connection: sqlite3.Connection, user_id: str, target_id: str | None) -> _Known:
    account = get_user(connection, user_id)
    if account is None:
        raise not_found(f"user {user_id!r}")
    identity = Identity(user_id=user_id, role=account.role, disabled=account.disabled)
    if target_id is None or target_id == EVERYBODY:
        return _Known(identity, None, False, False, None)
    kind = kind_of(connection, target_id)
    if kind is None:
        raise not_found(f"user or group {target_id!r}")
    row = connection.execute("SELECT channel_id FROM groups WHERE group_id = ?", (target_id,)).fetchone()
    barred = row is not None and public_groups.is_barred(connection, row[0], user_id)
    ban = None if row is None else restrictions.find(connection, row[0], user_id, "ban")
    return _Known(identity, kind, barred, in_a_group_together(connection, user_id, target_id), ban)


async def _place(channels: ChannelManager, user_id: str, target_id: str, kind: str | None) -> Conversation:
    """Return a conversation as it is, or as it would be: nothing is created by the question."""
    if kind == "group":
        group = await channels.group(target_id)
        if group is None:  # it was deleted, and its id stays taken
            raise not_found(f"group {target_id!r}")
        return group
    if kind is None:
        return await channels.everybody()
    address = user_address(user_id, target_id)
    both = dict.fromkeys((user_id, target_id), Role.MEMBER)
    return await channels.at(address) or Conversation(
        ChannelRow(0, ConversationKind.USER, address, "", both, "start")
    )


def _standing(identity: Identity, where: Conversation | None) -> str:
    """Return what a user is at a place, as the second half of a sentence."""
    user_id = identity.user_id
    if where is None or where.kind is ConversationKind.BROADCAST:
        article = "an" if identity.role in (ServerRole.OWNER, ServerRole.ADMIN) else "a"
        return f"{user_id} is {article} {identity.role} of this server"
    role = where.members.get(user_id)
    if where.kind is ConversationKind.USER:
        return f"{user_id} is one of the two"
    name = where.name or where.address.partition(":")[2]
    called = {None: "no member", Role.OWNER: "the owner", Role.ADMIN: "an admin", Role.MEMBER: "a member"}[role]
    return f"{user_id} is {called} of '{name}'"
