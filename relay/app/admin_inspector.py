"""The operator's question to the inspector: verdicts on what users may do."""

from __future__ import annotations

from typing import Any

from relay.engine.engine import Engine
from relay.protocol.rights import Act
from relay.services.inspector import inspect


async def may(engine: Engine, user_id: str, act: Act, target: str | None = None) -> dict[str, Any]:
    """Return whether a user may do something, by which rule, and a sentence about it.

    Raises:
        RelayError: `not_found` for a user or target that does not exist; `invalid_payload` for an act without its
            target.
    """
    return (await inspect(engine, user_id, act, target))._asdict()
