"""`read_receipt`: how far a user has read a conversation; it only moves forward."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from relay.plugin import (
    DIALOGUE,
    Act,
    ConversationKind,
    Diagnostics,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageType,
    Payload,
    RelayError,
    Server,
    TracedMessage,
    TraceNote,
    hookimpl,
    move_read_pointer,
    tells_receipts,
)

PRIVATE = "private"


class ReadReceipt(Payload):
    """The end of what was read, by `seq`, or by messages of which the newest counts.

    `kind` is `self` for the user's own notifications.
    """

    up_to_seq: Annotated[Integer | None, Meta(description="`seq` of the newest message that was read")] = None
    message_ids: Annotated[
        Annotated[list[Integer], Meta(max_length=1000)] | None,
        Meta(description="instead of `up_to_seq`: messages that were read, of which the newest counts"),
    ] = None
    private: Annotated[bool, Meta(description="whether only the user's own devices learn of it")] = False
    kind: Annotated[Literal["self"] | None, Meta(description="`self` for the user's notifications")] = None
    state: Annotated[Literal["read", "delivered"] | None, Meta(description="set by the server only")] = None


def prepare(draft: Draft) -> None:
    """Move the read pointer in the transaction that stores the receipt."""
    receipt: ReadReceipt = draft.payload
    if (receipt.up_to_seq is None) == (receipt.message_ids is None):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt has either up_to_seq or message_ids")
    if receipt.state not in (None, "read"):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt's state is the server's to say")

    if draft.conversation.kind not in DIALOGUE:
        receipt.private = True  # nobody else reads a user's notifications

    def apply(connection: sqlite3.Connection, entry: Entry) -> str:
        private = receipt.private or not tells_receipts(connection, entry.sender_id)
        up_to_seq = move_read_pointer(connection, entry, receipt.up_to_seq, receipt.message_ids, shown=not private)
        if private:
            entry.only_for, entry.key = entry.sender_id, PRIVATE
        return draft.type.write(ReadReceipt(up_to_seq=up_to_seq, private=private, kind=receipt.kind, state="read"))

    draft.apply = apply
    draft.only_sender = receipt.private


def key(receipt: ReadReceipt) -> str:
    """Keep public and private receipts apart; `delivered` ones are made by the server only."""
    return PRIVATE if receipt.private else "read"


def trace(
    _server: Server, connection: sqlite3.Connection, message: TracedMessage, user_ids: Sequence[str]
) -> Iterator[TraceNote]:
    """Yield when users told others that they have read as far as a message, or further."""
    marks = ",".join("?" * len(user_ids))
    for user_id, payload, at in connection.execute(
        "SELECT sender_id, payload, timestamp FROM latest WHERE channel_id = ? AND type = 'read_receipt'"
        f" AND key = 'read' AND sender_id IN ({marks})",
        (message.channel_id, *user_ids),
    ).fetchall():
        up_to_seq = msgspec.json.decode(payload, type=ReadReceipt).up_to_seq or 0
        if message.seq is not None and message.seq <= up_to_seq and user_id != message.sender_id:
            text = f"{user_id} told that they have read up to seq {up_to_seq}."
            yield TraceNote(what="read_told", text=text, user_id=user_id, at=at)


@hookimpl
def relay_diagnostics() -> list[Diagnostics]:
    """Tell when somebody told that they have read a message."""
    return [Diagnostics(trace=trace)]


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `read_receipt`."""
    return [
        MessageType(
            name="read_receipt",
            payload=ReadReceipt,
            kind=Kind.LATEST,
            targets=frozenset(ConversationKind),
            priority=40,
            act=Act.READ,
            key=key,
            prepare=prepare,
        )
    ]
