"""The operator's look at one message: its life, and those who were to get it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from relay.engine.engine import Engine
from relay.services.audit import Actor
from relay.services.tracing import Trace

MessageId = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]
Page = Annotated[int, Meta(ge=1, le=200)]


async def trace(
    engine: Engine,
    actor: Actor,
    message_id: MessageId,
    user: str | None = None,
    after: str = "",
    limit: Page = 50,
) -> Trace:
    """Return the life of a message, and a page of those who were to get it; the audit log has the look.

    Raises:
        RelayError: `not_found` for a message that is not there, or for a user who never was in its conversation.
    """
    position = engine.router.position
    return await engine.tracing.look(actor, message_id, position, user=user, after=after, limit=limit)
