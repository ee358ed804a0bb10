"""Second factors: the secret of a user's authenticator app, and the recovery codes that stand in for it.

The secret has to be kept as it is, as codes are computed of it. Of recovery codes only hashes are: each has 80
random bits, which need no slow hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from relay.storage.accounts import hash_secret


class SecondFactor(NamedTuple):
    """A user's second factor.

    Attributes:
        confirmed_at: since when logins need it; None until its user has shown that the app has the secret.
        last_step: the newest step whose code was used; it and older ones are good no more.
    """

    secret: bytes
    made_at: float
    confirmed_at: float | None
    last_step: int


def find(connection: sqlite3.Connection, user_id: str) -> SecondFactor | None:
    """Return a user's second factor, confirmed or not; None if there is none."""
    row = connection.execute(
        "SELECT secret, made_at, confirmed_at, last_step FROM second_factors WHERE user_id = ?", (user_id,)
    ).fetchone()
    return SecondFactor(*row) if row else None


def begin(connection: sqlite3.Connection, user_id: str, secret: bytes, now: float) -> None:
    """Store a secret that is not confirmed yet, in place of another such one; a confirmed one stays."""
    connection.execute(
        "INSERT INTO second_factors (user_id, secret, made_at) VALUES (?1, ?2, ?3) ON CONFLICT (user_id)"
        " DO UPDATE SET secret = ?2, made_at = ?3 WHERE confirmed_at IS NULL",
        (user_id, secret, now),
    )


def confirm(connection: sqlite3.Connection, user_id: str, step: int, now: float) -> None:
    """Store that the app has the secret: from now on logins need a code, of a later step than this one."""
    connection.execute(
        "UPDATE second_factors SET confirmed_at = ?, last_step = ? WHERE user_id = ? AND confirmed_at IS NULL",
        (now, step, user_id),
    )


def use_step(connection: sqlite3.Connection, user_id: str, step: int) -> bool:
    """Use the code of a step; return False if it, or a later one, was used before."""
    rows = connection.execute(
        "UPDATE second_factors SET last_step = ?1 WHERE user_id = ?2 AND last_step < ?1 RETURNING 1",
        (step, user_id),
    ).fetchall()
    return bool(rows)


def use_recovery_code(connection: sqlite3.Connection, user_id: str, code: str) -> bool:
    """Use a recovery code; return False if it is wrong, or was used before."""
    rows = connection.execute(
        "DELETE FROM recovery_codes WHERE user_id = ? AND code_hash = ? RETURNING 1", (user_id, hash_secret(code))
    ).fetchall()
    return bool(rows)


def put_recovery_codes(connection: sqlite3.Connection, user_id: str, codes: Iterable[str]) -> None:
    """Store new recovery codes in place of the present ones."""
    connection.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user_id,))
    connection.executemany(
        "INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?)",
        [(user_id, hash_secret(code)) for code in codes],
    )


def recovery_codes_left(connection: sqlite3.Connection, user_id: str) -> int:
    """Return how many recovery codes a user has left."""
    row = connection.execute("SELECT count(*) FROM recovery_codes WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0])


def remove(connection: sqlite3.Connection, user_id: str) -> bool:
    """Remove a user's second factor with its recovery codes; return False if there was no confirmed one."""
    connection.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user_id,))
    rows = connection.execute(
        "DELETE FROM second_factors WHERE user_id = ? RETURNING confirmed_at", (user_id,)
    ).fetchall()
    return bool(rows) and rows[0][0] is not None
