"""The operation behind `relay notify`."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

from msgspec import Meta

from relay.engine.engine import Engine
from relay.engine.sending import send_as
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.permissions import NOTIFY


async def notify(
    engine: Engine,
    target_id: str,
    payload: dict[str, Any],
    expires_in: Annotated[float, Meta(gt=0, le=3_153_600_000)] | None = None,
    sender_id: str | None = None,
) -> dict[str, Any]:
    """Store a notification to a user, a group or `*`, and return its place.

    Args:
        expires_in: seconds until it expires.
        sender_id: whom it comes from; the first admin where it is left out.

    Raises:
        RelayError: `not_found` for the target or the sender, `invalid_payload`.
    """
    if sender_id is None:
        sender_id = await engine.runner.read(_first_admin)
    if sender_id is None:
        text = "there is no admin it could come from: name a sender, or add one (relay user add NAME --admin)"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    if expires_in is not None:
        payload = payload | {"expires_at": engine.now() + expires_in}
    entry = await send_as(engine, sender_id, "notification", payload, target_id, scopes=frozenset({NOTIFY}))
    return {"message_id": entry.message_id, "seq": entry.seq, "sender_id": sender_id}


def _first_admin(connection: sqlite3.Connection) -> str | None:
    row = connection.execute(
        "SELECT user_id FROM users WHERE admin = 1 AND disabled = 0 ORDER BY created_at, user_id LIMIT 1"
    ).fetchone()
    return row[0] if row else None
