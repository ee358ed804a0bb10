"""Threads, read for users: the replies to a message, and the threads that somebody follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from relay.protocol.errors import not_found
from relay.services.envelopes import ALIKE, PerRecipient, envelopes
from relay.storage import history, messages, threads
from relay.storage.history import NO_BOUND, Page, Record, View
from relay.storage.jobs import Runner
from relay.storage.threads import Followed, Thread

_ROOTS: Final = 200
"""The most threads of one page: each has its root with it."""


def told(thread: Thread) -> dict[str, Any]:
    """Return a thread as clients are told of it."""
    said = thread._asdict()
    return {"thread": said.pop("root_id")} | said


class Threads:
    """Reads threads, as far as a user may see them.

    Args:
        page_bytes: the most bytes of messages in one page, and as many again of latest values; 0 means no limit.
        recipients: what plugins change for single recipients.
    """

    def __init__(self, runner: Runner, page_bytes: int = 0, recipients: PerRecipient = ALIKE) -> None:
        self._runner = runner
        self._page_bytes = page_bytes or NO_BOUND
        self._recipients = recipients

    async def page(
        self, user_id: str, root_id: int, limit: int, *, before: int | None = None, after: int | None = None
    ) -> dict[str, Any]:
        """Return a page of a thread's replies, oldest first, with its root and the latest values about them all.

        Raises:
            RelayError: `not_found` for a root that does not exist or that the user may not see.
        """
        most = self._page_bytes

        def read(connection: Any) -> tuple[Record, Page, list[Thread], list[Record]] | None:
            for at in messages.locate(connection, [root_id]):
                seen = history.present(connection, at.channel_id, user_id)
                if seen is not None and seen.sees(connection, at.seq):
                    root = messages.read_records(connection, [root_id])[root_id]
                    page = threads.page(
                        connection, seen, root_id, limit, before=before, after=after, max_bytes=most
                    )
                    ids = [root_id, *(record.message_id for record in page.records)]
                    latest = messages.about(connection, user_id, ids, most)
                    return root, page, threads.summaries(connection, seen, user_id, [root_id]), latest
            return None

        found = await self._runner.read(read)
        if found is None:
            raise not_found(f"message {root_id}")
        root, page, summaries, latest = found
        shown = self._shown(user_id, [root, *page.records])
        return {
            "root": shown[0],
            "messages": shown[1:],
            "latest": self._shown(user_id, latest),
            "thread": told(summaries[0]) if summaries else None,
            "has_more": page.has_more,
            "next_before": page.before,
            "next_after": page.after,
        }

    async def followed(self, user_id: str, limit: int, *, before: int | None = None) -> dict[str, Any]:
        """Return the threads that a user follows, the one with the newest reply first.

        Args:
            before: the `next_cursor` of the page before.
        """

        def read(connection: Any) -> Followed:
            views = history.read_views(connection, user_id)
            return threads.followed(connection, user_id, views, before, min(limit, _ROOTS))

        found = await self._runner.read(read)
        roots = self._shown(user_id, [root for _seen, root, _thread in found.threads])
        rows = [
            told(thread) | _place(seen, user_id) | {"root": root}
            for (seen, _root, thread), root in zip(found.threads, roots, strict=True)
        ]
        return {
            "threads": rows,
            "unread": found.unread,
            "has_more": found.further is not None,
            "next_cursor": found.further,
        }

    def _shown(self, user_id: str, records: Sequence[Record]) -> list[Any]:
        return list(envelopes(records, user_id, self._recipients))


def _place(seen: View, user_id: str) -> dict[str, str]:
    return {"kind": seen.kind, "target_id": history.other_party(seen.address, user_id)}
