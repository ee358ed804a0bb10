"""The index: one FTS5 row a message; `progress` says when it is written.

Besides its words a row has marks, which narrow a search: of the conversation, of the users of a conversation of
two, the sender, the type, and whether files are attached. So the index alone answers every search, newest first;
and one mark finds all of a user's conversations of two, however many they are.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from functools import lru_cache

from relay.plugin import Edited, Entry, Server, parties

from .purge import suspect
from .vocabulary import Vocabulary
from .words import words

_VOCABULARY = "vocabulary"
SCHEMA = """
CREATE VIRTUAL TABLE search_index USING fts5(words, marks, tokenize = 'ascii', columnsize = 0);
INSERT INTO search_index (search_index, rank) VALUES ('automerge', 16);
CREATE TABLE search_words (word TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE search_state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
"""
WITH_PARTIES = "DELETE FROM search_state"
"""A migration that has everything indexed again, with the users of conversations of two as marks."""


def place_mark(channel_id: int) -> str:
    """Return the mark of a conversation, as one word."""
    return f"c{channel_id}"


def party_mark(user_id: str) -> str:
    """Return the mark of a user's conversations with users, as one word."""
    return "p" + user_id.encode().hex()


@lru_cache(maxsize=10_000)
def sender_mark(user_id: str) -> str:
    """Return the mark of a sender, as one word."""
    return "s" + user_id.encode().hex()


def type_mark(name: str) -> str:
    """Return the mark of a message type, as one word."""
    return "t" + name.replace("_", "0")


def put(server: Server, connection: sqlite3.Connection, messages: Sequence[Entry | Edited]) -> None:
    """Index messages that are not in the index yet; tombstones and messages without text are left out."""
    found_in = server.message_types.all_searched([(message.type, message.payload) for message in messages])
    said: list[tuple[Entry | Edited, list[str], str]] = []
    for message, found in zip(messages, found_in, strict=True):
        if found is not None and getattr(message, "only_for", None) is None:  # others would find it, too
            payload, text = found
            files = " files" if getattr(payload, "attachments", None) else ""
            said.append(
                (message, words(text), f"{type_mark(message.type)} {sender_mark(message.sender_id)}{files}")
            )
    if not said:
        return
    places = _places(connection, {message.channel_id for message, _, _ in said})
    connection.executemany(
        "INSERT INTO search_index (rowid, words, marks) VALUES (?, ?, ?)",
        [(one.message_id, " ".join(spoken), f"{places[one.channel_id]} {marks}") for one, spoken, marks in said],
    )
    vocabulary_of(server).add(connection, set().union(*(spoken for _, spoken, _ in said)))


def vocabulary_of(server: Server) -> Vocabulary:
    """Return the vocabulary as the writer knows it."""
    vocabulary: Vocabulary = server.memory.setdefault(_VOCABULARY, Vocabulary())
    return vocabulary


def _places(connection: sqlite3.Connection, channel_ids: Collection[int]) -> dict[int, str]:
    """Return the marks of conversations."""
    rows = connection.execute(
        "SELECT channel_id, address FROM channels WHERE channel_id IN (SELECT value FROM json_each(?))",
        (json.dumps([*channel_ids]),),
    )
    return {
        channel_id: " ".join([place_mark(channel_id), *map(party_mark, parties(address))])
        for channel_id, address in rows
    }


def anew(server: Server, connection: sqlite3.Connection, messages: Sequence[Edited]) -> None:
    """Index messages again, as they are now."""
    erased(server, connection, [message.message_id for message in messages])
    put(server, connection, messages)


def erased(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Remove messages from the index; `purge` erases the rest of their words."""
    for message_id in message_ids:
        row = connection.execute("SELECT c0 FROM search_index_content WHERE id = ?", (message_id,)).fetchone()
        if row is not None:
            connection.execute("DELETE FROM search_index WHERE rowid = ?", (message_id,))
            suspect(connection, row[0])
