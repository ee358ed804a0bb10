"""`read_receipt`: how far somebody has read; a pointer that only moves forward."""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import Draft, ErrorCode, Integer, Kind, MessageType, Payload, RelayError, hookimpl
from relay.plugin.checks import move_read_pointer
from relay.storage.log import Entry


class ReadReceipt(Payload):
    """Up to where; by `seq`, or by messages of which the newest counts."""

    up_to_seq: Integer | None = None
    message_ids: Annotated[list[Integer], Meta(max_length=1000)] | None = None
    private: bool = False
    state: Literal["read", "delivered"] = "read"


def prepare(draft: Draft) -> None:
    """Have the pointer moved in the receipt's own transaction."""
    receipt: ReadReceipt = draft.payload
    if (receipt.up_to_seq is None) == (receipt.message_ids is None):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt has either up_to_seq or message_ids")
    if receipt.state != "read":
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "a read_receipt's state is the server's to say")

    def apply(connection: sqlite3.Connection, entry: Entry) -> str:
        up_to_seq = move_read_pointer(
            connection, entry, receipt.up_to_seq, receipt.message_ids, shown=not receipt.private
        )
        told = {"up_to_seq": up_to_seq, "state": "read"} | ({"private": True} if receipt.private else {})
        return draft.type.write(told)

    draft.apply = apply
    draft.only_sender = receipt.private


def key(receipt: ReadReceipt) -> str:
    """Keep what was read, what was read in private and what was delivered apart."""
    return "private" if receipt.private else receipt.state


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `read_receipt`."""
    return [
        MessageType(
            name="read_receipt", payload=ReadReceipt, kind=Kind.LATEST, priority=40, key=key, prepare=prepare
        )
    ]
