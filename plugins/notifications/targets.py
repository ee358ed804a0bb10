"""Targets of notifications: the rows of `notifications_targets`."""

import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from relay.plugin import ErrorCode, RelayError, Server

from .addresses import AnyAddress, place_of

ACTIVE, UNCONFIRMED, GIVEN_UP = "active", "unconfirmed", "given_up"


class Gone(Exception):
    """A target that exists no longer: it is removed."""


class Failed(Exception):
    """A target that did not take a notification; the text is for its owner.

    Attributes:
        retry_after: how long it asked to be left alone, seconds.
        final: the same notification would fail again, though another one may not.
    """

    def __init__(self, text: str, retry_after: float | None = None, *, final: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.final = final


class Target(NamedTuple):
    """A row of `notifications_targets`.

    Attributes:
        place: its URL or mail address.
        since: the position of the log when it was added; it gets notifications of later messages only.
        state: `active`, `unconfirmed` (a mail address whose code was not given yet), or `given_up`.
        failing_since, retry_at: while it fails, Unix seconds.
    """

    target_id: str
    user_id: str
    kind: str
    place: str
    address: AnyAddress
    label: str
    withdraw: bool
    client_id: str | None
    since: int
    created_at: float
    state: str
    failures: int
    failing_since: float | None
    retry_at: float | None
    last_error: str | None
    delivered_at: float | None

    @property
    def host(self) -> str:
        """The host or mail domain that it is at."""
        return urlsplit(self.place).hostname or self.place.rpartition("@")[2]


_COLUMNS = (
    "target_id, user_id, kind, place, address, label, withdraw, client_id, since, created_at, state, failures,"
    " failing_since, retry_at, last_error, delivered_at"
)
_decoder = msgspec.json.Decoder(AnyAddress)


def _target(row: tuple[Any, ...]) -> Target:
    return Target._make((*row[:4], _decoder.decode(row[4]), row[5], bool(row[6]), *row[7:]))


def get(connection: sqlite3.Connection, target_id: str) -> Target | None:
    """Return a target by its id."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM notifications_targets WHERE target_id = ?", (target_id,))
    row = found.fetchone()
    return _target(row) if row else None


def get_owned(connection: sqlite3.Connection, user_id: str, target_id: str) -> Target:
    """Return a user's own target.

    Raises:
        RelayError: `not_found`, the same for somebody else's.
    """
    target = get(connection, target_id)
    if target is None or target.user_id != user_id:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no target {target_id[:64]!r}")
    return target


def list_of(connection: sqlite3.Connection, user_id: str) -> list[Target]:
    """Return a user's targets, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM notifications_targets WHERE user_id = ? ORDER BY created_at, target_id",
        (user_id,),
    )
    return [_target(row) for row in rows]


def list_all(connection: sqlite3.Connection) -> list[Target]:
    """Return all targets, by user."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM notifications_targets ORDER BY user_id, created_at")
    return [_target(row) for row in rows]


def ids_of(connection: sqlite3.Connection, user_ids: Iterable[str]) -> list[str]:
    """Return the ids of users' active targets."""
    found: list[str] = []
    for user_id in user_ids:
        rows = connection.execute(
            "SELECT target_id FROM notifications_targets WHERE user_id = ? AND state = 'active'", (user_id,)
        )
        found += [row[0] for row in rows]
    return found


