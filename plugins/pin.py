"""`pin`: a message that its conversation keeps at hand, for everybody in it; and `GET /api/pins/{target_id}`.

In a conversation of two both may pin, in a group those who have its right `pin`: its owner and admins, or all
members by `[plugins.pin]`, where the group has not chosen. Whoever may pin may take back anybody's pin: of all
values about a message the newest counts.
"""

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.http import Answer, Blueprint, Caller, endpoint
from relay.plugin import (
    Act,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    Payload,
    PortableTable,
    RelayError,
    Role,
    Routes,
    SentEnvelope,
    Server,
    Unchanged,
    find_message,
    hookimpl,
    not_found,
    read_records,
    read_views,
)

MOST: Final = 50
"""The most pinned messages of a conversation."""

SCHEMA: Final = """
    CREATE TABLE pins (
        message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, pinned_by TEXT NOT NULL,
        pinned_at REAL NOT NULL
    );
    CREATE INDEX pins_by_channel ON pins(channel_id, message_id);
"""

blueprint = Blueprint("pin", __name__)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.pin]`.

    Attributes:
        members: whether every member may pin messages, and not only the owner and admins, in groups that have not
            chosen the right `pin`.
    """

    members: bool = False


class Pin(Payload):
    """The message, and whether it is pinned from now on."""

    message_id: Annotated[Integer, Meta(description="the message")]
    on: Annotated[bool, Meta(description="whether it is pinned from now on")]


class PinEvent(Payload):
    """A line of the conversation: its sender pinned the message."""

    message_id: Annotated[Integer, Meta(description="the message")]


class Pinned(msgspec.Struct):
    """A pinned message, who pinned it, and when (Unix seconds)."""

    message: SentEnvelope
    pinned_by: str
    pinned_at: float


class PinsAnswer(Answer, frozen=True):
    """The pinned messages of a conversation, the one that was pinned last first."""

    pins: list[Pinned]


def prepare(draft: Draft) -> None:
    """Pin the message, or take its pin back, in the transaction that stores the value."""
    said: Pin = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        find_message(connection, entry, said.message_id, "to pin")
        known = connection.execute("SELECT 1 FROM pins WHERE message_id = ?", (said.message_id,)).fetchone()
        if (known is not None) == said.on:
            raise Unchanged
        if not said.on:
            connection.execute("DELETE FROM pins WHERE message_id = ?", (said.message_id,))
            return
        (count,) = connection.execute(
            "SELECT count(*) FROM pins WHERE channel_id = ?", (entry.channel_id,)
        ).fetchone()
        if count >= MOST:
            text = f"{count} messages are pinned here, and there may be {MOST}; unpin one first"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"most": MOST})
        connection.execute(
            "INSERT INTO pins VALUES (?, ?, ?, ?)",
            (said.message_id, entry.channel_id, entry.sender_id, entry.timestamp),
        )

    draft.apply = apply


async def tell(server: Server, entry: Entry) -> None:
    """Say in the conversation that a message was pinned, unless it is pinned no longer."""
    said = msgspec.json.decode(entry.payload, type=Pin)
    place = await server.conversations.by_id(entry.channel_id)
    if not said.on or place is None:
        return

    def shape(draft: Draft) -> None:
        def apply(connection: sqlite3.Connection, line: Entry) -> None:
            line.reads = False  # who pins an old message has not read the newest ones
            known = "SELECT 1 FROM pins WHERE message_id = ? AND pinned_by = ?"
            if connection.execute(known, (said.message_id, entry.sender_id)).fetchone() is None:
                raise Unchanged

        draft.apply = apply

    try:
        await server.post(entry.sender_id, "pin_event", {"message_id": said.message_id}, place, shape=shape)
    except RelayError as refused:  # too many at once; the message is pinned all the same
        server.log.warning("no pin_event of message %d: %s", said.message_id, refused)


@blueprint.get("/api/pins/<target_id>")
@endpoint(answers={200: PinsAnswer}, refusals=[ErrorCode.NOT_FOUND])
async def pins_in(caller: Caller, server: Server, target_id: str) -> PinsAnswer:
    """Return the pinned messages of a conversation that the caller may see, the one that was pinned last first."""
    conversation = await server.conversations.find(caller.user_id, target_id)

    def read(connection: sqlite3.Connection) -> list[Pinned]:
        views = (one for one in read_views(connection, caller.user_id) if one.open)
        seen = next((one for one in views if one.channel_id == conversation.channel_id), None)
        if seen is None:
            raise not_found(f"user or group {target_id!r}")
        rows = connection.execute(
            "SELECT message_id, pinned_by, pinned_at FROM pins WHERE channel_id = ?"
            " ORDER BY pinned_at DESC, message_id DESC",
            (seen.channel_id,),
        ).fetchall()
        records = read_records(connection, [row[0] for row in rows])
        visible = [row for row in rows if seen.sees(connection, records[row[0]].seq or 0)]
        shown = server.envelopes(caller.user_id, [records[row[0]] for row in visible])
        return [Pinned(message, by, at) for message, (_id, by, at) in zip(shown, visible, strict=True)]

    return PinsAnswer(pins=await server.read(read))


def erased(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Take the pins of messages that were deleted."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(f"DELETE FROM pins WHERE message_id IN ({marks})", tuple(message_ids))


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.pin]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the table of pinned messages."""
    return [Migration(name="pins", sql=SCHEMA)]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry the pins over."""
    return [PortableTable(name="pins", messages=("message_id",), channel="channel_id")]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add `pin`, a value about the message, erased with it, and `pin_event`, a line of the conversation."""
    return [
        MessageType(
            name="pin",
            payload=Pin,
            kind=Kind.LATEST,
            priority=40,
            key=lambda said: str(said.message_id),
            about=lambda said: int(said.message_id),
            roles=None if options.members else frozenset({Role.OWNER, Role.ADMIN}),
            act=Act.PIN,
            prepare=prepare,
        ),
        MessageType(
            name="pin_event", payload=PinEvent, kind=Kind.STREAM, priority=30, from_clients=False, deletable=False
        ),
    ]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Watch for deleted messages, and tell of those that are pinned."""
    return [MessageHook(erased=erased), MessageHook(types=frozenset({"pin"}), committed=tell)]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/pins/{target_id}`."""
    return [Routes(blueprint=blueprint)]
