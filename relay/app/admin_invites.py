"""The operator's operations on invites."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.app.admin_groups import Answer, Limit
from relay.engine.engine import Engine
from relay.services.audit import Actor
from relay.storage import invites

Days = Annotated[float, Meta(ge=0, le=36_500)]
_DAY = 86_400.0


async def create_invite(
    engine: Engine,
    actor: Actor,
    uses: Annotated[int, Meta(ge=1, le=1_000_000)] = 1,
    days: Days = 7,
    role: Literal["user", "guest", "moderator", "admin"] = "user",
    label: Annotated[str, Meta(max_length=100)] = "",
    groups: tuple[str, ...] = (),
) -> str:
    """Create an invite for `uses` registrations within `days` (0: for ever); return its code.

    Raises:
        RelayError: `not_found` for a group, `invalid_payload` for a label that shows nothing.
    """
    code, _ = await engine.invitations.make(
        actor,
        uses=uses,
        seconds=days * _DAY if days else None,
        role=role,
        label=label,
        group_ids=groups,
    )
    return code


async def list_invites(engine: Engine, after: str = "", limit: Limit = 1000, ended: bool = False) -> list[Answer]:
    """Return the invites that can be used, by id, those after `after`; with `ended`, the others too."""

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        found = invites.listed(connection, engine.now(), after=after, limit=limit, ended=ended)
        return [
            one._asdict() | {"used_by": [use._asdict() for use in invites.uses_of(connection, one.invite_id)]}
            for one in found
        ]

    return await engine.runner.read(read)


async def revoke_invite(engine: Engine, actor: Actor, invite: str) -> None:
    """Take an invite back, named by its id, its code or its link.

    Raises:
        RelayError: `not_found`.
    """
    await engine.invitations.revoke(actor, invite)
