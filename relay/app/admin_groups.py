"""What an operator may do to groups: the half of `relay.app.admin` that acts in the owner's name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.engine.engine import Engine
from relay.protocol.errors import not_found
from relay.protocol.kinds import Role
from relay.services.channels import Conversation
from relay.services.groups import describe
from relay.storage import listings

Answer = dict[str, Any]
DisplayName = Annotated[str, Meta(min_length=1, max_length=100)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
History = Literal["join", "start"]


async def create_group(
    engine: Engine,
    group_id: str,
    name: DisplayName,
    owner: str,
    members: tuple[str, ...] = (),
    history: History = "join",
) -> Answer:
    """Create a group, as if its owner did.

    Raises:
        RelayError: `conflict`, `invalid_payload`, `forbidden` when the owner is in too many.
    """
    return describe(await engine.groups.create(owner, name, list(members), group_id, history, acquaint=True))


async def list_groups(engine: Engine, after: str = "", limit: Limit = 1000) -> list[Answer]:
    """Return the groups whose ids come after `after`, in the order of their ids."""
    rows = await engine.runner.read(lambda connection: listings.list_groups(connection, after, limit))
    return [row._asdict() for row in rows]


async def show_group(engine: Engine, group_id: str) -> Answer:
    """Return a group with its members.

    Raises:
        RelayError: `not_found`.
    """
    return describe(await _group(engine, group_id))


async def put_member(engine: Engine, group_id: str, user_id: str, role: Role | None = None) -> Answer:
    """Add a member to a group or change one's role, as its owner; without a role a present one stays.

    Raises:
        RelayError: `not_found`, `invalid_payload`, `forbidden`.
    """
    conversation = await _group(engine, group_id)
    role = role or conversation.members.get(user_id, Role.MEMBER)
    owner = _owner(conversation)
    return describe(await engine.groups.put_member(owner, group_id, user_id, role, acquaint=True))


async def remove_member(engine: Engine, group_id: str, user_id: str) -> None:
    """Remove a member from a group, as its owner.

    Raises:
        RelayError: `not_found`, `forbidden` for the owner.
    """
    owner = _owner(await _group(engine, group_id))
    await engine.groups.remove_member(owner, group_id, user_id)


async def delete_group(engine: Engine, group_id: str) -> None:
    """Delete a group, as its owner.

    Raises:
        RelayError: `not_found`.
    """
    owner = _owner(await _group(engine, group_id))
    await engine.groups.delete(owner, group_id)


async def _group(engine: Engine, group_id: str) -> Conversation:
    conversation = await engine.channels.group(group_id)
    if conversation is None:
        raise not_found(f"group {group_id!r}")
    return conversation


def _owner(conversation: Conversation) -> str:
    """Return the owner: a group always has exactly one."""
    return next(user_id for user_id, role in conversation.members.items() if role is Role.OWNER)
