"""An entry: one message on its way into the log, with the code of its type that runs in its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.protocol.envelope import encode_json
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Kind

Apply = Callable[[sqlite3.Connection, "Entry"], "str | None"]
"""Runs before the message is stored, and may return another payload; see `Entry.apply`."""

After = Callable[[sqlite3.Connection, "Entry"], object]
"""Runs once the message is stored; see `Entry.after`."""


class Unchanged(Exception):
    """Raised by an `apply` hook: the message says nothing new; ack it and store nothing."""


# A struct of msgspec's, as one is made for every message: with keywords a dataclass takes three times as long.
class Entry(msgspec.Struct, kw_only=True, eq=False):
    """One message on its way into the log; `Log.append` sets the attributes from `replaces` on.

    Attributes:
        key: what a latest type replaces by, within (conversation, type, sender).
        digest: tells the same content from other content under the same `own_id`.
        apply: runs in the message's transaction, before it is stored; it may return another payload to
            store, raise Unchanged, or raise RelayError to refuse the message. `timestamp` is known.
        after: runs in the same transaction once it is stored: `message_id` and `seq` are known.
        reads: whether sending moves the sender's own read pointer.
        only_for: the one member who sees it, for a latest type; None for all of them.
        collapse: for a stream type: an older message of the same (conversation, type, sender, collapse)
            becomes a tombstone.
        about: the message that this one refers to, and is deleted with.
        expires_at: when it becomes a tombstone, Unix seconds.
        answer: further fields of its ack.
        elsewhere: whether it is stored in another conversation than its sender named; then its ack has no `seq`.
        at: when it was sent, Unix seconds, for one that comes from elsewhere; None: it is sent now.
        depth: how many answers of programs led to it; for a stream type.
        past: whether it was said on another server: it is stored, indexed and shown, and nothing is done because
            of it.
        erased: whether it was a tombstone there; for one of the past.
        replaces: the `message_id` of the older message that it made a tombstone, by `collapse`.
        message_id: its position in the log; None until it is stored.
        seq: its number in its conversation; None until it is stored, and for a latest value.
        timestamp: when it was stored, Unix seconds; for one that comes from elsewhere, when it was sent there.
        duplicate: whether it is a retry, and has the first one's answer.
        stored: whether this entry itself was stored.
        error: why it was refused.
        fault: what its type's code raised, where that was no refusal.
    """

    channel_id: int
    type: str
    kind: Kind
    sender_id: str
    target_id: str
    client_id: str | None
    own_id: str | None
    digest: bytes | None
    payload: str
    sent_at: float | None
    key: str = ""
    apply: Apply | None = None
    reads: bool = True
    only_for: str | None = None
    after: After | None = None
    collapse: str | None = None
    about: int | None = None
    expires_at: float | None = None
    answer: dict[str, Any] | None = None
    elsewhere: bool = False
    depth: int = 0
    at: float | None = None
    past: bool = False
    erased: bool = False

    replaces: int | None = None
    message_id: int | None = None
    seq: int | None = None
    timestamp: float = 0.0
    duplicate: bool = False
    stored: bool = False
    error: RelayError | None = None
    fault: Exception | None = None

    @property
    def plain(self) -> bool:
        """Whether storing it is one row and nothing else, so that many can be stored by one statement."""
        return (
            self.kind is Kind.STREAM
            and self.apply is None
            and self.after is None
            and self.collapse is None
            and not self.depth
        )


def made_here(
    channel_id: int,
    type_: str,
    sender_id: str,
    target_id: str,
    payload: Mapping[str, Any],
    kind: Kind = Kind.STREAM,
    **more: Any,
) -> Entry:
    """Return the entry of a message that the server makes: no client's id, and nothing that could be sent again.

    Args:
        more: further attributes of the entry.
    """
    return Entry(
        channel_id=channel_id,
        type=type_,
        kind=kind,
        sender_id=sender_id,
        target_id=target_id,
        client_id=None,
        own_id=None,
        digest=None,
        payload=encode_json(payload).decode(),
        sent_at=None,
        **more,
    )
