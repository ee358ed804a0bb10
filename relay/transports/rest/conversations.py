"""The list of conversations, from which a client draws its first screen."""

from __future__ import annotations

from quart import Blueprint, Response

from relay.plugin.reading import MAX_PAGE, Limit, Position, Query, read_query
from relay.transports.rest.context import reply, the_caller, the_engine

blueprint = Blueprint("conversations", __name__)


class ConversationsQuery(Query, frozen=True):
    """Which page."""

    cursor: Position = None
    limit: Limit = MAX_PAGE


@blueprint.get("/api/conversations")
async def conversations() -> Response:
    """Answer with the caller's conversations, in the order of their making."""
    caller = await the_caller()
    asked = read_query(ConversationsQuery)
    found = await the_engine().history.conversations(caller.user_id, after=asked.cursor or 0, limit=asked.limit)
    return reply(found)
