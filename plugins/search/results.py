"""Results of a search: the matches in the index that the user may see, ranked, and a page of them."""

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
    group_address,
    read_first,
    read_records,
    read_views,
    user_address,
)

from .index import party_mark, place_mark, sender_mark, type_mark
from .query import Query
from .snippets import Snippets, score
from .times import Span, span
from .vocabulary import words_within

CANDIDATES = 200
"""Best first ranks this many of the newest matches: to rank all matches of a common word takes too long."""

READ = 2_500
"""Messages that are read for one page, if a part of a word is in too many words to ask the index for all."""

PROBED = 300
"""Matches after which the share that the user may see is judged.

Below one in `VISIBLE_SHARE`, the index is asked again, for the user's conversations only. That query is not used
at once because it is slow itself: where little matches, or most is visible, skipping the others is faster.
"""

VISIBLE_SHARE = 8

_PLACES = 400
"""In more groups than this, the index is asked for the user's conversations only if nothing else is given."""

_PARTS = 100
_TYPE = re.compile(r"[a-z][a-z0-9_]*")


class Position(NamedTuple):
    """The end of a page that is sorted best first: the score and the id of its last message."""

    score: int
    message_id: int


class Asked(NamedTuple):
    """A search, apart from its text.

    Attributes:
        before: return messages before this id only; None for all.
        beyond: skip this message and better ones; None for none.
    """

    limit: int
    newest: bool
    before: int | None = None
    beyond: Position | None = None
    types: tuple[str, ...] = ()


class Found(NamedTuple):
    """A page of results.

    Attributes:
        before, beyond: where the next page begins; `before` is None if there is none.
    """

    results: list[dict[str, Any]]
    before: int | None = None
    beyond: Position | None = None


class Match(NamedTuple):
    """A query for the index, and the conditions that the index cannot check.

    Attributes:
        steps: expressions of FTS5, made of quoted words only. The first matches messages of everybody and is given
            up if the user may see too few of them; the second matches the user's conversations only.
        read: parts of words, each with whether it must be there; they are checked by reading the message's words.
    """

    steps: list[str]
    read: list[tuple[str, bool]]

    def has(self, said: str) -> bool:
        """Return whether a message's words pass the conditions that the index cannot check."""
        return all((part in said) is wanted for part, wanted in self.read)


class Candidates(NamedTuple):
    """Matches with their words, newest first; `ended` is the id at which reading stopped early, or None."""

    rows: list[tuple[int, str]]
    ended: int | None


def find(server: Server, connection: sqlite3.Connection, user_id: str, query: Query, asked: Asked) -> Found:
    """Search the messages that a user may see.

    Raises:
        RelayError: `not_found` for a conversation that does not exist, or is not the user's to see.
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
        return Found(_shown(server, connection, user_id, [message_id for message_id, _ in page], query), further)
    rows, _ended = _candidates(connection, match, between, views, CANDIDATES)
    ranked = _best_first(rows, query, asked.beyond)
    best = ranked[: _fitting(server, connection, [position.message_id for position in ranked[: asked.limit]])]
    results = _shown(server, connection, user_id, [position.message_id for position in best], query)
    if len(ranked) <= len(best):
        return Found(results)
    return Found(results, asked.before or rows[0][0] + 1, best[-1])


def _best_first(rows: list[tuple[int, str]], query: Query, beyond: Position | None) -> list[Position]:
    """Return matches by score, then newest first, without those up to `beyond`, the end of the page before.

    The end is a message and not a number of messages, since a deletion meanwhile would shift such a number.
    """
    sought = query.sought
    wanted = {word for term in sought for word in term.words}
    ranked = [Position(score(said, wanted, sought), message_id) for message_id, said in rows]
    return sorted((one for one in ranked if beyond is None or one < beyond), reverse=True)


def _fitting(server: Server, connection: sqlite3.Connection, page: list[int]) -> int:
    """Return how many messages from the beginning of a page fit into the bytes of one page."""
    return read_first(connection, page, server.settings.limits.page_bytes or NO_BOUND).taken


def _shown(
    server: Server, connection: sqlite3.Connection, user_id: str, page: list[int], query: Query
) -> list[dict[str, Any]]:
    """Return the results of a page, as the user gets its messages.

    One that a plugin changed for this user is left out if it does not match any more: a search must not tell what
    it was.
    """
    found = read_records(connection, page) if page else {}
    # A message without a payload was erased while search was in quarantine.
    records = [record for message_id in page if (record := found[message_id]).payload is not None]
    snippets = Snippets(query)
    results = []
    for record, shown in zip(records, server.envelopes(user_id, records), strict=True):
        payload = bytes(shown.payload).decode()
        said = None if shown.meta.withheld else server.message_types.searched(record.type, payload)
        text = said[1] if said else ""
        if payload == record.payload or query.is_in(text):
            results.append({"message": shown, "snippet": snippets.of(text)})
    return results


def _views(connection: sqlite3.Connection, user_id: str, query: Query) -> dict[str, View]:
    """Return the user's views by the mark of their conversation, only of those that the query names, if any."""
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
    """Return marks of which every message in the views has one."""
    if query.targets:
        return [*views]
    return [party_mark(user_id), *(place for place, view in views.items() if view.kind != ConversationKind.USER)]


def _match(connection: sqlite3.Connection, query: Query, places: list[str], asked: Asked) -> Match | None:
    """Return the query for the index; None if nothing can match."""
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
    """Return an FTS5 expression for any of some words; quoted, so that no word is an operator."""
    return " OR ".join('"' + mark.replace('"', '""') + '"' for mark in marks)


def _candidates(
    connection: sqlite3.Connection,
    match: Match,
    between: Span,
    views: dict[str, View],
    wanted: int,
) -> Candidates:
    """Return the newest matches that the user may see.

    The first step asks for all matches and skips those that the user may not see. For a common word in a large
    server nearly all would be skipped; so after every `PROBED` matches the share of visible ones is judged, and if
    it is too small, the second step goes on from the same id, with the user's conversations as a further
    condition.
    """
    low, high = between.low, between.high
    found: list[tuple[int, str]] = []
    looked = 0
    for step, expression in enumerate(match.steps, 1):
        rows = connection.execute(
            # Reading FTS5's content table directly is twice as fast as reading it through FTS5
            # (https://sqlite.org/fts5.html#fts5_data_structures).
            "SELECT i.rowid, c.c0, c.c1 FROM search_index i JOIN search_index_content c ON c.id = i.rowid"
            " WHERE i.search_index MATCH ? AND i.rowid BETWEEN ? AND ? ORDER BY i.rowid DESC",
            (expression, low, high),
        )
        before = 0
        for count, (message_id, said, marks) in enumerate(rows):
            if count % PROBED == 0 and step < len(match.steps):
                if count and len(found) - before < PROBED // VISIBLE_SHARE:
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
    # A former member finds a message by its text at that time, and not by what an edit made of it later.
    return view.last is None or not changed_since(connection, message_id, view.last)
