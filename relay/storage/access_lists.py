"""Lists of all tokens and all devices of a server, for its admins."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from relay.storage.accounts import LAST_USED


class TokenRow(NamedTuple):
    """A token, without the token itself; `last_used_at` is None for one that was never used."""

    token_id: str
    user_id: str
    origin: str
    label: str
    scopes: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None


class DeviceRow(NamedTuple):
    """A device that is not revoked, of some user; `acked` is the position up to which it has all."""

    user_id: str
    client_id: str
    agent: str
    created_at: float
    seen_at: float
    acked: int


class After(NamedTuple):
    """The last row of a page: what the list is ordered by, and what makes it unique."""

    at: float
    key: str


BEGINNING: Final = After(float("inf"), "")


def find_tokens(
    connection: sqlite3.Connection,
    *,
    text: str = "",
    user_id: str | None = None,
    origin: str | None = None,
    after: After = BEGINNING,
    limit: int = 50,
) -> list[TokenRow]:
    """Return tokens, the newest first, from the first behind `after`; its `key` is the token's id.

    Args:
        text: is in the token's id, its user's id, its label or its scopes; case is ignored.
        user_id: only tokens of this user.
        origin: only tokens that were made so: "login", "cli", or by a plugin.
    """
    rows = connection.execute(
        f"SELECT t.token_id, t.user_id, t.origin, t.label, t.scopes, t.created_at, t.expires_at, {LAST_USED}"
        " FROM tokens t WHERE (t.created_at < :at OR t.created_at = :at AND t.token_id > :key)"
        " AND (:user_id IS NULL OR t.user_id = :user_id) AND (:origin IS NULL OR t.origin = :origin)"
        " AND (:text = ''"
        " OR instr(lower(t.token_id || ' ' || t.user_id || ' ' || t.label || ' ' || t.scopes), :text))"
        " ORDER BY t.created_at DESC, t.token_id LIMIT :limit",
        {
            "at": after.at, "key": after.key, "user_id": user_id, "origin": origin, "text": text.lower(),
            "limit": limit,
        },
    )  # fmt: skip
    return [TokenRow(*row) for row in rows]


def find_devices(
    connection: sqlite3.Connection,
    *,
    text: str = "",
    user_id: str | None = None,
    after: After = BEGINNING,
    limit: int = 50,
) -> list[DeviceRow]:
    """Return devices that are not revoked, last seen first, from the first behind `after`.

    Args:
        text: is in the user's id, the device's, or how its program names itself; case is ignored.
        after: its `key` is the user's id, a space, and the device's.
    """
    rows = connection.execute(
        "SELECT user_id, client_id, agent, created_at, seen_at, acked FROM devices"
        " WHERE revoked_at IS NULL AND (seen_at < :at OR seen_at = :at AND user_id || ' ' || client_id > :key)"
        " AND (:user_id IS NULL OR user_id = :user_id)"
        " AND (:text = '' OR instr(lower(user_id || ' ' || client_id || ' ' || agent), :text))"
        " ORDER BY seen_at DESC, user_id || ' ' || client_id LIMIT :limit",
        {"at": after.at, "key": after.key, "user_id": user_id, "text": text.lower(), "limit": limit},
    )
    return [DeviceRow(*row) for row in rows]


def device_of(connection: sqlite3.Connection, user_id: str, client_id: str) -> DeviceRow | None:
    """Return a device that is not revoked; None where there is none."""
    row = connection.execute(
        "SELECT user_id, client_id, agent, created_at, seen_at, acked FROM devices"
        " WHERE user_id = ? AND client_id = ? AND revoked_at IS NULL",
        (user_id, client_id),
    ).fetchone()
    return DeviceRow(*row) if row else None
