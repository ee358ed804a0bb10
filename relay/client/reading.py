"""The half of a client that reads over REST: history, conversations and gaps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from relay.client.events import Event, Gap, Page
from relay.client.history import Events, read_all, read_conversations, read_gap, read_page
from relay.client.rest import RestClient

When = float | str | datetime | None


class Reading:
    """Reads what the server has stored; makes its REST client when it is first needed."""

    def __init__(self, make_rest: Callable[[], RestClient]) -> None:
        self._make_rest = make_rest
        self._rest: RestClient | None = None

    @property
    def rest(self) -> RestClient:
        """Give the REST client, with this client's token."""
        if self._rest is None:
            self._rest = self._make_rest()
        return self._rest

    async def history(
        self,
        *,
        user: str | None = None,
        group: str | None = None,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        since: When = None,
        until: When = None,
        q: str | None = None,
        type: str | None = None,
        sender: str | None = None,
        limit: int | None = None,
    ) -> Page:
        """Fetch one page of a conversation, the newest without a position; positions are seqs, `limit` ≤ 200.

        Raises:
            RelayError: The server refused, or could not be asked.
        """
        return await read_page(
            self.rest, user, group, before=before, after=after, around=around, since=since, until=until,
            q=q, type=type, sender=sender, limit=limit,
        )  # fmt: skip

    def history_all(
        self,
        *,
        user: str | None = None,
        group: str | None = None,
        newest_first: bool = False,
        **query: object,
    ) -> Events:
        """Give a whole conversation, fetching page after page as needed; takes the filters of `history`."""
        return read_all(self.rest, user, group, newest_first=newest_first, **query)

    async def conversations(self) -> list[dict[str, Any]]:
        """Fetch the user's conversations, each with its last message and unread count."""
        return await read_conversations(self.rest)

    def read_gap(self, gap: Gap) -> Events:
        """Give the messages of a gap one by one, for gaps of any size."""
        return read_gap(self.rest, gap)

    async def fill(self, gap: Gap) -> list[Event]:
        """Fetch the messages of a gap, by `seq`; they do not come out of the iterator as well."""
        return sorted([event async for event in self.read_gap(gap)], key=lambda event: event.seq or 0)

    async def _close_rest(self) -> None:
        if self._rest is not None:
            await self._rest.aclose()
