"""Asking the index, and making a page of what it found."""

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from relay.plugin import (
    NO_BOUND,
    ConversationKind,
    ErrorCode,
    RelayError,
    Server,
    View,
    changed_since,
    envelope,
    group_address,
    read_first,
    read_records,
    read_views,
    user_address,
)

from .index import party_mark, place_mark, sender_mark, type_mark
from .query import Query
from .showing import Snippets, score
from .times import Span, span
from .vocabulary import words_within

CANDIDATES = 200
"""Best first is the best of so many of the newest that match: ranking all of a common word's takes too long."""

READ = 2_500
"""How many messages are read for a page where a part of a word is in too many words to ask for them all."""

LOOK = 300
"""After so many matches, if fewer than one in `FEW` was the user's to see, the index is asked for those alone.

That takes its own time: where little matches, or much is theirs to see, it is quicker to leave out the others.
"""

FEW = 8

_PLACES = 400
"""In more groups than this, the index is not asked for all of them, unless nothing else is looked for."""

_PARTS = 100
_TYPE = re.compile(r"[a-z][a-z0-9_]*")


class Position(NamedTuple):
    """Where a page ended, best first: how good its last message was, and which one it was."""

    score: int
    message_id: int


class Asked(NamedTuple):
    """A search besides its text.

    Attributes:
        before: look at messages before this id only; None for all.
        beyond: leave out this one and the better ones; None for none.
    """

    limit: int
    newest: bool
    before: int | None = None
    beyond: Position | None = None
    types: tuple[str, ...] = ()


class Found(NamedTuple):
    """A page of results.

    Attributes:
        before, beyond: where the next page begins; `before` is None when there is none.
    """

    results: list[dict[str, Any]]
    before: int | None = None
    beyond: Position | None = None


class Match(NamedTuple):
    """What is asked of the index, and what it cannot be asked.

    Attributes:
        steps: expressions of FTS5, made of quoted words only: what matches whoever may see it, given up where it
            finds too little; then what the user may see.
        read: parts of words that are looked for by reading, and whether each must be there.
    """

    steps: list[str]
    read: list[tuple[str, bool]]

    def has(self, said: str) -> bool:
        """Tell whether a message's words have, and have not, what is looked for by reading."""
        return all((part in said) is wanted for part, wanted in self.read)


class Candidates(NamedTuple):
    """What matched, the newest first, with its words; `ended` is where the reading stopped short of all."""

    rows: list[tuple[int, str]]
    ended: int | None


def find(server: Server, connection: sqlite3.Connection, user_id: str, query: Query, asked: Asked) -> Found:
    """Search what a user may see.

    Raises:
        RelayError: `not_found` for a conversation that is not there or not theirs to see.
    """
    views = _views(connection, user_id, query)
    places = _places(user_id, query, views)
    match = _match(connection, query, places, asked)
    if match is None or not views:
        return Found([])
    between = span(server, connection, query.since, query.until, asked.before)
    if asked.newest:
        rows, ended = _candidates(connection, match, between, views, asked.limit + 1)
        page = rows[: _fitting(server, connection, [message_id for message_id, _ in rows[: asked.limit]])]
        further = page[-1][0] if len(rows) > len(page) else ended
        return Found(_shown(server, connection, [message_id for message_id, _ in page], query), further)
    rows, _ended = _candidates(connection, match, between, views, CANDIDATES)
    ranked = _best_first(rows, query, asked.beyond)
    best = ranked[: _fitting(server, connection, [position.message_id for position in ranked[: asked.limit]])]
    results = _shown(server, connection, [position.message_id for position in best], query)
    if len(ranked) <= len(best):
        return Found(results)
    return Found(results, asked.before or rows[0][0] + 1, best[-1])


def _best_first(rows: list[tuple[int, str]], query: Query, beyond: Position | None) -> list[Position]:
    """Return the best, then the newest first, without those up to a position.

    The page before ended there. It says which message that was and not how many came before: one that is deleted
    meanwhile would move all others up by one.
    """
    sought = query.sought
    wanted = {word for term in sought for word in term.words}
    ranked = [Position(score(said, wanted, sought), message_id) for message_id, said in rows]
    return sorted((one for one in ranked if beyond is None or one < beyond), reverse=True)


def _fitting(server: Server, connection: sqlite3.Connection, page: list[int]) -> int:
    """Return how many messages of a page, from its beginning, are as much in bytes as a page may have."""
    return read_first(connection, page, server.services.settings.limits.page_bytes or NO_BOUND).taken


