"""The operator's backups: one made by the server, one that the command line has made, and the list."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from relay.engine.engine import Engine
from relay.services.audit import Actor
from relay.services.backups import BackupState
from relay.storage.backups import Backup

Count = Annotated[int, Meta(ge=0)]


async def start_backup(engine: Engine, actor: Actor) -> None:
    """Have the server make a backup in its folder; see `Backups.start`."""
    engine.backups.start(actor)


async def record_backup(
    engine: Engine,
    actor: Actor,
    file: Annotated[str, Meta(min_length=1, max_length=4096)],
    at: float,
    seconds: float,
    bytes: Count,
    messages: Count,
) -> None:
    """Note a backup that the command line has made itself."""
    await engine.backups.note(actor, Backup(at, seconds, "command line", file, bytes, messages, None))


async def list_backups(engine: Engine) -> BackupState:
    """Return the state of the backups."""
    return await engine.backups.state()
