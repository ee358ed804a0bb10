"""Notifications that admins and the operator send, to a user, a group or everybody."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

from msgspec import Meta

from relay.engine.engine import Engine
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.audit import About, Actor
from relay.services.permissions import NOTIFY


async def notify(
    engine: Engine,
    actor: Actor,
    target_id: str,
    payload: dict[str, Any],
    expires_in: Annotated[float, Meta(gt=0, le=3_153_600_000)] | None = None,
    sender_id: str | None = None,
) -> dict[str, Any]:
    """Store a notification to a user, a group or `*`; return its message_id, seq and sender.

    Args:
        expires_in: seconds until it expires.
        sender_id: the sender; by default who acts, and for the operator the first admin.

    Raises:
        RelayError: `not_found` for the target or the sender, `invalid_payload`.
    """
    sender_id = sender_id or actor.by
    if sender_id is None:
        sender_id = await engine.runner.read(_first_admin)
    if sender_id is None:
        text = "there is no admin it could come from: name a sender, or add one (relay user add NAME --admin)"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    if expires_in is not None:
        payload = payload | {"expires_at": engine.now() + expires_in}
    entry = await engine.submitter.send_as(
        sender_id, "notification", payload, target_id, scopes=frozenset({NOTIFY})
    )
    details = {"message_id": entry.message_id, "sender_id": sender_id}
    await engine.audit.record(actor, Act.NOTIFIED, About("target", target_id), details)
    return {**details, "seq": entry.seq}


def _first_admin(connection: sqlite3.Connection) -> str | None:
    row = connection.execute(
        "SELECT user_id FROM users WHERE role IN ('owner', 'admin') AND disabled = 0"
        " ORDER BY created_at, user_id LIMIT 1"
    ).fetchone()
    return row[0] if row else None
