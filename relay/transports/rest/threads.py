"""Threads: a page of the replies to a message, and the threads that the caller follows."""

from __future__ import annotations

import re
from typing import Any, Literal

from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Limit, Position, Query, Seq, invalid
from relay.http.views import Caller
from relay.protocol.envelope import MAX_INTEGER, Integer, Name, SentEnvelope
from relay.protocol.errors import ErrorCode, not_found
from relay.transports.rest.history import Thread, wait_for_turn

blueprint = Blueprint("threads", __name__)


class Followed(Thread, frozen=True):
    """A thread that the caller follows, with its root and the conversation that it is in."""

    kind: Literal["user", "group", "self", "broadcast"]
    target_id: Name
    root: SentEnvelope


class FollowedQuery(Query, frozen=True):
    """The page."""

    cursor: Position = None
    limit: Limit = 50


class FollowedThreads(Answer, frozen=True):
    """A page of threads, the one with the newest reply first; `unread` counts all those with unread replies."""

    threads: list[Followed]
    unread: Integer
    has_more: bool
    next_cursor: Integer | None


class RepliesQuery(Query, frozen=True):
    """The page, by `seq`."""

    before: Seq = None
    after: Seq = None
    limit: Limit = 50


class Replies(Answer, frozen=True):
    """A page of a thread, oldest first; `thread` is null where it has no reply that the caller sees."""

    root: SentEnvelope
    messages: list[SentEnvelope]
    latest: list[SentEnvelope]
    thread: Thread | None
    has_more: bool
    next_before: Integer | None
    next_after: Integer | None


@blueprint.get("/api/threads")
@endpoint(query=FollowedQuery, answers={200: FollowedThreads})
async def followed(engine: Engine, caller: Caller, query: FollowedQuery) -> Any:
    """Answer with the threads that the caller follows: begun, replied in, mentioned in or chosen."""
    await wait_for_turn(engine, caller)
    return await engine.threads.followed(caller.user_id, query.limit, before=query.cursor)


@blueprint.get("/api/messages/thread/<message_id>")
@endpoint(query=RepliesQuery, answers={200: Replies}, refusals=[ErrorCode.NOT_FOUND])
async def replies(engine: Engine, caller: Caller, query: RepliesQuery, message_id: str) -> Any:
    """Answer with a message, and a page of the replies in its thread."""
    if query.before is not None and query.after is not None:
        raise invalid("give only one of the query parameters before and after")
    root_id = int(message_id) if re.fullmatch("[0-9]{1,16}", message_id) else MAX_INTEGER + 1
    if root_id > MAX_INTEGER:
        raise not_found(f"message {message_id!r}")
    await wait_for_turn(engine, caller)
    return await engine.threads.page(caller.user_id, root_id, query.limit, before=query.before, after=query.after)
