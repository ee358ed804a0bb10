"""Reads what the server has stored, over REST: conversations, their history, and the gaps of a limited replay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from relay.client.events import Event, Gap, Page, from_object
from relay.client.paging import Events, Fetch, Pager
from relay.client.rest import RestClient
from relay.protocol.kinds import ConversationKind
from relay.protocol.limits import MAX_PAGE

When = float | str | datetime | None
"""A time: Unix seconds, ISO 8601 or a `datetime`."""

_EVERYBODY: Final = "*"


class HistoryReader:
    """The reading half of a client; its REST client is made when it is first needed."""

    def __init__(self, make_rest: Callable[[], RestClient]) -> None:
        self._make_rest = make_rest
        self._rest: RestClient | None = None

    @property
    def rest(self) -> RestClient:
        """The REST client, with this client's token."""
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
            ValueError: Not exactly one of `user` and `group` is given.
            RelayError: The server refused, or could not be asked.
        """
        return await self._conversation(user, group)(
            before=before, after=after, around=around, since=since, until=until,
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
        """Return a whole conversation, fetched page after page as needed; takes the filters of `history`.

        Raises:
            ValueError: Not exactly one of `user` and `group` is given.
        """
        query.setdefault("limit", MAX_PAGE)
        if not newest_first and query.get("after") is None:
            query["after"] = 0
        return Events(Pager(self._conversation(user, group), query, newest_first=newest_first).next_page)

    async def conversations(self) -> list[dict[str, Any]]:
        """Fetch the user's conversations, each with its last message and unread count, in the server's order."""
        found: list[dict[str, Any]] = []
        cursor: object = None
        while True:
            answer = await self.rest.get("/api/conversations", cursor=cursor, limit=MAX_PAGE)
            found += answer["conversations"]
            onward = answer.get("next_cursor")
            if not answer.get("has_more") or onward is None or onward == cursor:
                return found
            cursor = onward

    def read_gap(self, gap: Gap) -> Events:
        """Return the messages of a gap: oldest first in a conversation, newest first in a notification channel."""
        if gap.kind not in (ConversationKind.USER, ConversationKind.GROUP):
            return self._read_notifications(gap)
        user, group = (gap.target_id, None) if gap.kind == ConversationKind.USER else (None, gap.target_id)
        pager = Pager(
            self._conversation(user, group),
            {"after": gap.from_seq - 1, "limit": min(MAX_PAGE, gap.to_seq - gap.from_seq + 1)},
            newest_first=False,
            wanted=lambda event: event.seq is not None,
            beyond=lambda event: event.seq is not None and event.seq > gap.to_seq,
            last=lambda event: event.seq == gap.to_seq,
        )
        return Events(pager.next_page)

    async def fill(self, gap: Gap) -> list[Event]:
        """Fetch the messages of a gap, by `seq`; they do not come out of the iterator as well."""
        return sorted([event async for event in self.read_gap(gap)], key=lambda event: event.seq or 0)

    def _read_notifications(self, gap: Gap) -> Events:
        # One list, by `message_id`, holds the user's own channel and everybody's, whose seqs are unrelated.
        broadcast = gap.kind == ConversationKind.BROADCAST

        def in_channel(event: Event) -> bool:
            return (event.target_id == _EVERYBODY) == broadcast and event.seq is not None

        pager = Pager(
            self._fetch_from("/api/notifications"),
            {"limit": MAX_PAGE},
            newest_first=True,
            wanted=lambda event: in_channel(event) and (event.seq or 0) <= gap.to_seq,
            beyond=lambda event: in_channel(event) and (event.seq or 0) < gap.from_seq,
        )
        return Events(pager.next_page)

    def _conversation(self, user: str | None, group: str | None) -> Fetch:
        if (user is None) == (group is None):
            raise ValueError("history needs either user=… or group=…")
        kind, target = ("user", user) if user is not None else ("group", group)
        return self._fetch_from(f"/api/messages/{kind}/{quote(str(target), safe='')}")

    def _fetch_from(self, path: str) -> Fetch:
        async def fetch(**query: object) -> Page:
            return _page(await self.rest.get(path, **query))

        return fetch

    async def _close_rest(self) -> None:
        if self._rest is not None:
            await self._rest.aclose()


def _page(answer: Any) -> Page:
    return Page(
        [from_object(envelope) for envelope in answer["messages"]],
        bool(answer.get("has_more")),
        answer.get("next_before"),
        answer.get("next_after"),
    )
