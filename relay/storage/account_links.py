"""Users' mail addresses, and links that do one thing with an account once, of which only a hash is stored."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final, Literal, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.accounts import hash_secret
from relay.storage.folding import folded
from relay.storage.sample import check_signs_in

Purpose = Literal["reset", "mail"]
"""What a link is for: a new password; the verification of an address."""

_BAD: Final = "this link is wrong, used or expired; ask for a new one"


class MailAddress(NamedTuple):
    """A user's verified address."""

    user_id: str
    address: str
    verified_at: float


class Link(NamedTuple):
    """A link without its code."""

    user_id: str
    address: str | None


def address_of(connection: sqlite3.Connection, user_id: str) -> MailAddress | None:
    """Return a user's verified address; None if there is none."""
    row = connection.execute(
        "SELECT user_id, address, verified_at FROM mail_addresses WHERE user_id = ?", (user_id,)
    ).fetchone()
    return MailAddress(*row) if row else None


def owner_of(connection: sqlite3.Connection, address: str) -> str | None:
    """Return the user who has an address, in whatever case it is written; None if nobody has."""
    row = connection.execute("SELECT user_id FROM mail_addresses WHERE folded = ?", (folded(address),)).fetchone()
    return str(row[0]) if row else None


def set_address(connection: sqlite3.Connection, user_id: str, address: str, now: float) -> None:
    """Give a user a verified address, in place of another one.

    Raises:
        RelayError: `conflict` if somebody else has it.
    """
    held = owner_of(connection, address)
    if held is not None and held != user_id:
        text = "another account has this address; use another one, or remove it there"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "mail_taken"})
    connection.execute(
        "INSERT INTO mail_addresses (user_id, address, folded, verified_at) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (user_id) DO UPDATE SET address = ?2, folded = ?3, verified_at = ?4",
        (user_id, address, folded(address), now),
    )


def remove_address(connection: sqlite3.Connection, user_id: str) -> None:
    """Remove a user's address, and the links that would give them one."""
    connection.execute("DELETE FROM mail_addresses WHERE user_id = ?", (user_id,))
    forget(connection, user_id, "mail")


def create_link(
    connection: sqlite3.Connection,
    user_id: str,
    purpose: Purpose,
    now: float,
    expires_at: float,
    address: str | None = None,
) -> str:
    """Create a link and return its code; links that have expired are deleted.

    Raises:
        RelayError: `conflict` for an account of the sample data.
    """
    check_signs_in(connection, user_id)
    code = secrets.token_urlsafe(24)
    connection.execute("DELETE FROM account_links WHERE expires_at <= ?", (now,))
    connection.execute(
        "INSERT INTO account_links (code_hash, user_id, purpose, address, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (hash_secret(code), user_id, purpose, address, now, expires_at),
    )
    return code


def find_link(connection: sqlite3.Connection, code: str, purpose: Purpose, now: float) -> Link:
    """Return the link with a code.

    Raises:
        RelayError: `forbidden` if it is wrong, used or expired.
    """
    row = connection.execute(
        "SELECT user_id, address FROM account_links WHERE code_hash = ? AND purpose = ? AND expires_at > ?",
        (hash_secret(code), purpose, now),
    ).fetchone()
    if row is None:
        raise RelayError(ErrorCode.FORBIDDEN, _BAD, details={"reason": "bad_link", "field": "code"})
    return Link(*row)


def pending_address(connection: sqlite3.Connection, user_id: str, now: float) -> str | None:
    """Return the address that a user has still to verify; None if there is none."""
    row = connection.execute(
        "SELECT address FROM account_links WHERE user_id = ? AND purpose = 'mail' AND expires_at > ?"
        " ORDER BY created_at DESC LIMIT 1",
        (user_id, now),
    ).fetchone()
    return row[0] if row else None


def forget(connection: sqlite3.Connection, user_id: str, purpose: Purpose) -> None:
    """Delete all links of a user for one purpose."""
    connection.execute("DELETE FROM account_links WHERE user_id = ? AND purpose = ?", (user_id, purpose))
