"""Page after page of stored events, read as one stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from relay.client.events import Event, Page

Fetch = Callable[..., Awaitable[Page]]
"""Fetches the page that its keyword arguments ask for."""


class Events:
    """Stored events one by one; a page is fetched when the one before it is used up.

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


class Pager:
    """Fetches page after page in one direction, until there are no more or the caller has enough.

    Args:
        fetch: fetches one page.
        query: what is asked of the first page; its position moves with each page.
        newest_first: the direction.
        wanted: whether an event is part of what is read.
        beyond: whether an event is the first one that is not.
        last: whether an event is the last one that is.
    """

    def __init__(
        self,
        fetch: Fetch,
        query: dict[str, object],
        *,
        newest_first: bool,
        wanted: Callable[[Event], bool] = lambda event: True,
        beyond: Callable[[Event], bool] = lambda event: False,
        last: Callable[[Event], bool] = lambda event: False,
    ) -> None:
        self._fetch = fetch
        self._query = query
        self._newest_first = newest_first
        self._wanted = wanted
        self._beyond = beyond
        self._last = last
        self._over = False

    async def next_page(self) -> list[Event] | None:
        """Fetch the next page and return its wanted events; None when there is nothing more to read."""
        if self._over:
            return None
        page = await self._fetch(**self._query)
        side, onward = ("before", page.next_before) if self._newest_first else ("after", page.next_after)
        # A position that stays the same would ask for the same page for ever.
        self._over = not page.has_more or onward is None or onward == self._query.get(side)
        self._query[side] = onward
        found = []
        for event in reversed(page.messages) if self._newest_first else page.messages:
            if self._beyond(event):
                self._over = True
                break
            if self._wanted(event):
                found.append(event)
                self._over = self._over or self._last(event)
        return found
