"""The operator's look at the server: its condition, its disk, the way to it; the reload of its settings."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.engine.condition import Condition, Conditions
from relay.engine.engine import Engine
from relay.services.audit import Actor
from relay.services.usage import Usage


async def status(engine: Engine) -> Condition:
    """Return the server's condition."""
    return await Conditions(engine).condition()


async def storage(engine: Engine) -> Usage:
    """Return the use of the disk."""
    return await engine.usage.usage()


async def reload(engine: Engine, actor: Actor) -> dict[str, Any]:
    """Have the settings read again; return what changed, what waits for a restart, and what stays as it was."""
    found: dict[str, Any] = msgspec.to_builtins(await engine.live.reload(actor))
    return found


async def begin_probe(engine: Engine) -> dict[str, str]:
    """Return the id of a probe, by which `relay doctor` looks at the way to this server."""
    return {"probe_id": engine.probes.begin()}
