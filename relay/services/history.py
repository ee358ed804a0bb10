"""HistorySaver: what was said, as envelopes.

Saving itself is the router's commit; this is the way back: pages of a conversation, the list of
conversations with what is unread, and read pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from relay.protocol.envelope import SentEnvelope, SentMeta
from relay.protocol.errors import not_found
from relay.protocol.kinds import ConversationKind
from relay.services.channels import ChannelManager
from relay.storage import history, messages, notifications, summaries
from relay.storage.conversations import group_address, user_address
from relay.storage.history import NO_BOUND, Filters, Record
from relay.storage.jobs import Runner

NOTHING = msgspec.Raw(b"{}")


class Place(NamedTuple):
    """A conversation as a user names it; `kind` is None where they leave it to what the target is."""

    kind: ConversationKind | None
    target_id: str


def envelope(record: Record, *, replay: bool = False) -> SentEnvelope:
    """Return a stored message as it is now; a deleted one keeps its place without its payload."""
    payload = NOTHING if record.payload is None or record.deleted_at is not None else msgspec.Raw(record.payload)
    return SentEnvelope(
        record.type,
        payload,
        SentMeta(
            message_id=record.message_id,
            seq=record.seq,
            id=record.own_id,
            sender_id=record.sender_id,
            target_id=record.target_id or None,
            client_id=record.client_id,
            timestamp=record.timestamp,
            sent_at=record.sent_at,
            edited_at=record.edited_at,
            deleted_at=record.deleted_at,
            expires_at=record.expires_at,
            replaces=record.replaces,
            edit_id=record.edit_id,
            depth=record.depth,
            replay=replay,
        ),
    )


class _Shown(NamedTuple):
    """A page, the latest values that belong to it, and whether older ones of those are left out."""

    page: history.Page
    latest: list[Record]
    limited: bool


def _with_latest(connection: Any, user_id: str, page: history.Page, most: int, *, forwards: bool | None) -> _Shown:
    """Return the page with what is said about its messages, ended before the message with which that is too much.

    Args:
        forwards: the direction the page was read in; None for both, and then the page stays as it is.
    """
    weights = messages.weights_about(connection, user_id, [record.message_id for record in page.records])
    in_order = page.records if forwards else page.records[::-1]
    size = 0
    for number, record in enumerate(in_order if forwards is not None else ()):
        size += weights[record.message_id].size if record.message_id in weights else 0
        if number and size > most:
            kept = in_order[:number]
            page = history.Page(kept if forwards else kept[::-1], True)
            break
    ids = [record.message_id for record in page.records]
    latest = messages.about(connection, user_id, ids, most) if weights else []
    return _Shown(page, latest, len(latest) < sum(weights[one].values for one in ids if one in weights))


class HistorySaver:
    """Reads the log on behalf of one user at a time.

    Args:
        counted: returns the names of the types that make a conversation unread.
        page_bytes: bound on the messages of one page, and as much again for their latest values; 0 means none.
    """

    def __init__(
        self,
        runner: Runner,
        channels: ChannelManager,
        counted: Callable[[], Sequence[str]],
        page_bytes: int = 0,
    ) -> None:
        self._page_bytes = page_bytes or NO_BOUND
        self._runner = runner
        self._channels = channels
        self._counted = counted

    async def page(
        self,
        user_id: str,
        kind: ConversationKind,
        target_id: str,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        filters: Filters = Filters(),  # noqa: B008 - an immutable value
    ) -> dict[str, Any]:
        """Return a page of a conversation, oldest first, and the latest values that belong to it.

        `latest` holds what is said about the page's messages; the newest page brings what stands for the
        conversation as a whole besides, such as how far everybody has read. A page ends where the values about
        its messages would be too many; of more than too many about one message the newest are brought.

        Raises:
            RelayError: `not_found` for a user or group that is not there or not theirs to see.
        """
        address = group_address(target_id) if kind is ConversationKind.GROUP else user_address(user_id, target_id)

        newest = before is after is around is None

        def read(connection: Any) -> _Shown | None:
            seen = history.view(connection, user_id, address)
            if seen is not None:
                most = self._page_bytes
                found = history.page(
                    connection,
                    seen,
                    limit,
                    before=before,
                    after=after,
                    around=around,
                    filters=filters,
                    max_bytes=most,
                )
                forwards = None if around is not None else after is not None
                shown = _with_latest(connection, user_id, found, most, forwards=forwards)
                if not newest:
                    return shown
                standing = messages.standing(connection, user_id, seen.channel_id, most)
                limited = len(standing) < messages.count_standing(connection, user_id, seen.channel_id)
                return _Shown(shown.page, standing + shown.latest, shown.limited or limited)
            taken = connection.execute("SELECT kind FROM names WHERE name = ?", (target_id,)).fetchone()
            if kind is ConversationKind.USER and taken is not None and taken[0] == "user":
                return _Shown(history.Page([], False), [], False)
            return None

        answer = await self._runner.read(read)
        if answer is None:
            raise not_found(f"{kind} {target_id!r}")
        found = answer.page
        told = {
            "messages": [envelope(record) for record in found.records],
            "latest": [envelope(record) for record in answer.latest],
            "has_more": found.has_more,
            "next_before": found.before,
            "next_after": found.after,
        }
        return told | {"latest_limited": True} if answer.limited else told

    async def notifications(
        self, user_id: str, limit: int, *, before: int | None = None, after: int | None = None
    ) -> dict[str, Any]:
        """Return a page of what was told to a user or to everybody, oldest first, and how much is unread."""

        def read(connection: Any) -> tuple[history.Page, int]:
            found = notifications.page(
                connection, user_id, limit, before=before, after=after, max_bytes=self._page_bytes
            )
            return found, notifications.unread(connection, user_id, self._counted())

        found, unread = await self._runner.read(read)
        ids = [record.message_id for record in found.records]
        return {
            "messages": [envelope(record) for record in found.records],
            "has_more": found.has_more,
            "next_before": ids[0] if ids else None,
            "next_after": ids[-1] if ids else None,
            "unread": unread,
        }

    async def conversations(self, user_id: str, *, after: int = 0, limit: int = 200) -> dict[str, Any]:
        """Return a user's conversations, what was said last in each, and how much is unread."""
        listed, further = await self._runner.read(
            lambda connection: summaries.summaries(
                connection, user_id, self._counted(), after=after, limit=limit, max_bytes=self._page_bytes
            )
        )
        rows = [
            {
                "kind": summary.kind,
                "target_id": summary.target_id,
                "name": summary.name,
                "role": summary.role,
                "last_message": envelope(summary.last) if summary.last else None,
                "last_seq": summary.last_seq,
                "read_seq": summary.read_seq,
                "unread": summary.unread,
                "unread_mentions": summary.unread_mentions,
            }
            for summary in listed
        ]
        return {"conversations": rows, "has_more": further is not None, "next_cursor": further}

    async def unread(self, user_id: str, channel_id: int) -> tuple[int, int]:
        """Return a user's read pointer in a conversation, and how many messages come after it."""

        def read(connection: Any) -> tuple[int, int]:
            read_seq = history.read_pointer(connection, channel_id, user_id)
            # What was said before one joined is not unread, and nobody learns how much it was.
            seen = history.present(connection, channel_id, user_id)
            counted_from = read_seq if seen is None else max(read_seq, seen.start - 1)
            counted = self._counted()
            return read_seq, summaries.count_unread(connection, channel_id, user_id, counted_from, counted, seen)

        return await self._runner.read(read)

    async def locate(self, user_id: str, message_ids: Sequence[int]) -> dict[Place, int]:
        """Return the highest seq among messages, by the conversation each is in.

        Raises:
            RelayError: `not_found` when any of them is not there, or not theirs to see.
        """

        def read(connection: Any) -> dict[Place, int] | None:
            views = {seen.channel_id: seen for seen in history.read_views(connection, user_id) if seen.open}
            highest: dict[Place, int] = {}
            found = messages.locate(connection, message_ids)
            for message in found:
                seen = views.get(message.channel_id)
                if seen is None or not seen.sees(connection, message.seq):
                    return None
                place = Place(ConversationKind(seen.kind), history.other_party(seen.address, user_id))
                highest[place] = max(highest.get(place, 0), message.seq)
            return highest if len(found) == len(set(message_ids)) else None

        result = await self._runner.read(read)
        if result is None:
            raise not_found("message among these")
        return result
