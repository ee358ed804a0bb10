"""Planning a replay: which messages a resuming connection is owed, in which order, and what is left out.

Conversations are walked from their newest message down to the cursor, so that a user who missed three
messages costs three rows, however long the log is. Over the limit each conversation brings its newest
messages, a fair share each, and the rest becomes a gap with exact ends, found by bisection: `seq` and
`message_id` rise together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from relay.storage import messages
from relay.storage.history import NO_BOUND, Record, View, other_party, read_views, views_with_news


class Gap(NamedTuple):
    """What a limited replay left out of one conversation; fetched by REST."""

    kind: str
    target_id: str
    from_seq: int
    to_seq: int


class Plan(NamedTuple):
    """A replay: message ids in the order of sending, and what it leaves out."""

    message_ids: list[int]
    gaps: list[Gap]


class _Missed(NamedTuple):
    view: View
    newest: list[tuple[int, int, str]]  # (message_id, seq, type), newest first
    first_seq: int
    more: bool


def plan(
    connection: sqlite3.Connection,
    user_id: str,
    cursor: int,
    until: int,
    limit: int,
    priority: Callable[[str], int],
) -> Plan:
    """Plan the replay of what the user may see after `cursor`, up to and including position `until`."""
    chosen: list[tuple[int, int]] = []
    gaps: list[Gap] = []
    missed: list[_Missed] = []
    for seen in views_with_news(connection, user_id, cursor):
        found = _missed(connection, seen, cursor, until, limit)
        if found is not None:
            missed.append(found)
    for message_id, type_ in connection.execute(
        "SELECT l.message_id, l.type FROM members m JOIN latest l USING (channel_id) WHERE m.user_id = ?1"
        " AND m.visible_until IS NULL AND l.message_id > ?2 AND l.message_id <= ?3"
        " AND coalesce(l.only_for, ?1) = ?1",
        (user_id, cursor, until),
    ):
        chosen.append((priority(type_), message_id))
    shares = _shares([len(found.newest) for found in missed], limit)
    for found, share in zip(missed, shares, strict=True):
        chosen.extend((priority(type_), message_id) for message_id, _, type_ in found.newest[:share])
        if share < len(found.newest) or found.more:
            gaps += _gaps(connection, found, share, user_id)
    chosen.sort()
    return Plan([message_id for _, message_id in chosen], gaps)


def _missed(connection: sqlite3.Connection, seen: View, cursor: int, until: int, limit: int) -> _Missed | None:
    newest: list[tuple[int, int, str]] = []
    visible, bounds = seen.condition()
    rows = connection.execute(
        f"SELECT message_id, seq, type FROM log WHERE channel_id = ?{visible} ORDER BY seq DESC",
        (seen.channel_id, *bounds),
    )
    more = False
    for row in rows:
        if row[0] <= cursor:
            break
        if row[0] <= until:
            if len(newest) == limit:
                more = True
                break
            newest.append(row)
    rows.close()
    if not newest:
        return None
    first_seq = _first_after(connection, seen, cursor, newest[-1][1]) if more else newest[-1][1]
    return _Missed(seen, newest, first_seq, more)


def _first_after(connection: sqlite3.Connection, seen: View, cursor: int, known: int) -> int:
    """Return the lowest seq, from the first visible one on, whose message_id is over `cursor`; `known`'s is."""
    low = connection.execute(
        "SELECT min(seq) FROM log WHERE channel_id = ? AND seq >= ?", (seen.channel_id, seen.start)
    ).fetchone()[0]
    high = known
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT message_id FROM log WHERE channel_id = ? AND seq >= ? ORDER BY seq LIMIT 1",
            (seen.channel_id, middle),
        ).fetchone()
        if row[0] > cursor:
            high = middle
        else:
            low = middle + 1
    return int(high)


def _shares(counts: list[int], limit: int) -> list[int]:
    """Share `limit` out: small conversations whole, the rest of it evenly among the large ones."""
    shares = [0] * len(counts)
    left, remaining = limit, len(counts)
    for index in sorted(range(len(counts)), key=counts.__getitem__):
        shares[index] = min(counts[index], left // remaining)
        left -= shares[index]
        remaining -= 1
    return shares


def _gaps(connection: sqlite3.Connection, found: _Missed, share: int, user_id: str) -> list[Gap]:
    """Name what is left out, by what the user may see; an ex-member gets no gap, as no request could fill it."""
    seen = found.view
    if not seen.open:
        return []
    oldest_sent = found.newest[share - 1][1] if share else found.newest[0][1] + 1
    target_id = other_party(seen.address, user_id)
    ranges = [(max(first, found.first_seq), min(last, oldest_sent - 1)) for first, last in seen.spans(connection)]
    return [Gap(seen.kind, target_id, first, last) for first, last in ranges if first <= last]


class Undelivered(NamedTuple):
    """A window of the offline queue: messages by priority, the position it reaches, and whether more waits."""

    message_ids: list[int]
    found: dict[int, Record]
    cursor: int
    has_more: bool


def undelivered(
    connection: sqlite3.Connection,
    user_id: str,
    after: int,
    limit: int,
    priority: Callable[[str], int],
    max_bytes: int = NO_BOUND,
) -> Undelivered:
    """Return the oldest messages after a position, ordered among themselves as a replay would be.

    At most `limit`, and as many as `max_bytes` allow, but one in any case.

    The window is cut by position and not by priority so that its `cursor` may be acked: everything up to
    it is in the window.
    """
    found: list[tuple[int, str]] = []
    for seen in read_views(connection, user_id):
        visible, bounds = seen.condition()
        newest = connection.execute(
            f"SELECT message_id, seq FROM log WHERE channel_id = ?{visible} ORDER BY seq DESC LIMIT 1",
            (seen.channel_id, *bounds),
        ).fetchone()
        if newest is not None and newest[0] > after:
            found += connection.execute(
                f"SELECT message_id, type FROM log WHERE channel_id = ? AND seq >= ?{visible}"
                " ORDER BY seq LIMIT ?",
                (seen.channel_id, _first_after(connection, seen, after, newest[1]), *bounds, limit + 1),
            )
        if seen.open:
            found += connection.execute(
                "SELECT message_id, type FROM latest WHERE channel_id = ? AND message_id > ?"
                " AND coalesce(only_for, ?3) = ?3 ORDER BY message_id LIMIT ?4",
                (seen.channel_id, after, user_id, limit + 1),
            )
    found.sort()
    read = messages.read_first(connection, [message_id for message_id, _ in found[:limit]], max_bytes)
    window = found[: read.taken]
    ordered = sorted((priority(type_), message_id) for message_id, type_ in window)
    cursor = window[-1][0] if window else after
    return Undelivered([message_id for _, message_id in ordered], read.found, cursor, len(found) > len(window))
