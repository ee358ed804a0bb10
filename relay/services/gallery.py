"""The files of a conversation as a user may see them: of messages that reach them, as they reach them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from relay.protocol.errors import not_found
from relay.protocol.kinds import ConversationKind
from relay.services.envelopes import PerRecipient, envelopes
from relay.storage import gallery, history
from relay.storage.attachments import Attachment
from relay.storage.conversations import group_address, user_address
from relay.storage.gallery import FileKind
from relay.storage.history import NO_BOUND, Page, Record
from relay.storage.jobs import Runner
from relay.storage.names import kind_of


class SharedFile(NamedTuple):
    """A file, and the message that holds it, with its `seq`: only messages of a stream hold files."""

    file: Attachment
    message: Record
    seq: int


class Shared(NamedTuple):
    """A page of files, the newest message's first; `before` is where the next one begins, None at the end."""

    files: list[SharedFile]
    before: int | None


class _Holding(msgspec.Struct):
    attachments: list[str] = []


class Gallery:
    """Lists the files of conversations.

    Args:
        page_bytes: the most bytes of messages that are read for one page; 0 means no limit.
    """

    def __init__(self, runner: Runner, recipients: PerRecipient, page_bytes: int = 0) -> None:
        self._runner = runner
        self._recipients = recipients
        self._page_bytes = page_bytes or NO_BOUND

    async def page(
        self, user_id: str, target_id: str, kind: FileKind | None, limit: int, before: int | None
    ) -> Shared | None:
        """Return files of a user's conversation with a user or in a group; None if it has not begun.

        Args:
            limit: the most messages whose files are returned.
            before: a `message_id`; only older messages count.

        Raises:
            RelayError: `not_found` for a target that does not exist, or a group that the user is not in.
        """

        def read(connection: Any) -> tuple[Page, dict[str, Attachment]] | None:
            found = kind_of(connection, target_id)
            in_group = found == ConversationKind.GROUP
            address = group_address(target_id) if in_group else user_address(user_id, target_id)
            seen = history.view(connection, user_id, address)
            if seen is None:
                if found == ConversationKind.USER:
                    return None
                raise not_found(f"user or group {target_id!r}")
            page = gallery.page(
                connection, seen, kind, limit, NO_BOUND if before is None else before, self._page_bytes
            )
            return page, gallery.described(connection, page.records)

        answer = await self._runner.read(read)
        if answer is None:
            return None
        page, files = answer
        shown = [
            SharedFile(files[one], record, record.seq)
            for record, ids in zip(page.records, self._held(user_id, page.records), strict=True)
            for one in ids
            if record.seq is not None and one in files and gallery.is_of(files[one].type, kind)
        ]
        return Shared(shown, page.records[-1].message_id if page.has_more else None)

    def _held(self, user_id: str, records: Sequence[Record]) -> list[list[str]]:
        """Return the ids that each message names to this user: none where it is withheld from them."""
        shown = envelopes(records, user_id, self._recipients)
        return [msgspec.json.decode(one.payload, type=_Holding).attachments for one in shown]
