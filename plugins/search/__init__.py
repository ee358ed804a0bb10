"""Search: an index of every message's words, for everybody who may see the message.

It adds `GET /api/search`, and `search` on the socket.
"""

import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec
import trio
import trio.lowlevel
from msgspec import Meta

from relay.http import Answer, Blueprint, Caller, Limit, Moment, Word, endpoint
from relay.http import Query as QueryString
from relay.plugin import (
    BackgroundTask,
    Command,
    Draft,
    ErrorCode,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    Name,
    Payload,
    RelayError,
    Routes,
    SentEnvelope,
    Server,
    StorageFailed,
    hookimpl,
    note_erased,
)

from . import progress, times
from .index import SCHEMA, WITH_PARTIES, erased
from .purge import ALL, GONE, left_over, purge, suspect
from .query import parse
from .results import Asked, Found, Position, find
from .state import state
from .vocabulary import LOTS, NUMBERED, in_small_lots

ANSWERED_SECONDS = 0.005
"""A search is answered after this time, or twice, four times, … as long, whichever comes next."""

RETRY_SECONDS = 30.0

_NUMBER = re.compile(r"[0-9]{1,15}")
WITH_MARKS = "DELETE FROM search_state"
"""A migration that has everything indexed again, with vowel signs, points and signs recognised."""

