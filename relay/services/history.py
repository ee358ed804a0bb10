"""HistorySaver: reads the log for users: pages of a conversation, the list of conversations, unread counts.

The name is the contract's; the saving itself is the router's commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from relay.protocol.bundled import NAMES_ITS_MESSAGE
from relay.protocol.envelope import SentEnvelope
from relay.protocol.errors import not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.protocol.rights import may
from relay.services.channels import ChannelManager
from relay.services.envelopes import ALIKE, ForUser, PerRecipient, envelopes
from relay.services.threads import told as told_thread
from relay.storage import history, messages, notifications, summaries, threads
from relay.storage.conversations import address_of, group_address, user_address
from relay.storage.history import NO_BOUND, Filters, Record
from relay.storage.jobs import Runner
from relay.storage.names import kind_of
from relay.storage.text_scan import contains
from relay.storage.threads import Thread


class Place(NamedTuple):
    """A conversation as a user names it; `kind` is None if the target's own kind decides."""

    kind: ConversationKind | None
    target_id: str


class Found(NamedTuple):
    """A stored message that a user may see, and the address of its conversation."""

    record: Record
    address: str


class _Shown(NamedTuple):
    """A page, the latest values about its messages, whether some of those are left out, and its threads."""

    page: history.Page
    latest: list[Record]
    limited: bool
    threads: Sequence[Thread] = ()


