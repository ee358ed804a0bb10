"""Reading what is stored: conversations, their history, and the gaps a limited replay leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import quote

from relay.client.events import Event, Gap, Page, from_object
from relay.client.rest import RestClient

_MOST = 200


class Events:
    """Stored events one by one, fetched a page at a time when the last page is used up.

    A class and not an async generator: leaving a loop over it early leaves nothing behind to be closed.
    """

    def __init__(self, next_page: Callable[[], Awaitable[list[Event] | None]]) -> None:
        self._next_page = next_page
        self._page: deque[Event] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._page:
            page = await self._next_page()
            if page is None:
                raise StopAsyncIteration
            self._page.extend(page)
        return self._page.popleft()


class _Walk:
    """Page after page in one direction, until there are no more or the caller has had enough.

    `enough` names the first event beyond what is read, `last` the last one within.
    """

    def __init__(
        self,
        fetch: Callable[..., Awaitable[Page]],
        query: dict[str, object],
        *,
        newest_first: bool,
        wanted: Callable[[Event], bool] = lambda event: True,
        enough: Callable[[Event], bool] = lambda event: False,
        last: Callable[[Event], bool] = lambda event: False,
    ) -> None:
        self._fetch = fetch
        self._query = query
        self._newest_first = newest_first
        self._wanted = wanted
        self._enough = enough
        self._last = last
        self._over = False

    async def next_page(self) -> list[Event] | None:
        if self._over:
            return None
        page = await self._fetch(**self._query)
        side, onward = ("before", page.next_before) if self._newest_first else ("after", page.next_after)
        self._over = not page.has_more or onward is None or onward == self._query.get(side)
        self._query[side] = onward
        found = []
        for event in reversed(page.messages) if self._newest_first else page.messages:
            if self._enough(event):
                self._over = True
                break
            if self._wanted(event):
                found.append(event)
                self._over = self._over or self._last(event)
        return found


async def read_page(rest: RestClient, user: str | None, group: str | None, **query: object) -> Page:
    """Fetch one page of a conversation.

    Raises:
        ValueError: Not exactly one of `user` and `group` is given.
        RelayError: The server refused.
    """
    return await _conversation(rest, user, group)(**query)


def read_all(
    rest: RestClient, user: str | None, group: str | None, *, newest_first: bool, **query: object
) -> Events:
    """Give a whole conversation message by message, fetching a page at a time.

    Raises:
        ValueError: Not exactly one of `user` and `group` is given.
    """
    query.setdefault("limit", _MOST)
    if not newest_first and query.get("after") is None:
        query["after"] = 0
    walk = _Walk(_conversation(rest, user, group), query, newest_first=newest_first)
    return Events(walk.next_page)


def read_gap(rest: RestClient, gap: Gap) -> Events:
    """Give the messages of a gap, oldest first in a conversation, newest first in a notification channel."""
    if gap.kind not in ("user", "group"):
        return _read_notifications(rest, gap)
    user, group = (gap.target_id, None) if gap.kind == "user" else (None, gap.target_id)
    query = {"after": gap.from_seq - 1, "limit": min(_MOST, gap.to_seq - gap.from_seq + 1)}
    walk = _Walk(
        _conversation(rest, user, group),
        dict(query),
        newest_first=False,
        wanted=lambda event: event.seq is not None,
        enough=lambda event: event.seq is not None and event.seq > gap.to_seq,
        last=lambda event: event.seq == gap.to_seq,
    )
    return Events(walk.next_page)


async def read_conversations(rest: RestClient) -> list[dict[str, Any]]:
    """Give all of the user's conversations, as the server orders them."""
    found: list[dict[str, Any]] = []
    cursor: object = None
    while True:
        answer = await rest.get("/api/conversations", cursor=cursor, limit=_MOST)
        found += answer["conversations"]
        onward = answer.get("next_cursor")
        if not answer.get("has_more") or onward is None or onward == cursor:
            return found
        cursor = onward


def _read_notifications(rest: RestClient, gap: Gap) -> Events:
    # Notifications page by message_id over both channels, the user's own and everybody's, whose seqs are apart.
    broadcast = gap.kind == "broadcast"

    def concerns(event: Event) -> bool:
        return (event.target_id == "*") == broadcast and event.seq is not None

    async def fetch(**query: object) -> Page:
        return _page(await rest.get("/api/notifications", **query))

    walk = _Walk(
        fetch,
        {"limit": _MOST},
        newest_first=True,
        wanted=lambda event: concerns(event) and (event.seq or 0) <= gap.to_seq,
        enough=lambda event: concerns(event) and (event.seq or 0) < gap.from_seq,
    )
    return Events(walk.next_page)


def _conversation(rest: RestClient, user: str | None, group: str | None) -> Callable[..., Awaitable[Page]]:
    if (user is None) == (group is None):
        raise ValueError("history needs either user=… or group=…")
    kind, target = ("user", user) if user is not None else ("group", group)
    path = f"/api/messages/{kind}/{quote(str(target), safe='')}"

    async def fetch(**query: object) -> Page:
        return _page(await rest.get(path, **query))

    return fetch


def _page(answer: Any) -> Page:
    return Page(
        [from_object(envelope) for envelope in answer["messages"]],
        bool(answer.get("has_more")),
        answer.get("next_before"),
        answer.get("next_after"),
    )
