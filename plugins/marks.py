"""`conversation_mark` and `saved_message`: a user's own marks, for their devices alone.

A conversation is pinned, archived, or marked as unread; a message is saved. Each mark is a latest value in the
conversation that it is about, so there is no table of marks. It goes with the message and with the account, and is
not to be seen after leaving a group.
"""

import sqlite3
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from relay.http import Answer, Blueprint, Caller, Limit, endpoint
from relay.http import Query as QueryString
from relay.plugin import (
    DIALOGUE,
    MAX_INTEGER,
    Act,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageType,
    Payload,
    RelayError,
    Routes,
    SentEnvelope,
    Server,
    find_message,
    hookimpl,
    newest_seq,
    read_records,
    read_views,
)

MARK: Final = "conversation_mark"
SAVED: Final = "saved_message"
_OF_USER: Final = (
    " FROM members m JOIN latest l ON l.channel_id = m.channel_id AND l.type = ? AND l.sender_id = m.user_id"
    " WHERE m.user_id = ? AND m.visible_until IS NULL"
)

blueprint = Blueprint("marks", __name__)


class ConversationMark(Payload):
    """A mark of a conversation, on or off, and up to which message it holds."""

    mark: Annotated[Literal["pinned", "archived", "unread"], Meta(description="which mark")]
    on: Annotated[bool, Meta(description="whether it is there from now on")]
    up_to_seq: Annotated[
        Integer | None,
        Meta(
            description="the newest `seq` at that time: `archived` is over once somebody says something after it, "
            "`unread` once something after it is read"
        ),
    ] = None
    from_seq: Annotated[
        Integer | None, Meta(description="of `unread`: the `seq` of the first message that is unread again")
    ] = None


class SavedMessage(Payload):
    """A message that the user saves for themself, or saves no longer."""

    message_id: Annotated[Integer, Meta(description="the message")]
    on: Annotated[bool, Meta(description="whether it is saved from now on")]


class MarksAnswer(Answer, frozen=True):
    """The newest value of each mark of the caller's conversations, those that are off included."""

    marks: list[SentEnvelope]


class SavedQuery(QueryString, frozen=True):
    """`GET /api/saved`."""

    limit: Limit = 50
    cursor: Annotated[Integer | None, Meta(description="of an earlier answer")] = None


class SavedMessageAnswer(Answer, frozen=True):
    """A saved message, and when it was saved, Unix seconds."""

    message: SentEnvelope
    saved_at: float


class SavedAnswer(Answer, frozen=True):
    """A page of saved messages, those that were saved last first."""

    saved: list[SavedMessageAnswer]
    has_more: bool
    next_cursor: int | None


def prepare_mark(draft: Draft) -> None:
    """Check what goes with the mark; nobody else is told of it."""
    mark: ConversationMark = draft.payload
    bounded = mark.on and mark.mark != "pinned"
    if bounded != (mark.up_to_seq is not None):
        rule = "needs up_to_seq" if bounded else "takes no up_to_seq"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{mark.mark!r} that is {'on' if mark.on else 'off'} {rule}")
    if mark.from_seq is not None and (mark.mark != "unread" or mark.from_seq > (mark.up_to_seq or 0)):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "from_seq is for 'unread' that is on, and not after up_to_seq")

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        newest = newest_seq(connection, entry.channel_id)
        if mark.up_to_seq is not None and mark.up_to_seq > newest:
            raise RelayError(
                ErrorCode.INVALID_PAYLOAD,
                f"up_to_seq is {mark.up_to_seq}, and the newest message has seq {newest}",
            )

    draft.apply, draft.only_sender = apply, True


def prepare_saved(draft: Draft) -> None:
    """Look up the message in the transaction; nobody else is told of it."""
    saved: SavedMessage = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        find_message(connection, entry, saved.message_id, "to save" if saved.on else "to save no longer")

    draft.apply, draft.only_sender = apply, True


@blueprint.get("/api/marks")
@endpoint(answers={200: MarksAnswer})
async def marks(server: Server, caller: Caller) -> dict[str, Any]:
    """Answer with the marks of the caller's conversations; what changes later comes as `conversation_mark`."""

    def read(connection: sqlite3.Connection) -> list[Any]:
        found = connection.execute(f"SELECT l.message_id{_OF_USER} ORDER BY l.message_id", (MARK, caller.user_id))
        return _records(connection, [row[0] for row in found])

    return {"marks": server.envelopes(caller.user_id, await server.read(read))}


@blueprint.get("/api/saved")
@endpoint(query=SavedQuery, answers={200: SavedAnswer})
async def saved(server: Server, caller: Caller, query: SavedQuery) -> dict[str, Any]:
    """Answer with the messages that the caller saved and may still see."""
    before = MAX_INTEGER if query.cursor is None else query.cursor
    found = await server.read(partial(_saved, user_id=caller.user_id, before=before, limit=query.limit + 1))
    page, further = found[: query.limit], found[query.limit :]
    shown = server.envelopes(caller.user_id, [record for _, _, record in page])
    answers = [{"message": message, "saved_at": at} for message, (_, at, _) in zip(shown, page, strict=True)]
    return {"saved": answers, "has_more": bool(further), "next_cursor": page[-1][0] if further else None}


def _saved(connection: sqlite3.Connection, user_id: str, before: int, limit: int) -> list[tuple[int, float, Any]]:
    """Return saved messages with the ids and times of their marks, the newest mark first."""
    views = {view.channel_id: view for view in read_views(connection, user_id) if view.open}
    rows = connection.execute(
        "SELECT l.channel_id, l.message_id, l.about, l.timestamp, l.payload"
        f"{_OF_USER} AND l.message_id < ? ORDER BY l.message_id DESC",
        (SAVED, user_id, before),
    )
    wanted = [
        (mark_id, at, about, views[channel_id])
        for channel_id, mark_id, about, at, payload in rows
        if msgspec.json.decode(payload)["on"] and channel_id in views
    ]
    found: list[tuple[int, float, Any]] = []
    for mark_id, at, about, view in wanted:
        (record,) = _records(connection, [about]) or (None,)
        if record is not None and record.payload is not None and view.sees(connection, record.seq):
            found.append((mark_id, at, record))
        if len(found) == limit:
            break
    return found


def _records(connection: sqlite3.Connection, message_ids: list[int]) -> list[Any]:
    """Return stored messages in the order of their ids' list; those that are gone are left out."""
    found: dict[int, Any] = {}
    for start in range(0, len(message_ids), 500):
        found |= read_records(connection, message_ids[start : start + 500])
    return [found[message_id] for message_id in message_ids if message_id in found]


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `conversation_mark` and `saved_message`."""
    return [
        MessageType(
            name=MARK, payload=ConversationMark, kind=Kind.LATEST, targets=DIALOGUE, priority=40,
            act=Act.READ, key=lambda mark: str(mark.mark), prepare=prepare_mark,
        ),
        MessageType(
            name=SAVED, payload=SavedMessage, kind=Kind.LATEST, targets=DIALOGUE, priority=40,
            act=Act.READ, key=lambda saved: str(saved.message_id), about=lambda saved: int(saved.message_id),
            prepare=prepare_saved,
        ),
    ]  # fmt: skip


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `/api/marks` and `/api/saved`."""
    return [Routes(blueprint=blueprint)]