Text = Annotated[str, Meta(max_length=1000, description="the query, as docs/plugins/search.md describes")]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.search]`.

    Attributes:
        results: the largest number of results on a page.
    """

    results: Annotated[int, Meta(ge=1, le=200)] = 50


class Search(Payload):
    """A search on the socket, answered by its ack. Fields as in `GET /api/search`."""

    q: Text = ""
    user: Name | None = None
    group: Name | None = None
    sender: Name | None = None
    since: float | None = None
    until: float | None = None
    type: Name | None = None
    order: str = "best"
    limit: Annotated[int, Meta(ge=1, le=200)] = 20
    cursor: str | None = None


class SearchQuery(QueryString, frozen=True):
    """`GET /api/search`."""

    q: Text = ""
    user: Word = None
    group: Word = None
    sender: Word = None
    since: Annotated[Moment | None, Meta(description="Unix seconds, or ISO 8601")] = None
    until: Annotated[Moment | None, Meta(description="Unix seconds, or ISO 8601")] = None
    type: Word = None
    order: Annotated[str, Meta(description="best or newest")] = "best"
    limit: Limit = 20
    cursor: Annotated[Annotated[str, Meta(max_length=64)] | None, Meta(description="of an earlier answer")] = None


class Result(Answer, frozen=True):
    """A message that matches, and the part of it that does, as HTML with `<mark>` around the matches."""

    message: SentEnvelope
    snippet: str


class Results(Answer, frozen=True):
    """A page of results."""

    results: list[Result]
    has_more: bool
    next_cursor: str | None


async def search(server: Server, user_id: str, wanted: Search | SearchQuery, most: int) -> dict[str, Any]:
    """Return a page of results for a user.

    Raises:
        RelayError: `invalid_payload`, `not_found`.
    """
    query = parse(wanted.q, user_id)
    query.senders += [wanted.sender] if wanted.sender else []
    query.targets += [target for target in (wanted.user, wanted.group) if target]
    if wanted.since is not None:
        query.since = max(query.since or 0.0, float(wanted.since))
    if wanted.until is not None:
        query.until = min(query.until or 1e12, float(wanted.until))
    if wanted.order not in ("best", "newest"):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"order is best or newest, not {wanted.order[:40]!r}")
    before, beyond = _position(wanted.cursor)
    types = (wanted.type,) if wanted.type else ()
    asked = Asked(min(wanted.limit, most), wanted.order == "newest", before, beyond, types)
    began, found = await _look(server, partial(find, server, user_id=user_id, query=query, asked=asked))
    await trio.sleep_until(began + _told_after(trio.current_time() - began))
    further = None
    if found.before is not None:
        further = ".".join(map(str, (found.before, *(found.beyond or ()))))
    return {"results": found.results, "has_more": further is not None, "next_cursor": further}


async def _look(server: Server, ask: Callable[[sqlite3.Connection], Found]) -> tuple[float, Found]:
    """Return what a search finds, and when it began; if messages wait to be indexed, they are before that."""

    def look(connection: sqlite3.Connection) -> Found | None:
        return None if progress.is_behind(server, connection) else ask(connection)

    began = trio.current_time()
    found = await server.read(look)
    if found is None:
        with suppress(StorageFailed):  # which is told already; meanwhile a search finds what is indexed
            await server.write(partial(progress.index_what_waits, server))
        began = trio.current_time()
        found = await server.read(ask)
    return began, found


def _told_after(seconds: float) -> float:
    """Return the time at which a search that took so long is answered.

    A word that many messages contain takes longer to search than a word of none, even for a user who may see none
    of them. With only a few moments for answers, the two look alike.
    """
    at = ANSWERED_SECONDS
    while at < seconds:
        at *= 2
    return at


def _position(cursor: str | None) -> tuple[int | None, Position | None]:
    if cursor is None:
        return None, None
    parts = cursor.split(".")
    if len(parts) not in (1, 3) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "cursor is not one that an answer gave")
    before, *beyond = map(int, parts)
    return before, Position(*beyond) if beyond else None


async def keep_up(server: Server) -> None:
    """Index what was stored while search was off, and what waited to be indexed at the last end."""
    position, seen_at = server.position, await server.read(lambda found: state(found, "seen_at"))
    at = await server.read(progress.reached)
    if seen_at:
        await server.write(partial(progress.refresh, server, since=seen_at, until=at))
    if await server.read(left_over):  # after what was indexed again has left its old words
        await server.write(note_erased)
    await _index(server, at, position)
    times.known(server)
    while True:
        with suppress(StorageFailed):  # which is told already; until the disk takes it, no message waits
            return await server.write(partial(progress.end, server))
        await trio.sleep(RETRY_SECONDS)


async def _index(server: Server, at: int, until: int) -> None:
    while at < until:
        at = await server.write(partial(progress.catch_up, server, after=at, until=until, limit=progress.SLICE))
        await trio.lowlevel.checkpoint()


async def rebuild(server: Server) -> str:
    """Rebuild the whole index from the stored messages; new ones can be found meanwhile."""
    await server.write(partial(_begin_again, server))
    await _index(server, 0, server.position)
    await server.write(partial(progress.end, server))
    count = await server.read(lambda found: found.execute("SELECT count(*) FROM search_index").fetchone()[0])
    return f"{count:,} messages can be found"


def _begin_again(server: Server, connection: sqlite3.Connection) -> None:
    progress.begin(server)
    suspect(connection, ALL)
    note_erased(connection)


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.search]`, read into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the index."""
    return [
        Migration(name="index", sql=SCHEMA),
        Migration(name="lots of words", sql=LOTS),
        Migration(name="parties", sql=WITH_PARTIES),
        Migration(name="small lots", sql=in_small_lots),
        Migration(name="words of what is gone", sql=GONE),
        Migration(name="steps of the clock", sql=times.STEPS),
        Migration(name="marks and signs", sql=WITH_MARKS),
        Migration(name="numbered lots", sql=NUMBERED),
    ]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add `search`, which is answered by its ack."""

    async def handle(draft: Draft) -> None:
        draft.answer = await search(draft.server, draft.sender.user_id, draft.payload, options.results)
        draft.only_sender = True

    return [
        MessageType(
            name="search",
            payload=Search,
            kind=Kind.TRANSIENT,
            targets=frozenset(),
            priority=0,
            answer=Results,
            handle=handle,
        ),
    ]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Update the index with every change of a message."""
    return [
        MessageHook(stored=progress.stored, edited=progress.edited, erased=erased, purge=purge),
    ]


@hookimpl
def relay_background() -> list[BackgroundTask]:
    """Add the task that indexes what was stored while search was off."""
    return [BackgroundTask(name="catch up", run=keep_up)]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add `GET /api/search`."""
    made = Blueprint("search", __name__)

    @made.get("/api/search", endpoint="search")
    @endpoint(query=SearchQuery, answers={200: Results}, refusals=[ErrorCode.NOT_FOUND])
    async def answer(server: Server, caller: Caller, query: SearchQuery) -> dict[str, Any]:
        """Answer with the messages that the caller may see and that have what is looked for."""
        return await search(server, caller.user_id, query, options.results)

    return [Routes(blueprint=made)]


@hookimpl
def relay_commands() -> list[Command]:
    """Add `relay search rebuild`."""
    return [Command(name="search rebuild", run=rebuild)]
