"""The namespace that users and groups share; names that differ only in case are the same name."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
"""The pattern of a user id or a group id."""


def check_name(name: str, what: str) -> str:
    """Return the name if it is a valid one.

    Raises:
        RelayError: `invalid_payload`, naming the rule.
    """
    if not NAME.fullmatch(name):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"{name[:80]!r} cannot be a {what}: 1 to 64 letters, digits and _.@+- (not . @ + - first)",
            details={"reason": "name_form"},
        )
    return name


def claim_name(connection: sqlite3.Connection, name: str, kind: str) -> None:
    """Reserve a name for a "user" or a "group".

    Raises:
        RelayError: `conflict` if it is taken, in whatever case.
    """
    if (held := find_name(connection, name)) is not None:
        text = f"the name {name!r} is taken" + ("" if held == name else f": {held!r} differs in case only")
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "name_taken", "field": f"{kind}_id"})
    connection.execute("INSERT INTO names (name, kind) VALUES (?, ?)", (name, kind))


def kind_of(connection: sqlite3.Connection, name: str) -> str | None:
    """Return "user" or "group", the kind of what has this name in exactly this case; None if it is not taken."""
    row = connection.execute("SELECT kind FROM names WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def find_name(connection: sqlite3.Connection, name: str) -> str | None:
    """Return the taken name that equals this one but for case; an exact match goes before any other.

    Names are ASCII, so SQLite's NOCASE compares them correctly. An old database may hold names that differ only
    in case.
    """
    row = connection.execute(
        "SELECT name FROM names WHERE name = ?1 COLLATE NOCASE ORDER BY name <> ?1, name LIMIT 1", (name,)
    ).fetchone()
    return row[0] if row else None


def same_name(connection: sqlite3.Connection, user_id: str) -> str:
    """Return the user id that somebody typed in another case; unchanged if no user, or more than one, matches."""
    found = connection.execute(
        "SELECT name FROM names WHERE name = ?1 COLLATE NOCASE AND kind = 'user' ORDER BY name <> ?1 LIMIT 2",
        (user_id,),
    ).fetchall()
    return str(found[0][0]) if found and (found[0][0] == user_id or len(found) == 1) else user_id
