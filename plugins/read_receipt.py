"""`read_receipt`: how far somebody has read; a pointer that only moves forward."""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    DIALOGUE,
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageType,
    Payload,
    RelayError,
    hookimpl,
    move_read_pointer,
    tells_receipts,
)

PRIVATE = "private"


class ReadReceipt(Payload):
    """Up to where; by `seq`, or by messages of which the newest counts.

    `kind` is `self` for the notifications to oneself.
    """

    up_to_seq: Annotated[Integer | None, Meta(description="the newest message that was read, by its `seq`")] = None
    message_ids: Annotated[
        Annotated[list[Integer], Meta(max_length=1000)] | None,
        Meta(description="instead of `up_to_seq`: messages that were read, of which the newest counts"),
    ] = None
    private: Annotated[bool, Meta(description="whether only one's own devices learn of it")] = False
    kind: Annotated[Literal["self"] | None, Meta(description="`self` for the notifications to oneself")] = None
    state: Annotated[Literal["read", "delivered"] | None, Meta(description="the server's to say")] = None


def prepare(draft: Draft) -> None:
    """Have the pointer moved in the receipt's own transaction."""
    receipt: ReadReceipt = draft.payload
    if (receipt.up_to_seq is None) == (receipt.message_ids is None):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt has either up_to_seq or message_ids")
    if receipt.state not in (None, "read"):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt's state is the server's to say")

    if draft.conversation.kind not in DIALOGUE:
        receipt.private = True  # nobody else reads one's notifications

    def apply(connection: sqlite3.Connection, entry: Entry) -> str:
        private = receipt.private or not tells_receipts(connection, entry.sender_id)
        up_to_seq = move_read_pointer(connection, entry, receipt.up_to_seq, receipt.message_ids, shown=not private)
        if private:
            entry.only_for, entry.key = entry.sender_id, PRIVATE
        return draft.type.write(ReadReceipt(up_to_seq=up_to_seq, private=private, kind=receipt.kind, state="read"))

    draft.apply = apply
    draft.only_sender = receipt.private


def key(receipt: ReadReceipt) -> str:
    """Keep what was read and what was read in private apart; what was delivered is the server's to say."""
    return PRIVATE if receipt.private else "read"


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
            key=key,
            prepare=prepare,
        )
    ]
