"""When a user wants no notifications: for a while, at certain hours, of certain conversations."""

import sqlite3
from datetime import datetime, time
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .options import Content


class Person(NamedTuple):
    """What a user chose.

    Attributes:
        until: do not disturb until then, Unix seconds.
        quiet_from, quiet_to: do not disturb between these times of each day, as 22:00, in `zone`.
        content: how much is told at most; None for as much as the server does.
    """

    until: float | None = None
    quiet_from: str | None = None
    quiet_to: str | None = None
    zone: str | None = None
    content: Content | None = None


class Muted(NamedTuple):
    """A conversation that a user is not to be notified of.

    Attributes:
        until: Unix seconds; None for ever.
        mentions: whether messages that mention the user are told all the same.
    """

    until: float | None
    mentions: bool


def person(connection: sqlite3.Connection, user_id: str) -> Person:
    """Return what a user chose."""
    row = connection.execute(
        "SELECT until, quiet_from, quiet_to, zone, content FROM notifications_people WHERE user_id = ?", (user_id,)
    ).fetchone()
    return Person(*row) if row else Person()


def is_quiet(connection: sqlite3.Connection, user_id: str, now: float) -> bool:
    """Tell whether a user is not to be disturbed now."""
    chosen = person(connection, user_id)
    if chosen.until is not None and now < chosen.until:
        return True
    if chosen.quiet_from is None or chosen.quiet_to is None or chosen.zone is None:
        return False
    clock = datetime.fromtimestamp(now, zone(chosen.zone)).time()
    begins, ends = time.fromisoformat(chosen.quiet_from), time.fromisoformat(chosen.quiet_to)
    return begins <= clock < ends if begins <= ends else clock >= begins or clock < ends


def muted(connection: sqlite3.Connection, user_id: str, address: str, now: float) -> Muted | None:
    """Return how a conversation is muted now; None where it is not."""
    row = connection.execute(
        "SELECT until, mentions FROM notifications_muted WHERE user_id = ? AND address = ?", (user_id, address)
    ).fetchone()
    if row is None or (row[0] is not None and row[0] <= now):
        return None
    return Muted(row[0], bool(row[1]))


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name, as Europe/Berlin.

    Raises:
        ValueError: this machine knows none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:64]!r} here; right is Europe/Berlin") from None