def ids_with_work(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of active targets that may have something to show or to take back."""
    rows = connection.execute(
        "SELECT target_id FROM notifications_targets t WHERE state = 'active' AND (EXISTS (SELECT 1 FROM"
        " notifications_conversations c WHERE c.user_id = t.user_id AND c.newest_id IS NOT NULL) OR EXISTS"
        " (SELECT 1 FROM notifications_shown s WHERE s.target_id = t.target_id AND s.newest_id IS NOT NULL))"
    )
    return [row[0] for row in rows]


def add(
    connection: sqlite3.Connection,
    user_id: str,
    address: AnyAddress,
    client_id: str | None,
    *,
    since: int,
    now: float,
    most: int,
    state: str = ACTIVE,
) -> tuple[Target, bool]:
    """Add a target, or change the user's one of the same place; return it, and whether it is new.

    A browser's subscription belongs to one user: the last one who adds it.

    Raises:
        RelayError: `conflict` when the user has as many as may be.
    """
    place, kind = place_of(address), str(address.__struct_config__.tag)
    known = connection.execute(
        "SELECT target_id, state FROM notifications_targets WHERE user_id = ? AND kind = ? AND place = ?",
        (user_id, kind, place),
    ).fetchone()
    if kind == "webpush":
        others = connection.execute(
            "SELECT target_id FROM notifications_targets WHERE place = ? AND kind = ? AND user_id <> ?",
            (place, kind, user_id),
        ).fetchall()
        for (other,) in others:
            remove(connection, other)
    if known is None and len(list_of(connection, user_id)) >= most:
        raise RelayError(ErrorCode.CONFLICT, f"there are {most} targets already; delete one first")
    target_id = known[0] if known else secrets.token_hex(8)
    confirmed = known is not None and known[1] != UNCONFIRMED
    connection.execute(
        "INSERT INTO notifications_targets (target_id, user_id, kind, place, address, label, withdraw, client_id,"
        " since, created_at, state) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (target_id) DO UPDATE SET"
        " address = excluded.address, label = excluded.label, withdraw = excluded.withdraw,"
        " created_at = excluded.created_at, failures = 0,"
        " client_id = excluded.client_id, state = excluded.state, failing_since = NULL, retry_at = NULL,"
        " last_error = NULL",
        (
            target_id, user_id, kind, place, msgspec.json.encode(address).decode(), address.label,
            address.withdraw, client_id, since, now, ACTIVE if confirmed else state,
        ),
    )  # fmt: skip
    made = get(connection, target_id)
    assert made is not None  # noqa: S101 - it was written just now
    return made, known is None


def expect_code(connection: sqlite3.Connection, target_id: str, code_hash: bytes, until: float) -> None:
    """Store the hash of the code that confirms a target."""
    connection.execute(
        "UPDATE notifications_targets SET code_hash = ?, code_until = ?, code_tries = 0 WHERE target_id = ?",
        (code_hash, until, target_id),
    )


def try_code(connection: sqlite3.Connection, target_id: str, code_hash: bytes, now: float, tries: int) -> bool:
    """Make a target active if its code is right, in time and not tried too often; return whether it is."""
    kept, until, tried = connection.execute(
        "UPDATE notifications_targets SET code_tries = code_tries + 1 WHERE target_id = ?"
        " RETURNING code_hash, code_until, code_tries",
        (target_id,),
    ).fetchone()
    if kept is None or tried > tries or until < now or not secrets.compare_digest(kept, code_hash):
        return False
    connection.execute(
        "UPDATE notifications_targets SET state = ?, code_hash = NULL WHERE target_id = ?", (ACTIVE, target_id)
    )
    return True


def remove(connection: sqlite3.Connection, target_id: str) -> None:
    """Remove a target and the record of what it shows."""
    connection.execute("DELETE FROM notifications_targets WHERE target_id = ?", (target_id,))
    connection.execute("DELETE FROM notifications_shown WHERE target_id = ?", (target_id,))


def forget_user(_server: Server, connection: sqlite3.Connection, user_id: str) -> None:
    """Remove everything of a user: targets, pending notifications, preferences."""
    for target in list_of(connection, user_id):
        remove(connection, target.target_id)
    for table in ("conversations", "muted", "everything", "people", "sent"):
        connection.execute(f"DELETE FROM notifications_{table} WHERE user_id = ?", (user_id,))


def note_success(connection: sqlite3.Connection, target_id: str, now: float) -> None:
    """Note that a target took a notification; one that was given up is active again."""
    connection.execute(
        "UPDATE notifications_targets SET state = ?, failures = 0, failing_since = NULL, retry_at = NULL,"
        " last_error = NULL, delivered_at = ? WHERE target_id = ?",
        (ACTIVE, now, target_id),
    )


def note_failure(
    connection: sqlite3.Connection, target_id: str, error: str, now: float, retry_at: float, give_up_after: float
) -> bool:
    """Note that a target failed; return whether it is given up from now on."""
    row = connection.execute(
        "UPDATE notifications_targets SET failures = failures + 1, failing_since = coalesce(failing_since, ?1),"
        " retry_at = ?2, last_error = ?3 WHERE target_id = ?4 RETURNING failing_since",
        (now, retry_at, error[:300], target_id),
    ).fetchone()
    if row is None or retry_at - row[0] <= give_up_after:
        return False
    connection.execute(
        "UPDATE notifications_targets SET state = ?, retry_at = NULL WHERE target_id = ?", (GIVEN_UP, target_id)
    )
    return True


def note_refusal(connection: sqlite3.Connection, target_id: str, error: str) -> None:
    """Note why a target did not take one notification; the next one is tried all the same."""
    connection.execute(
        "UPDATE notifications_targets SET last_error = ? WHERE target_id = ?", (error[:300], target_id)
    )


def device_revoked(connection: sqlite3.Connection, target: Target) -> bool:
    """Tell whether the device of a target was logged out since the target was added."""
    found = connection.execute(
        "SELECT 1 FROM devices WHERE user_id = ? AND client_id = ? AND revoked_at >= ?",
        (target.user_id, target.client_id, target.created_at),
    )
    return found.fetchone() is not None


def is_deliverable(connection: sqlite3.Connection, target: Target) -> bool:
    """Tell whether a target is active and its owner's account is not disabled."""
    if target.state != ACTIVE:
        return False
    row = connection.execute("SELECT disabled FROM users WHERE user_id = ?", (target.user_id,)).fetchone()
    return row is not None and not row[0]
