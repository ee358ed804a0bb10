"""The index: one FTS5 row a message, written in the transaction that stores, edits or deletes the message.

Besides its words a row has marks for what a search is narrowed by: the conversation, the sender, the type, whether
files are attached. So whatever a search asks is answered by the index alone, newest first.
"""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.plugin import MessageType
from relay.plugin.server import Server
from relay.storage.log import Entry
from relay.storage.witness import Edited

from .words import words

NOTE_SECONDS = 60.0
"""How often the index notes how far it has come: what a start has to look at again at most."""

_NOTED = "noted"
_KNOWN = "known words"
_MOST_KNOWN = 100_000
SCHEMA = """
CREATE VIRTUAL TABLE search_index USING fts5(words, marks, tokenize = 'ascii', columnsize = 0);
INSERT INTO search_index (search_index, rank) VALUES ('automerge', 16);
CREATE TABLE search_words (word TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE search_state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
"""


def sender_mark(user_id: str) -> str:
    """Return the mark of a sender, as one word."""
    return "s" + user_id.encode().hex()


def row(
    types: Mapping[str, MessageType], name: str, message_id: int, channel_id: int, sender_id: str, payload: str
) -> tuple[int, str, str] | None:
    """Return the row of a message of a type; None for one that says nothing to search."""
    type_ = types.get(name)
    if type_ is None or type_.search_text is None:
        return None
    said = type_.load(payload)
    text = type_.search_text(said)
    if not text:
        return None
    files = " files" if getattr(said, "attachments", None) else ""
    return (
        message_id,
        " ".join(words(text)),
        f"all c{channel_id} t{type_.name.replace('_', '0')} {sender_mark(sender_id)}{files}",
    )


def put(server: Server, connection: sqlite3.Connection, rows: Sequence[tuple[int, str, str]]) -> None:
    """Write rows that are not there, and their words into the list that parts of words are looked up in."""
    connection.executemany("INSERT INTO search_index (rowid, words, marks) VALUES (?, ?, ?)", rows)
    known = _known_words(server, connection)
    fresh = {word for one in rows for word in one[1].split()} - known.words
    if fresh:
        connection.executemany("INSERT OR IGNORE INTO search_words VALUES (?)", [(word,) for word in fresh])
        if len(known.words) + len(fresh) > _MOST_KNOWN:
            known.words.clear()
        known.words |= fresh
        known.count += 1
        remember(connection, _KNOWN, known.count)


@dataclass(slots=True)
class KnownWords:
    """Words that the list has: most words of a message are common ones, and need not be written again.

    Attributes:
        count: how often the list grew. The database keeps it too: where the two differ, a transaction was undone
            that had written words, and nothing is known any more.
    """

    words: set[str]
    count: int


def _known_words(server: Server, connection: sqlite3.Connection) -> KnownWords:
    count = state(connection, _KNOWN)
    known: KnownWords | None = server.memory.get(_KNOWN)
    if known is None or known.count != count:
        known = server.memory[_KNOWN] = KnownWords(set(), count)
    return known


def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Index new messages."""
    types = server.services.registry.types
    rows = []
    for entry in entries:
        if entry.message_id is not None and entry.seq:
            made = row(types, entry.type, entry.message_id, entry.channel_id, entry.sender_id, entry.payload)
            if made is not None:
                rows.append(made)
    if rows:
        put(server, connection, rows)
    _note_sometimes(server, connection, entries[-1].message_id)


def whole(server: Server) -> None:
    """Take the index for complete up to here; from now on it notes how far it has come."""
    server.memory[_NOTED] = -math.inf


def _note_sometimes(server: Server, connection: sqlite3.Connection, reached: int | None) -> None:
    """Note where the index stands once a minute; never again once something may be missing."""
    now, noted = server.now(), server.memory.get(_NOTED, math.inf)
    if reached is not None and now - noted >= NOTE_SECONDS and not server.guard.failures:
        _note(server, connection, reached)
        server.memory[_NOTED] = now


def _note(server: Server, connection: sqlite3.Connection, reached: int) -> None:
    """Keep up to where all is indexed, and since when edits and deletions would have to be looked for."""
    remember(connection, "done", reached)
    remember(connection, "seen_at", server.now() - NOTE_SECONDS)


def edited(server: Server, connection: sqlite3.Connection, message: Edited) -> None:
    """Index a message anew."""
    erased(server, connection, [message.message_id])
    types = server.services.registry.types
    made = row(types, message.type, message.message_id, message.channel_id, message.sender_id, message.payload)
    if made is not None:
        put(server, connection, [made])


def erased(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Forget messages."""
    connection.executemany("DELETE FROM search_index WHERE rowid = ?", [(one,) for one in message_ids])


def state(connection: sqlite3.Connection, name: str) -> Any:
    """Return a number that the index remembers, 0 when it never did."""
    found = connection.execute("SELECT value FROM search_state WHERE name = ?", (name,)).fetchone()
    return found[0] if found else 0


def remember(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Keep a number."""
    connection.execute("INSERT OR REPLACE INTO search_state VALUES (?, ?)", (name, value))


def catch_up(server: Server, connection: sqlite3.Connection, after: int, until: int, limit: int) -> int:
    """Index up to `limit` stored messages after a position, as they are now; return the position reached."""
    found = connection.execute(
        "SELECT message_id, channel_id, type, sender_id, payload FROM log"
        " WHERE message_id > ? AND message_id <= ? ORDER BY message_id LIMIT ?",
        (after, until, limit),
    ).fetchall()
    types = server.services.registry.types
    rows = []
    for message_id, channel_id, type_name, sender_id, payload in found:
        if payload is not None:
            made = row(types, type_name, message_id, channel_id, sender_id, payload)
            if made is not None:
                rows.append(made)
    erased(server, connection, [one[0] for one in found])
    put(server, connection, rows)
    reached: int = found[-1][0] if len(found) == limit else until
    _note(server, connection, reached)
    return reached


def refresh(server: Server, connection: sqlite3.Connection, since: float, until: int) -> None:
    """Index anew what was edited or deleted since a moment, while nobody told."""
    changed = connection.execute(
        "SELECT message_id, channel_id, seq, type, sender_id, payload FROM log"
        " WHERE message_id <= ? AND max(coalesce(edited_at, 0), coalesce(deleted_at, 0)) >= ?",
        (until, since),
    ).fetchall()
    for message_id, channel_id, seq, type_name, sender_id, payload in changed:
        if payload is None:
            erased(server, connection, [message_id])
        else:
            edited(server, connection, Edited(message_id, channel_id, seq, type_name, sender_id, payload, since))
