"""Notifications: what was told to the caller, and to everybody."""

from __future__ import annotations

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import Answer, Limit, Position, Query, invalid, read_query
from relay.protocol.envelope import Integer, SentEnvelope
from relay.transports.rest.context import await_page, reply, the_caller, the_engine

blueprint = Blueprint("notifications", __name__)


class NotificationsQuery(Query, frozen=True):
    """Which page, by message_id."""

    before: Position = None
    after: Position = None
    limit: Limit = 50


class Notifications(Answer, frozen=True):
    """A page of notifications, oldest first; `unread` counts all of them, not the page's."""

    messages: list[SentEnvelope]
    has_more: bool
    next_before: Integer | None
    next_after: Integer | None
    unread: Integer


@blueprint.get("/api/notifications")
@described(query=NotificationsQuery, answers={200: Notifications})
async def notifications() -> Response:
    """Answer with a page of the caller's own notifications and those to everybody."""
    caller = await the_caller()
    asked = read_query(NotificationsQuery)
    if asked.before is not None and asked.after is not None:
        raise invalid("give only one of the query parameters before and after")
    await await_page(caller)
    history = the_engine().history
    return reply(await history.notifications(caller.user_id, asked.limit, before=asked.before, after=asked.after))
