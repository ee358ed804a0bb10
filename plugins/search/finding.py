"""Asking the index, and ranking and showing what it found."""

import html
import sqlite3
from typing import Any, NamedTuple

from relay.plugin import ConversationKind, ErrorCode, RelayError
from relay.plugin.server import Server
from relay.services.history import envelope
from relay.storage import history, messages, versions
from relay.storage.conversations import group_address, user_address
from relay.storage.history import View

from .index import party_mark, place_mark, sender_mark, type_mark
from .query import Query, Term
from .vocabulary import words_within
from .words import located, words

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
_SNIPPET = 160


class Asked(NamedTuple):
    """A search besides its text.

    Attributes:
        before: look at messages before this id only; None for all.
        skip: leave out so many of the best.
    """

    limit: int
    newest: bool
    before: int | None = None
    skip: int = 0
    types: tuple[str, ...] = ()


class Found(NamedTuple):
    """A page of results.

    Attributes:
        before, skip: where the next page begins; None when there is none.
    """

    results: list[dict[str, Any]]
    before: int | None
    skip: int


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
        return Found([], None, 0)
    between = _range(connection, query, asked.before)
    if asked.newest:
        rows, ended = _candidates(connection, match, between, views, asked.limit + 1)
        page = _fitting(server, connection, rows[: asked.limit])
        before, skip = (page[-1][0] if len(rows) > len(page) else ended), 0
    else:
        rows, _ended = _candidates(connection, match, between, views, CANDIDATES)
        ranked = _best_first(rows, query.sought)
        page = _fitting(server, connection, ranked[asked.skip : asked.skip + asked.limit])
        skip = asked.skip + len(page)
        before = rows[0][0] + 1 if skip < len(ranked) else None
    return Found(_shown(server, connection, page, query), before, skip)


def _fitting(server: Server, connection: sqlite3.Connection, page: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return as much of a page, from its beginning, as a page of messages may have in bytes."""
    most = server.services.settings.limits.page_bytes or history.NO_BOUND
    return page[: messages.first_of(connection, [message_id for message_id, _ in page], most).taken]


def _shown(
    server: Server, connection: sqlite3.Connection, page: list[tuple[int, str]], query: Query
) -> list[dict[str, Any]]:
    records = messages.records(connection, [message_id for message_id, _ in page]) if page else {}
    results = []
    for message_id, _ in page:
        record = records[message_id]
        if record.payload is None:  # erased while search was set aside
            continue
        said = server.services.registry.searched(record.type, record.payload)
        results.append({"message": envelope(record), "snippet": snippet(said[1] if said else "", query)})
    return results


def _views(connection: sqlite3.Connection, user_id: str, query: Query) -> dict[str, View]:
    """Return what the user may see, by the mark of the conversation, narrowed to the ones asked for."""
    seen = [view for view in history.views(connection, user_id) if not view.over]
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
    marks = [_any(map(type_mark, asked.types))] if asked.types else []
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


def _any(marks: Any) -> str:
    return " OR ".join(f'"{mark}"' for mark in marks)


def _range(connection: sqlite3.Connection, query: Query, before: int | None) -> tuple[int, int]:
    """Return the ids, both included, that a search's times and page leave."""
    newest = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()[0]
    high = newest if before is None else min(newest, before - 1)
    low = 0
    if query.until is not None:
        high = min(high, _first_at(connection, query.until, newest) - 1)
    if query.since is not None:
        low = _first_at(connection, query.since, newest)
    return low, high


def _first_at(connection: sqlite3.Connection, moment: float, newest: int) -> int:
    """Return the first id that was stored at a moment or later; ids and times rise together."""
    low, high = 1, newest + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT message_id, timestamp FROM log WHERE message_id >= ? ORDER BY message_id LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low


def _candidates(
    connection: sqlite3.Connection,
    match: Match,
    between: tuple[int, int],
    views: dict[str, View],
    wanted: int,
) -> Candidates:
    """Return the newest matches that the user may see."""
    low, high = between
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
            if view is None or not _sees(connection, view, message_id):
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
    return view.last is None or not versions.changed_since(connection, message_id, view.last)


def _best_first(rows: list[tuple[int, str]], sought: list[Term]) -> list[tuple[int, str]]:
    """Order by how often a message says what is sought, for its length (as BM25 has it); then the newest first."""
    return sorted(rows, key=lambda row: _score(row[1].split(), sought), reverse=True)


def _score(spoken: list[str], sought: list[Term]) -> float:
    most = 1.2 * (0.25 + 0.75 * len(spoken) / 20)
    score = 0.0
    for term in sought:
        times = min(map(spoken.count, term.words)) or 0.5
        score += times * 2.2 / (times + most)
    return score


def snippet(text: str, query: Query) -> str:
    """Return the part of a text where most is found, as HTML-escaped text with what was found in `<mark>`."""
    spans = _spans(text, query)
    start = max(0, spans[0][0] - _SNIPPET // 3) if spans else 0
    end = min(len(text), start + _SNIPPET)
    shown, at = [], start
    for first, last in spans:
        if first < at or last > end:
            continue
        shown.append(html.escape(text[at:first]) + f"<mark>{html.escape(text[first:last])}</mark>")
        at = last
    shown.append(html.escape(text[at:end]))
    return ("…" if start else "") + "".join(shown) + ("…" if end < len(text) else "")


def _spans(text: str, query: Query) -> list[tuple[int, int]]:
    """Return where a text says what is sought, joined where parts touch."""
    placed = list(located(text[:20_000]))
    spoken = [word for word, _, _ in placed]
    spans: list[tuple[int, int]] = []
    for term in query.sought:
        size = len(term.words)
        spans += [
            (placed[index][1], placed[index + size - 1][2])
            for index in range(len(placed) - size + 1)
            if _is(spoken[index : index + size], term)
        ]
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _is(said: list[str], term: Term) -> bool:
    if term.inside:
        return term.words[0] in said[0]
    if term.begins:
        return said[:-1] == term.words[:-1] and said[-1].startswith(term.words[-1])
    return said == term.words


def matches(text: str, query: Query) -> bool:
    """Tell, without the index, whether a text has what is sought; what tests compare the index with."""
    said = words(text)
    return all(_has(said, term) is not term.excluded for term in query.terms)


def _has(said: list[str], term: Term) -> bool:
    size = len(term.words)
    return any(_is(said[index : index + size], term) for index in range(len(said) - size + 1))