def _with_latest(connection: Any, user_id: str, page: history.Page, most: int, *, forwards: bool | None) -> _Shown:
    """Return a page with the latest values about its messages, cut where these become too many.

    Args:
        most: the most bytes of latest values.
        forwards: whether the page was read forwards; None if in both directions, and then it is not cut.
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


def _holding(text: str | None, records: Sequence[Record], shown: list[SentEnvelope]) -> list[SentEnvelope]:
    """Return what a user may be shown of the messages that hold a text.

    What a plugin changed for this user is left out if the text is gone: a search must not tell what it was.
    """
    if text is None:
        return shown
    return [
        one
        for record, one in zip(records, shown, strict=True)
        if bytes(one.payload) == (record.payload or "{}").encode() or contains(bytes(one.payload), text)
    ]


class _Asked(NamedTuple):
    """A request for a page: messages before or after a seq, around one, or the newest; at most `limit`."""

    limit: int
    before: int | None
    after: int | None
    around: int | None
    filters: Filters


def _read_shown(connection: Any, user_id: str, address: str, asked: _Asked, most: int) -> _Shown | None:
    """Return a page of a conversation, if the user may see it.

    Args:
        most: the most bytes of messages, and of latest values.
    """
    seen = history.view(connection, user_id, address)
    if seen is None:
        return None
    page = history.page(connection, seen, max_bytes=most, **asked._asdict())
    forwards = None if asked.around is not None else asked.after is not None
    shown = _with_latest(connection, user_id, page, most, forwards=forwards)
    roots = [record.message_id for record in shown.page.records]
    shown = shown._replace(threads=threads.summaries(connection, seen, user_id, roots))
    if (asked.before, asked.after, asked.around) != (None, None, None):
        return shown
    standing = messages.standing(connection, user_id, seen.channel_id, most)
    limited = len(standing) < messages.count_standing(connection, user_id, seen.channel_id)
    return shown._replace(latest=standing + shown.latest, limited=shown.limited or limited)


class HistorySaver:
    """Reads the log, as far as a user may see it.

    Args:
        counted: returns the names of the types that make a conversation unread.
        page_bytes: the most bytes of messages in one page, and as many again of latest values; 0 means no limit.
        recipients: what plugins change for single recipients.
    """

    def __init__(
        self,
        runner: Runner,
        channels: ChannelManager,
        counted: Callable[[], Sequence[str]],
        page_bytes: int = 0,
        recipients: PerRecipient = ALIKE,
    ) -> None:
        self._page_bytes = page_bytes or NO_BOUND
        self._runner = runner
        self._channels = channels
        self._counted = counted
        self._recipients = recipients

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

        `latest` holds the latest values about the page's messages, such as reactions. In the newest page it also
        holds those about the conversation as a whole, such as how far everybody has read. A page ends early if
        there are too many values about its messages; of too many about one message, the newest are returned.
        `threads` holds the threads of those of its messages that have replies.

        Raises:
            RelayError: `not_found` for a user or group that does not exist or that the user may not see.
        """
        address = group_address(target_id) if kind is ConversationKind.GROUP else user_address(user_id, target_id)
        asked = _Asked(limit, before, after, around, filters)

        def read(connection: Any) -> _Shown | None:
            shown = _read_shown(connection, user_id, address, asked, self._page_bytes)
            if shown is None and kind is ConversationKind.USER and kind_of(connection, target_id) == "user":
                return _Shown(history.Page([], False), [], False)  # nothing was said between the two yet
            return shown

        answer = await self._runner.read(read)
        if answer is None:
            raise not_found(f"{kind} {target_id!r}")
        found = answer.page
        told = {
            "messages": _holding(filters.text, found.records, self._shown(user_id, found.records)),
            "latest": self._shown(user_id, answer.latest),
            "has_more": found.has_more,
            "next_before": found.before,
            "next_after": found.after,
        }
        if answer.threads:
            told["threads"] = [told_thread(thread) for thread in answer.threads]
        return told | {"latest_limited": True} if answer.limited else told

    async def notifications(
        self, user_id: str, limit: int, *, before: int | None = None, after: int | None = None
    ) -> dict[str, Any]:
        """Return a page of the notifications to a user or to everybody, oldest first, and how many are unread.

        `latest` holds the latest values about them; of too many, the newest.
        """

        def read(connection: Any) -> tuple[history.Page, list[Record], int]:
            found = notifications.page(
                connection, user_id, limit, before=before, after=after, max_bytes=self._page_bytes
            )
            shown = [record.message_id for record in found.records]
            latest = messages.about(connection, user_id, shown, self._page_bytes)
            return found, latest, notifications.unread(connection, user_id, self._counted())

        found, latest, unread = await self._runner.read(read)
        ids = [record.message_id for record in found.records]
        return {
            "messages": self._shown(user_id, found.records),
            "latest": self._shown(user_id, latest),
            "has_more": found.has_more,
            "next_before": ids[0] if ids else None,
            "next_after": ids[-1] if ids else None,
            "unread": unread,
        }

    async def conversations(self, user_id: str, *, after: int = 0, limit: int = 200) -> dict[str, Any]:
        """Return a user's conversations, with the last message and the number of unread ones in each.

        `latest` of a row holds the latest values about its last message, without reactions; it may be missing.
        """

        def read(connection: Any) -> tuple[list[summaries.Summary], int | None, list[Record]]:
            listed, further = summaries.summaries(
                connection, user_id, self._counted(), after=after, limit=limit, max_bytes=self._page_bytes
            )
            ids = [summary.last.message_id for summary in listed if summary.last]
            return listed, further, messages.about(connection, user_id, ids, self._page_bytes)

        listed, further, about = await self._runner.read(read)
        last = [summary.last for summary in listed if summary.last]
        shown = dict(zip((record.message_id for record in last), self._shown(user_id, last), strict=True))
        latest: dict[int, list[SentEnvelope]] = {}
        said = [record for record in about if record.type not in NAMES_ITS_MESSAGE]
        for record, envelope in zip(said, self._shown(user_id, said), strict=True):
            latest.setdefault(record.about or 0, []).append(envelope)
        rows = [
            {
                "kind": summary.kind,
                "target_id": summary.target_id,
                "name": summary.name,
                "role": summary.role,
                "last_message": shown[summary.last.message_id] if summary.last else None,
                "last_seq": summary.last_seq,
                "read_seq": summary.read_seq,
                "unread": summary.unread,
                "unread_mentions": summary.unread_mentions,
                "picture": summary.picture,
            }
            | (
                {"latest": latest[summary.last.message_id]}
                if summary.last and summary.last.message_id in latest
                else {}
            )
            | self._rights(summary)
            | ({"in_threads": summary.in_threads._asdict()} if any(summary.in_threads) else {})
            for summary in listed
        ]
        return {"conversations": rows, "has_more": further is not None, "next_cursor": further}

    def _rights(self, summary: summaries.Summary) -> dict[str, Any]:
        """Return the rights of a group, and what the user may do in it; nothing for a conversation of two."""
        if summary.kind != ConversationKind.GROUP:
            return {}
        chosen: dict[str, str] = msgspec.json.decode(summary.rights)
        rights = self._channels.default_rights.with_set(chosen)
        allowed = may(Role(summary.role), rights, closed=summary.closed)
        slow = summary.slow_mode_seconds
        return {
            "rights": rights._asdict(),
            "closed": summary.closed,
            "may": allowed,
            **({"slow_mode_seconds": slow} if slow else {}),
        }

    def _shown(self, user_id: str, records: Sequence[Record]) -> list[SentEnvelope]:
        return envelopes(records, user_id, self._recipients)

    async def unread(self, user_id: str, channel_id: int) -> tuple[int, int]:
        """Return a user's read pointer in a conversation, and how many messages come after it."""

        def read(connection: Any) -> tuple[int, int]:
            read_seq = history.read_pointer(connection, channel_id, user_id)
            # Messages from before the user joined are not unread, and their number stays hidden.
            seen = history.present(connection, channel_id, user_id)
            counted_from = read_seq if seen is None else max(read_seq, seen.start - 1)
            counted = self._counted()
            return read_seq, summaries.count_unread(connection, channel_id, user_id, counted_from, counted, seen)

        return await self._runner.read(read)

    async def locate(self, user_id: str, message_ids: Sequence[int]) -> dict[Place, int]:
        """Return the highest seq among messages, for each conversation that they are in.

        Raises:
            RelayError: `not_found` if one of them does not exist, or the user may not see it.
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

    async def message(self, user_id: str, message_id: int) -> SentEnvelope:
        """Return a stream message that a user may see, as history has it; a tombstone too.

        Raises:
            RelayError: `not_found` if it does not exist, or the user may not see it.
        """
        found = await self._find(user_id, message_id)
        return self._shown(user_id, [found.record])[0]

    async def _find(self, user_id: str, message_id: int) -> Found:
        def read(connection: Any) -> Found | None:
            for at in messages.locate(connection, [message_id]):
                seen = history.present(connection, at.channel_id, user_id)
                if seen is not None and seen.sees(connection, at.seq):
                    return Found(messages.read_records(connection, [message_id])[message_id], seen.address)
            return None

        found = await self._runner.read(read)
        if found is None:
            raise not_found(f"message {message_id}")
        return found

    async def stored(self, message_id: int) -> Found:
        """Return a stream message, whoever may see it: for a report that was made of it.

        Raises:
            RelayError: `not_found` if it does not exist.
        """

        def read(connection: Any) -> Found | None:
            for at in messages.locate(connection, [message_id]):
                address = address_of(connection, at.channel_id)
                if address is not None:
                    return Found(messages.read_records(connection, [message_id])[message_id], address)
            return None

        found = await self._runner.read(read)
        if found is None:
            raise not_found(f"message {message_id}")
        return found

    async def find(self, user_id: str, message_id: int) -> Found:
        """Return a stream message that a user may see, as they get it; a tombstone too.

        One that is withheld from them has no payload either.

        Raises:
            RelayError: `not_found` if it does not exist, or the user may not see it.
        """
        found = await self._find(user_id, message_id)
        record, recipients = found.record, self._recipients
        if record.payload is not None and recipients.any and recipients.concern(record.type):
            (payload,) = recipients.payloads([ForUser(record, user_id)])
            return found._replace(record=record._replace(payload=payload))
        return found
