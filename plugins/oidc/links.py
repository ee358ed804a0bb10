"""Links: which account belongs to whom at a provider, by the provider's issuer and its `sub` alone."""

import sqlite3

import msgspec

from relay.plugin import ErrorCode

from .faults import refused

SCHEMA = """
CREATE TABLE oidc_links (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, user_id TEXT NOT NULL, shown TEXT NOT NULL,
    linked_at REAL NOT NULL, used_at REAL, PRIMARY KEY (issuer, subject), UNIQUE (user_id, issuer)
) WITHOUT ROWID;
"""


class Link(msgspec.Struct, frozen=True):
    """A link.

    Attributes:
        shown: what the provider called them when it was made: their name or address there.
        used_at: when they last signed in by it, Unix seconds; None for never.
    """

    issuer: str
    subject: str
    user_id: str
    shown: str
    linked_at: float
    used_at: float | None


_COLUMNS = ", ".join(Link.__struct_fields__)


def find(connection: sqlite3.Connection, issuer: str, subject: str) -> Link | None:
    """Return the link of somebody at a provider."""
    sql = f"SELECT {_COLUMNS} FROM oidc_links WHERE issuer = ? AND subject = ?"
    row = connection.execute(sql, (issuer, subject)).fetchone()
    return None if row is None else Link(*row)


def of_user(connection: sqlite3.Connection, user_id: str) -> list[Link]:
    """Return the links of an account."""
    sql = f"SELECT {_COLUMNS} FROM oidc_links WHERE user_id = ? ORDER BY linked_at"
    return [Link(*row) for row in connection.execute(sql, (user_id,))]


def every(connection: sqlite3.Connection) -> list[Link]:
    """Return all links."""
    return [
        Link(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM oidc_links ORDER BY user_id, issuer")
    ]


def add(connection: sqlite3.Connection, link: Link) -> None:
    """Store a link; the same one once more changes nothing.

    Raises:
        RelayError: `conflict`: somebody else's account has it, or the account has another one at this provider.
    """
    known = find(connection, link.issuer, link.subject)
    if known is not None and known.user_id != link.user_id:
        raise refused(ErrorCode.CONFLICT, "sso_linked_elsewhere", "this sign-in belongs to another account here")
    if any(one.issuer == link.issuer and one.subject != link.subject for one in of_user(connection, link.user_id)):
        text = "the account is connected with somebody else there; disconnect it first"
        raise refused(ErrorCode.CONFLICT, "sso_linked_otherwise", text)
    if known is None:
        connection.execute(
            f"INSERT INTO oidc_links ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(link)
        )


def remove(connection: sqlite3.Connection, issuer: str, user_id: str) -> bool:
    """Delete an account's link; return whether there was one."""
    sql = "DELETE FROM oidc_links WHERE user_id = ? AND issuer = ?"
    return connection.execute(sql, (user_id, issuer)).rowcount > 0


def note_use(connection: sqlite3.Connection, link: Link, now: float) -> None:
    """Note that somebody signed in by a link."""
    sql = "UPDATE oidc_links SET used_at = ? WHERE issuer = ? AND subject = ?"
    connection.execute(sql, (now, link.issuer, link.subject))


def forget_user(connection: sqlite3.Connection, user_id: str) -> None:
    """Delete all links of an account."""
    connection.execute("DELETE FROM oidc_links WHERE user_id = ?", (user_id,))
