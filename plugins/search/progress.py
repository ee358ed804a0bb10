"""The progress of the index: new messages wait until there are enough of them, or somebody searches.

Once the index is whole, new messages wait until there are enough of them: together each costs a fraction of what
one costs alone, and the transaction of a lone message is half as long. They are indexed in the transaction of the
message that makes them enough, and before a search. So a search misses nothing that is stored. What still waits
when the server ends, in whatever way, is indexed after its next start: the index knows how far it reaches.

Until the index is whole, what is new is indexed in its own transaction, and older messages beside it.
"""

import math
import sqlite3
from collections.abc import Sequence
from typing import Final

from relay.plugin import Edited, Entry, Server, note_erased

from . import times
from .index import anew, put
from .purge import ALL, suspect
from .state import remember, state

ENOUGH: Final = 128
"""Positions of the log that are indexed together; so less than one message in a hundred waits for that."""

LONG: Final = 32_768
"""Characters of payloads that are indexed together, however few messages they are; it takes some milliseconds."""

MANY: Final = 32
"""Messages of one transaction that do not wait, if none does: what would be read again later is at hand."""

SLICE: Final = 500
"""Messages that one transaction indexes where many are to be indexed."""

NOTE_SECONDS: Final = 60.0
"""How often the index records the time from which edits may be missing."""

_UNDER_WAY, _NOTED, _WAITING = "under way", "noted", "waiting"
"""In the plugin's memory: how often older messages are being indexed; Unix seconds; characters."""

_STORED = "SELECT message_id, channel_id, seq, type, sender_id, payload, timestamp FROM log"


def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Index new messages, unless they may wait."""
    first, last = entries[0].message_id, entries[-1].message_id
    if not _is_whole(server):
        _put_new(server, connection, entries)
    elif first is not None and last is not None:
        at = reached(connection)
        waiting = server.memory.get(_WAITING, 0) + sum(len(entry.payload) for entry in entries)
        if at == first - 1 and len(entries) >= MANY:
            _put_new(server, connection, entries)
            remember(connection, "done", last)
            waiting = 0
        elif last - at >= ENOUGH or waiting >= LONG:
            go_on(server, connection, last)
            waiting = 0
        server.memory[_WAITING] = waiting
        _note_sometimes(server, connection)


def _put_new(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Index messages that are stored in this transaction."""
    times.stored(connection, entries)
    put(server, connection, [entry for entry in entries if entry.message_id is not None and entry.seq])


def edited(server: Server, connection: sqlite3.Connection, message: Edited) -> None:
    """Index a message again, with its new text, unless it waits to be indexed."""
    if not _is_whole(server) or message.message_id <= reached(connection):
        anew(server, connection, [message])


def reached(connection: sqlite3.Connection) -> int:
    """Return the position up to which all is indexed.

    It is read from the tables and not kept: a transaction that indexes may be rolled back.
    """
    return int(state(connection, "done"))


def is_behind(server: Server, connection: sqlite3.Connection) -> bool:
    """Return whether messages wait, which a search has indexed first."""
    return _is_whole(server) and reached(connection) < _newest(connection)


def index_what_waits(server: Server, connection: sqlite3.Connection) -> None:
    """Index all messages that wait."""
    if _is_whole(server):
        go_on(server, connection, _newest(connection))


def go_on(server: Server, connection: sqlite3.Connection, until: int) -> None:
    """Index what waits, up to a position."""
    at = reached(connection)
    while at < until:
        at = catch_up(server, connection, at, until, SLICE)


def begin(server: Server) -> None:
    """Have new messages indexed as they come while older ones are indexed once more; on the writer's thread."""
    server.memory[_UNDER_WAY] = server.memory.get(_UNDER_WAY, 1) + 1


def end(server: Server, connection: sqlite3.Connection) -> None:
    """Record that older messages are indexed; if that is not under way twice, new ones may wait from now on."""
    server.memory[_UNDER_WAY] = server.memory.get(_UNDER_WAY, 1) - 1
    # Where something failed, what came meanwhile may not be in the index: it waits, and is indexed once more.
    if _is_whole(server) and not server.failures and reached(connection) != (newest := _newest(connection)):
        remember(connection, "done", newest)


def _is_whole(server: Server) -> bool:
    return server.memory.get(_UNDER_WAY) == 0


def _newest(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()[0])


def catch_up(server: Server, connection: sqlite3.Connection, after: int, until: int, limit: int) -> int:
    """Index up to `limit` stored messages after a position, as they are now; return the position reached."""
    found = connection.execute(
        f"{_STORED} WHERE message_id > ? AND message_id <= ? ORDER BY message_id LIMIT ?", (after, until, limit)
    ).fetchall()
    at: int = found[-1][0] if len(found) == limit else until
    if connection.execute("DELETE FROM search_index WHERE rowid > ? AND rowid <= ?", (after, at)).rowcount:
        suspect(connection, ALL)
        note_erased(connection)
    put(server, connection, [Edited(*one) for one in found])
    times.look(connection, after, at)
    remember(connection, "done", at)
    _note_sometimes(server, connection)
    return at


def _note_sometimes(server: Server, connection: sqlite3.Connection) -> None:
    """Record the time from which edits may be missing: once a minute, but not once something failed."""
    now, noted = server.now(), server.memory.get(_NOTED, -math.inf)
    if now - noted >= NOTE_SECONDS and not server.failures:
        remember(connection, "seen_at", now - NOTE_SECONDS)
        server.memory[_NOTED] = now


def refresh(server: Server, connection: sqlite3.Connection, since: float, until: int) -> None:
    """Index again the messages that were edited or deleted since a moment, while search was off."""
    changed = connection.execute(
        # Not by time alone, since the clock may have been set back.
        f"{_STORED} WHERE message_id <= ?1 AND (max(coalesce(edited_at, 0), coalesce(deleted_at, 0)) >= ?2"
        " OR edit_id > ?1 OR payload IS NULL AND message_id IN (SELECT id FROM search_index_content))",
        (until, since),
    )
    anew(server, connection, [Edited(*one) for one in changed])
