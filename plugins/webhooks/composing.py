"""What is delivered: a stored message as history shows it now, and which conversation it belongs to."""

import sqlite3
from typing import Any, NamedTuple

import msgspec

from relay.plugin import ConversationKind, Record, envelope, other_party, read_records

from .standing import Backlog, Standing
from .tables import address_of, next_replayed, said_in

_LOOK = 200


class Place(msgspec.Struct, omit_defaults=True):
    """A conversation as a receiver is told of it.

    Attributes:
        target_id: the group's id, `*` for everybody's, the user's for what was told to one; of two users whom the
            message was sent to.
        user_ids: both, in a conversation of two.
    """

    kind: str
    target_id: str
    user_ids: list[str] | None = None


class Found(NamedTuple):
    """A message that is to be delivered.

    Attributes:
        place: where its backlog goes on once it is done.
    """

    record: Record
    address: str
    place: int


def find_next(connection: sqlite3.Connection, standing: Standing, backlog: Backlog, until: int) -> Found | None:
    """Return the next message of a conversation that a webhook is to get; None where none is up to `until`."""
    if backlog.replays:
        message_id = next_replayed(connection, standing.hook.hook_id, backlog.channel_id, backlog.after)
        return None if message_id is None else _found(connection, message_id, backlog.channel_id, message_id)
    after = backlog.after
    while after < until:
        page = said_in(connection, backlog.channel_id, after, until, _LOOK)
        for said in page:
            if standing.chooser.wants(said):
                return _found(connection, said.message_id, backlog.channel_id, said.seq)
        after = page[-1].seq if page else until
    return None


def _found(connection: sqlite3.Connection, message_id: int, channel_id: int, place: int) -> Found:
    record = read_records(connection, [message_id])[message_id]
    return Found(record, address_of(connection, channel_id), place)


def delivery_id(epoch: str, hook_id: str, message_id: int) -> str:
    """Return the id of a delivery: the same at each attempt, and another in a database that was restored."""
    return f"msg_{epoch}_{hook_id}_{message_id}"


def compose(found: Found) -> bytes:
    """Return the body of a delivery."""
    said = envelope(found.record)
    place = where(found.address, found.record.target_id)
    body: dict[str, Any] = {"type": said.type, "payload": said.payload, "meta": said.meta, "conversation": place}
    return msgspec.json.encode(body)


def where(address: str, target_id: str) -> Place:
    """Return what a receiver is told of a conversation."""
    kind, _, rest = address.partition(":")
    if kind == ConversationKind.USER:
        return Place(kind, target_id, rest.split(":"))
    return Place(ConversationKind.BROADCAST if address == "*" else kind, rest or address)


def target_for(address: str, user_id: str) -> tuple[str, str] | None:
    """Return the message type and target by which a user answers in a conversation; None where they cannot."""
    kind, _, rest = address.partition(":")
    if kind == ConversationKind.GROUP:
        return "group_message", rest
    if kind == ConversationKind.USER and user_id in rest.split(":"):
        return "chat_message", other_party(address, user_id)
    return None
