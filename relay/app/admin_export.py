"""The operations behind `relay user export`: an account page by page, as one answer has a bounded size."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Final

from msgspec import Meta

from relay.app.admin_groups import Answer
from relay.engine.engine import Engine
from relay.services.acts import Act
from relay.services.audit import About, Actor
from relay.services.exporting import Lines, described

_PIECE: Final = 512 * 1024
Position = Annotated[int, Meta(ge=0)]


async def export_account(engine: Engine, actor: Actor, user_id: str) -> Answer:
    """Return what is kept of an account, and note in the audit log that somebody exports it.

    Raises:
        RelayError: `not_found`.
    """
    found = await engine.exports.account(user_id)
    await engine.audit.record(actor, Act.USER_EXPORTED, About("user", user_id))
    return found


async def export_messages(engine: Engine, user_id: str, after: Position = 0) -> Answer:
    """Return a page of what a user said, and of what was sent to them alone; see `Exports.messages`."""
    return _page(await engine.exports.messages(user_id, after))


async def export_latest(engine: Engine, user_id: str, after: Position = 0) -> Answer:
    """Return a page of a user's latest values; see `Exports.latest`."""
    return _page(await engine.exports.latest(user_id, after))


def _page(found: Lines) -> Answer:
    return {"lines": b"".join(found.lines).decode(), "reached": found.reached}


async def export_files(engine: Engine, user_id: str, after: str = "") -> list[Answer]:
    """Return a page of a user's uploads; see `Exports.files`."""
    return [described(file) for file in await engine.exports.files(user_id, after)]


async def export_bytes(engine: Engine, user_id: str, attachment_id: str, start: Position = 0) -> str:
    """Return a piece of a file, in base64; an empty one is its end.

    Raises:
        RelayError: `not_found`.
    """
    file = await engine.exports.file(user_id, attachment_id)
    stop = min(start + _PIECE, file.size)
    parts = [part async for part in engine.exports.read(file, start, stop)] if start < stop else []
    return b64encode(b"".join(parts)).decode()
