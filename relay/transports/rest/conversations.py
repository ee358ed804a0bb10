"""The list of conversations, from which a client draws its first screen."""

from __future__ import annotations

from typing import Literal

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import MAX_PAGE, Answer, Limit, Position, Query, read_query
from relay.protocol.envelope import Integer, Name, SentEnvelope
from relay.protocol.kinds import Role
from relay.transports.rest.context import await_page, reply, the_caller, the_engine

blueprint = Blueprint("conversations", __name__)


class ConversationsQuery(Query, frozen=True):
    """Which page."""

    cursor: Position = None
    limit: Limit = MAX_PAGE


class Summary(Answer, frozen=True):
    """A conversation as a list shows it; `last_message` is null where nothing was said yet."""

    kind: Literal["user", "group"]
    target_id: Name
    name: str
    role: Role
    last_message: SentEnvelope | None
    last_seq: Integer
    read_seq: Integer
    unread: Integer
    unread_mentions: Integer


class Summaries(Answer, frozen=True):
    """A page of conversations."""

    conversations: list[Summary]
    has_more: bool
    next_cursor: Integer | None


@blueprint.get("/api/conversations")
@described(query=ConversationsQuery, answers={200: Summaries})
async def conversations() -> Response:
    """Answer with the caller's conversations, in the order of their making."""
    caller = await the_caller()
    asked = read_query(ConversationsQuery)
    await await_page(caller)
    found = await the_engine().history.conversations(caller.user_id, after=asked.cursor or 0, limit=asked.limit)
    return reply(found)
