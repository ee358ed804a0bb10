"""Pages of what was said: history, undelivered messages, notifications, and the list of conversations."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Limit, Position, Query, Seq, Text, Time, Word, invalid
from relay.http.views import Caller
from relay.protocol.envelope import Integer, Name, SentEnvelope
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import ConversationKind, Role
from relay.storage.folding import folded
from relay.storage.history import Filters
from relay.transports.rest.bodies import connection_of_request
from relay.transports.rest.groups import GroupRights
from relay.transports.rest.messages import blueprint as messages
from relay.transports.rest.users import require_known

conversations = Blueprint("conversations", __name__)
notifications = Blueprint("notifications", __name__)


class HistoryQuery(Query, frozen=True):
    """The page of a conversation, and its filters."""

    before: Seq = None
    after: Seq = None
    around: Seq = None
    since: Time = None
    until: Time = None
    q: Text = None
    type: Word = None
    sender: Word = None
    limit: Limit = 50


class Thread(Answer, frozen=True):
    """A thread as the caller sees it; `thread` is the message that its replies answer.

    `repliers` are the last three who replied, the newest first; `unread` are others' replies after `read_seq`.
    """

    thread: Integer
    replies: Integer
    last_seq: Integer
    last_id: Integer
    last_at: float
    repliers: list[Name]
    follows: bool
    read_seq: Integer
    unread: Integer
    mentions: Integer


class History(Answer, frozen=True):
    """A page of a conversation, oldest first; `latest` are the values that belong to it, such as reactions.

    `latest_limited` is there, and true, where `latest` has the newest of too many. `threads` are those of its
    messages that have replies.
    """

    messages: list[SentEnvelope]
    latest: list[SentEnvelope]
    has_more: bool
    next_before: Integer | None
    next_after: Integer | None
    latest_limited: bool = False
    threads: list[Thread] = []


class UndeliveredQuery(Query, frozen=True):
    """The page; `after` and `cursor` mean the same."""

    after: Position = None
    cursor: Position = None
    limit: Limit = 50


class Undelivered(Answer, frozen=True):
    """Messages that no device has acked, by priority; all up to `cursor` are in the pages so far."""

    messages: list[SentEnvelope]
    cursor: Integer
    has_more: bool


class NotificationsQuery(Query, frozen=True):
    """The page, by message_id."""

    before: Position = None
    after: Position = None
    limit: Limit = 50


class Notifications(Answer, frozen=True):
    """A page of notifications, oldest first; `unread` counts all of them, not the page's.

    `latest` are the latest values about them, such as one's own answer to their actions; the newest of too many.
    """

    messages: list[SentEnvelope]
    latest: list[SentEnvelope]
    has_more: bool
    next_before: Integer | None
    next_after: Integer | None
    unread: Integer


class ConversationsQuery(Query, frozen=True):
    """The page."""

    cursor: Position = None
    limit: Limit = MAX_PAGE


class InThreads(Answer, frozen=True):
    """The unread messages of a conversation that only their threads show."""

    unread: Integer
    mentions: Integer


class Summary(Answer, frozen=True):
    """A conversation as a list shows it; `last_message` is null where nothing was said yet.

    `latest` has the latest values about that message, such as votes in a poll, but no reactions; `picture` is the
    attachment that the other user or the group shows. `in_threads` says how many of `unread` and `unread_mentions`
    are replies that only their threads show. A group has its `rights`, whether it is `closed`, its slow mode, and
    what the caller `may` do in it.
    """

    kind: Literal["user", "group"]
    target_id: Name
    name: str
    role: Role
    last_message: SentEnvelope | None
    last_seq: Integer
    read_seq: Integer
    unread: Integer
    unread_mentions: Integer
    picture: Name | None
    latest: list[SentEnvelope] = []
    in_threads: InThreads | None = None
    rights: GroupRights | None = None
    closed: bool = False
    slow_mode_seconds: Integer = 0
    may: list[str] | None = None


class Summaries(Answer, frozen=True):
    """A page of conversations."""

    conversations: list[Summary]
    has_more: bool
    next_cursor: Integer | None


@messages.get("/api/messages/user/<user_id>")
@endpoint(query=HistoryQuery, answers={200: History})
async def with_user(engine: Engine, caller: Caller, query: HistoryQuery, user_id: str) -> Any:
    """Answer with a page of the caller's conversation with a user."""
    await require_known(engine, caller, user_id)
    return await _page(engine, caller, query, ConversationKind.USER, user_id)