def _shown(server: Server, connection: sqlite3.Connection, page: list[int], query: Query) -> list[dict[str, Any]]:
    records = read_records(connection, page) if page else {}
    snippets = Snippets(query)
    results = []
    for message_id in page:
        record = records[message_id]
        if record.payload is None:  # erased while search was set aside
            continue
        said = server.message_types.searched(record.type, record.payload)
        results.append({"message": envelope(record), "snippet": snippets.of(said[1] if said else "")})
    return results


def _views(connection: sqlite3.Connection, user_id: str, query: Query) -> dict[str, View]:
    """Return what the user may see, by the mark of the conversation, narrowed to the ones asked for."""
    seen = [view for view in read_views(connection, user_id) if not view.over]
    if query.targets:
        addresses = {
            address for name in query.targets for address in (group_address(name), user_address(user_id, name))
        }
        seen = [view for view in seen if view.address in addresses]
        if not seen:
            raise RelayError(
                ErrorCode.NOT_FOUND, f"there is no conversation {query.targets[0][:80]!r} to search in"
            )
    return {place_mark(view.channel_id): view for view in seen}


def _places(user_id: str, query: Query, views: dict[str, View]) -> list[str]:
    """Return the marks of which each message in the views has one."""
    if query.targets:
        return [*views]
    return [party_mark(user_id), *(place for place, view in views.items() if view.kind != ConversationKind.USER)]


def _match(connection: sqlite3.Connection, query: Query, places: list[str], asked: Asked) -> Match | None:
    """Return what to ask the index; None when nothing can match."""
    sought: list[str] = []
    refused: list[str] = []
    read: list[tuple[str, bool]] = []
    for term in query.terms:
        if not term.inside:
            said = f'"{" ".join(term.words)}"' + (" *" if term.begins else "")
        else:
            within = words_within(connection, term.words[0], _PARTS)
            if within is None:
                read.append((term.words[0], not term.excluded))
                continue
            if not within and not term.excluded:
                return None
            said = _any(within)
        if said:
            (refused if term.excluded else sought).append(said)
    types = [name for name in asked.types if _TYPE.fullmatch(name)]
    if len(types) < len(asked.types):
        return None
    marks = [_any(map(type_mark, types))] if types else []
    if query.senders:
        marks.append(_any(map(sender_mark, query.senders)))
    if query.attachments:
        marks.append('"files"')
    everywhere = [f"words : ({part})" for part in sought] + [f"marks : ({part})" for part in marks]
    here = [*everywhere, f"marks : ({_any(places)})"]
    steps = [here]
    if everywhere and not query.targets:
        steps = [everywhere, here] if len(places) <= _PLACES else [everywhere]
    but = f" NOT words : ({' OR '.join(refused)})" if refused else ""
    return Match([f"({' AND '.join(parts)}){but}" for parts in steps], read)


def _any(marks: Iterable[str]) -> str:
    """Return an expression for any of some words; each is a value, whatever it says."""
    return " OR ".join('"' + mark.replace('"', '""') + '"' for mark in marks)


def _candidates(
    connection: sqlite3.Connection,
    match: Match,
    between: Span,
    views: dict[str, View],
    wanted: int,
) -> Candidates:
    """Return the newest matches that the user may see."""
    low, high = between.low, between.high
    found: list[tuple[int, str]] = []
    looked = 0
    for step, expression in enumerate(match.steps, 1):
        rows = connection.execute(
            # FTS5's own way to a row takes twice as long as to the table that it keeps it in
            # (https://sqlite.org/fts5.html#fts5_data_structures).
            "SELECT i.rowid, c.c0, c.c1 FROM search_index i JOIN search_index_content c ON c.id = i.rowid"
            " WHERE i.search_index MATCH ? AND i.rowid BETWEEN ? AND ? ORDER BY i.rowid DESC",
            (expression, low, high),
        )
        before = 0
        for count, (message_id, said, marks) in enumerate(rows):
            if count % LOOK == 0 and step < len(match.steps):
                if count and len(found) - before < LOOK // FEW:
                    high = message_id
                    break
                before = len(found)
            view = views.get(marks.partition(" ")[0])
            if view is None or not between.has(connection, message_id) or not _sees(connection, view, message_id):
                continue
            looked += 1
            if not match.read or match.has(said):
                found.append((message_id, said))
            if len(found) >= wanted:
                return Candidates(found, None)
            if match.read and looked >= READ:
                return Candidates(found, message_id)
        else:
            break
    return Candidates(found, None)


def _sees(connection: sqlite3.Connection, view: View, message_id: int) -> bool:
    if view.first <= 1 and view.last is None:
        return True
    (seq,) = connection.execute("SELECT seq FROM log WHERE message_id = ?", (message_id,)).fetchone()
    if not view.sees(connection, seq):
        return False
    # Who left finds a message by what it said then, and not by what it says since.
    return view.last is None or not changed_since(connection, message_id, view.last)
