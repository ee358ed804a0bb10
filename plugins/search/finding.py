"""Asking the index, and ranking and showing what it found."""

import html
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from relay.plugin import ErrorCode, RelayError
from relay.plugin.server import Server
from relay.services.history import envelope
from relay.storage import history, messages
from relay.storage.conversations import group_address, user_address
from relay.storage.history import View

from .index import sender_mark, type_mark
from .query import Query, Term
from .vocabulary import words_within
from .words import places, words

CANDIDATES = 300
"""Best first is the best of so many of the newest that match: ranking all of a common word's takes too long."""

READ = 2_500
"""How many messages are read for a page where a part of a word is in too many words to ask for them all."""

_MARKED_CONVERSATIONS = 400
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
        expression: of FTS5, made of quoted words only.
        read: parts of words that are looked for by reading, and whether each must be there.
    """

    expression: str
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
    match = _match(connection, query, views, asked)
    if match is None or not views:
        return Found([], None, 0)
    between = _range(connection, query, asked.before)
    if asked.newest:
        rows, ended = _candidates(connection, match, between, views, asked.limit + 1)
        page = rows[: asked.limit]
        before, skip = (page[-1][0] if len(rows) > asked.limit else ended), 0
    else:
        rows, _ended = _candidates(connection, match, between, views, CANDIDATES)
        ranked = sorted(rows, key=lambda one: (-_score(one[1], query), -one[0]))
        skip = asked.skip + asked.limit
        page = ranked[asked.skip : skip]
        before = rows[0][0] + 1 if skip < len(ranked) else None
    return Found(_shown(server, connection, page, query), before, skip)


def _shown(
    server: Server, connection: sqlite3.Connection, page: list[tuple[int, str]], query: Query
) -> list[dict[str, Any]]:
    records = messages.records(connection, [message_id for message_id, _ in page]) if page else {}
    results = []
    for message_id, _ in page:
        record = records[message_id]
        if record.payload is None:  # erased while search was set aside
            continue
        type_ = server.services.registry.types.get(record.type)
        text = type_.search_text(type_.load(record.payload)) if type_ and type_.search_text else ""
        results.append({"message": envelope(record), "snippet": snippet(text or "", query)})
    return results


def _views(connection: sqlite3.Connection, user_id: str, query: Query) -> dict[int, list[View]]:
    """Return what the user may see, by conversation, narrowed to the ones asked for."""
    seen = history.views(connection, user_id)
    if query.targets:
        addresses = {
            address for name in query.targets for address in (group_address(name), user_address(user_id, name))
        }
        seen = [view for view in seen if view.address in addresses]
        if not seen:
            raise RelayError(
                ErrorCode.NOT_FOUND, f"there is no conversation {query.targets[0][:80]!r} to search in"
            )
    found: dict[int, list[View]] = {}
    for view in seen:
        found.setdefault(view.channel_id, []).append(view)
    return found


def _match(
    connection: sqlite3.Connection, query: Query, views: dict[int, list[View]], asked: Asked
) -> Match | None:
    """Return what to ask the index; None when nothing can match."""
    sought: list[str] = []
    refused: list[str] = []
    read: list[tuple[str, bool]] = []
    for term in query.terms:
        if not term.inside:
            said = f'"{" ".join(term.words)}"' + (" *" if term.begins else "")
        else:
            within = words_within(connection, term.words[0], _PARTS)
            if len(within) > _PARTS:
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
    if len(views) <= _MARKED_CONVERSATIONS or not (sought or marks):
        marks.append(_any(f"c{channel_id}" for channel_id in views))
    parts = [f"words : ({part})" for part in sought] + [f"marks : ({part})" for part in marks]
    expression = " AND ".join(parts)
    if refused:
        expression = f"({expression}) NOT words : ({' OR '.join(refused)})"
    return Match(expression, read)


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
    views: dict[int, list[View]],
    wanted: int,
) -> Candidates:
    """Return the newest matches that the user may see."""
    whole = len(views) <= _MARKED_CONVERSATIONS and all(
        view.first <= 1 and view.last is None for seen in views.values() for view in seen
    )
    place = "NULL, NULL FROM search_index i" if whole else "l.channel_id, l.seq FROM search_index i JOIN log l"
    joined = "" if whole else " ON l.message_id = i.rowid"
    rows = connection.execute(
        f"SELECT i.rowid, i.words, {place}{joined}"
        " WHERE i.search_index MATCH ? AND i.rowid BETWEEN ? AND ? ORDER BY i.rowid DESC",
        (match.expression, *between),
    )
    found: list[tuple[int, str]] = []
    for count, (message_id, said, channel_id, seq) in enumerate(rows, 1):
        if (not match.read or match.has(said)) and (whole or _sees(views.get(channel_id, ()), seq)):
            found.append((message_id, said))
            if len(found) >= wanted:
                break
        if match.read and count >= READ:
            return Candidates(found, message_id)
    return Candidates(found, None)


def _sees(views: Sequence[View], seq: int) -> bool:
    return any(view.first <= seq and (view.last is None or seq <= view.last) for view in views)


def _score(said: str, query: Query) -> float:
    """Return how well a message fits: how often it says what is sought, for its length (as BM25 has it)."""
    spoken = said.split()
    length = len(spoken)
    score = 0.0
    for term in query.sought:
        times: float = min(map(spoken.count, term.words), default=0) or 0.5
        score += times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / 20))
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
    placed = list(places(text[:20_000]))
    spans: list[tuple[int, int]] = []
    for term in query.sought:
        size = len(term.words)
        for index in range(len(placed) - size + 1):
            said = [word for word, _, _ in placed[index : index + size]]
            if _is(said, term):
                spans.append((placed[index][1], placed[index + size - 1][2]))
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