@messages.get("/api/messages/group/<group_id>")
@endpoint(query=HistoryQuery, answers={200: History})
async def in_group(engine: Engine, caller: Caller, query: HistoryQuery, group_id: str) -> Any:
    """Answer with a page of a group's conversation."""
    return await _page(engine, caller, query, ConversationKind.GROUP, group_id)


async def _page(
    engine: Engine, caller: Caller, query: HistoryQuery, kind: ConversationKind, target_id: str
) -> Any:
    if sum(position is not None for position in (query.before, query.after, query.around)) > 1:
        raise invalid("give only one of the query parameters before, after and around")
    if query.q is not None and not folded(query.q):
        raise invalid("q has nothing to look for; right is a part of what was said", parameter="q")
    await wait_for_turn(engine, caller)
    return await engine.history.page(
        caller.user_id,
        kind,
        target_id,
        query.limit,
        before=query.before,
        after=query.after,
        around=query.around,
        filters=Filters(query.since, query.until, query.q, query.type, query.sender),
    )


@messages.get("/api/messages/<int:message_id>")
@endpoint(answers={200: SentEnvelope}, refusals=[ErrorCode.NOT_FOUND])
async def one_message(engine: Engine, caller: Caller, message_id: int) -> Any:
    """Answer with one message that the caller may see, such as one that is answered."""
    return await engine.history.message(caller.user_id, message_id)


@messages.get("/api/messages/undelivered")
@endpoint(query=UndeliveredQuery, answers={200: Undelivered})
async def undelivered(engine: Engine, caller: Caller, query: UndeliveredQuery) -> Any:
    """Answer with the oldest messages that no device of the caller's has acked."""
    if query.after is not None and query.cursor is not None:
        raise invalid("give only one of the query parameters after and cursor; they mean the same")
    after = query.cursor if query.after is None else query.after
    await wait_for_turn(engine, caller)
    return await engine.offline_queue.undelivered(caller.user_id, after=after, limit=query.limit)


@notifications.get("/api/notifications", endpoint="notifications")
@endpoint(query=NotificationsQuery, answers={200: Notifications})
async def list_notifications(engine: Engine, caller: Caller, query: NotificationsQuery) -> Any:
    """Answer with a page of the caller's own notifications and those to everybody."""
    if query.before is not None and query.after is not None:
        raise invalid("give only one of the query parameters before and after")
    await wait_for_turn(engine, caller)
    return await engine.history.notifications(caller.user_id, query.limit, before=query.before, after=query.after)


@conversations.get("/api/conversations", endpoint="conversations")
@endpoint(query=ConversationsQuery, answers={200: Summaries})
async def list_conversations(engine: Engine, caller: Caller, query: ConversationsQuery) -> Any:
    """Answer with the caller's conversations, in the order of their making."""
    await wait_for_turn(engine, caller)
    return await engine.history.conversations(caller.user_id, after=query.cursor or 0, limit=query.limit)


async def wait_for_turn(engine: Engine, caller: Caller) -> None:
    """Wait until another page may be made for the caller; it counts until the answer is sent."""
    connection = connection_of_request()
    if "after" in connection:  # an application without a connection sends nothing
        pages = engine.rates.pages
        await pages.take(caller.user_id)
        connection["after"].append(partial(pages.give_back, caller.user_id))
