"""The operator's look at the audit log."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from relay.app.admin_groups import Answer, Limit
from relay.engine.engine import Engine
from relay.storage import audit
from relay.storage.audit import Wanted

Text = Annotated[str, Meta(min_length=1, max_length=200)]


async def list_audit(
    engine: Engine,
    act: Text | None = None,
    by: Text | None = None,
    about: Text | None = None,
    since: float | None = None,
    after: Annotated[int, Meta(ge=0)] | None = None,
    limit: Limit = 1000,
) -> list[Answer]:
    """Return entries of the audit log, oldest first: those after a `message_id`, or else the newest.

    Args:
        about: a kind, or a kind and an id, such as "user:bob".
    """
    kind, _, id_ = (about or "").partition(":")
    wanted = Wanted(act=act, by=by, kind=kind or None, about=id_ or None, since=since, after=after)
    rows = await engine.runner.read(lambda connection: audit.find(connection, wanted, limit))
    entries = [{"message_id": row.message_id, "at": row.at, **row.payload} for row in rows]
    return entries if after is not None else entries[::-1]
