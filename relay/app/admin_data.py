"""The operation behind `relay export`, which reads the database itself: one transaction has all of it."""

from __future__ import annotations

from relay.app.admin_groups import Answer
from relay.engine.engine import Engine
from relay.services.acts import Act
from relay.services.audit import Actor


async def begin_export(engine: Engine, actor: Actor, credentials: bool = False) -> Answer:
    """Note in the audit log that everything is exported, and return the tables of plugins that are part of it.

    Args:
        credentials: with the hashes of passwords.
    """
    await engine.audit.record(actor, Act.SERVER_EXPORTED, details={"credentials": credentials})
    return {"tables": [owned.part for owned in engine.registry.parts["relay_portable_tables"]]}
