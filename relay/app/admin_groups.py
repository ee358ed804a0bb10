"""The operator's operations on groups; each acts in the name of the group's owner."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.engine.engine import Engine
from relay.protocol.kinds import Role
from relay.services.audit import Actor
from relay.services.group_view import describe
from relay.storage import listings

Answer = dict[str, Any]
DisplayName = Annotated[str, Meta(min_length=1, max_length=100)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
History = Literal["join", "start"]


async def create_group(
    engine: Engine,
    actor: Actor,
    group_id: str,
    name: DisplayName,
    owner: str,
    members: tuple[str, ...] = (),
    history: History = "join",
) -> Answer:
    """Create a group in its owner's name.

    Raises:
        RelayError: `conflict`, `invalid_payload`, `forbidden` when the owner is in too many.
    """
    return describe(await engine.group_administration.create(actor, owner, name, members, group_id, history))


async def list_groups(engine: Engine, after: str = "", limit: Limit = 1000) -> list[Answer]:
    """Return groups by id, those after `after`."""
    rows = await engine.runner.read(lambda connection: listings.list_groups(connection, after, limit))
    return [row._asdict() for row in rows]


async def show_group(engine: Engine, group_id: str) -> Answer:
    """Return a group with its members.

    Raises:
        RelayError: `not_found`.
    """
    return describe(await engine.group_administration.get(group_id))


async def put_member(
    engine: Engine, actor: Actor, group_id: str, user_id: str, role: Role | None = None
) -> Answer:
    """Add a member to a group or change a member's role; without a role, a present member keeps theirs.

    Raises:
        RelayError: `not_found`, `invalid_payload`, `forbidden`.
    """
    return describe(await engine.group_administration.put_member(actor, group_id, user_id, role))


async def remove_member(engine: Engine, actor: Actor, group_id: str, user_id: str) -> None:
    """Remove a member from a group.

    Raises:
        RelayError: `not_found`, `forbidden` for the owner.
    """
    await engine.group_administration.remove_member(actor, group_id, user_id)


async def set_slow_mode(engine: Engine, actor: Actor, group_id: str, seconds: int) -> Answer:
    """Set the seconds between two messages of a plain member of a group; 0 for no slow mode.

    Raises:
        RelayError: `not_found`, `invalid_payload`.
    """
    return describe(await engine.slow_mode.set(actor, group_id, seconds))


async def delete_group(engine: Engine, actor: Actor, group_id: str) -> None:
    """Delete a group.

    Raises:
        RelayError: `not_found`.
    """
    await engine.group_administration.delete(actor, group_id)
