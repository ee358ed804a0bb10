"""Names of users and groups: one namespace, in which names that differ in case only are the same."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
"""The form of a user id or a group id."""


def check_name(name: str, what: str) -> str:
    """Return a name if it has the right form.

    Raises:
        RelayError: `invalid_payload`, with the right form in its text.
    """
    if not NAME.fullmatch(name):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"{name[:80]!r} cannot be a {what}: 1 to 64 letters, digits and _.@+- (not . @ + - first)",
        )
    return name


def claim_name(connection: sqlite3.Connection, name: str, kind: str) -> None:
    """Take a name in the namespace of users and groups; names that differ in case only are the same.

    Raises:
        RelayError: `conflict` when it is taken.
    """
    if (held := find_name(connection, name)) is not None:
        text = f"the name {name!r} is taken" + ("" if held == name else f": {held!r} differs in case only")
        raise RelayError(ErrorCode.CONFLICT, text)
    connection.execute("INSERT INTO names (name, kind) VALUES (?, ?)", (name, kind))


def find_name(connection: sqlite3.Connection, name: str) -> str | None:
    """Return the taken name that is equal but for case; an equal one comes before any other.

    Names are ASCII, so SQLite's NOCASE is enough. Old databases may hold several names that differ in case only.
    """
    row = connection.execute(
        "SELECT name FROM names WHERE name = ?1 COLLATE NOCASE ORDER BY name <> ?1, name LIMIT 1", (name,)
    ).fetchone()
    return row[0] if row else None


def same_name(connection: sqlite3.Connection, user_id: str) -> str:
    """Return the user id that was meant by one typed in another case; unchanged if no user, or two, match."""
    found = connection.execute(
        "SELECT name FROM names WHERE name = ?1 COLLATE NOCASE AND kind = 'user' ORDER BY name <> ?1 LIMIT 2",
        (user_id,),
    ).fetchall()
    return str(found[0][0]) if found and (found[0][0] == user_id or len(found) == 1) else user_id
