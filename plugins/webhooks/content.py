"""The content that is exchanged with receivers: deliveries of stored messages, and answers that are posted."""

import sqlite3
from typing import Any, NamedTuple

import msgspec
import trio

from relay.plugin import (
    ConversationKind,
    ErrorCode,
    Record,
    RelayError,
    Server,
    answer_depth,
    other_party,
    read_records,
)

from .post import Attempt
from .state import Backlog, HookState
from .tables import next_replay, read_address, read_conversation

_PAGE = 200
_ANSWER_TRIES = 5
_LONGEST_WAIT = 30.0
"""Seconds; by a group's slow mode the next try may be hours away."""

_TRY_AGAIN = (ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED)


# Deliveries.


class ConversationInfo(msgspec.Struct, omit_defaults=True):
    """A conversation, as a receiver is told of it.

    Attributes:
        target_id: the group's id; `*` for everybody; the user's for a conversation of one; the user to whom the
            message was sent for one of two.
        user_ids: both users, in a conversation of two.
    """

    kind: str
    target_id: str
    user_ids: list[str] | None = None


class NextMessage(NamedTuple):
    """The next message of a backlog.

    Attributes:
        address: the conversation's.
        place: the backlog goes on behind it: the message's seq, or the message_id of a dead letter.
    """

    record: Record
    address: str
    place: int


def find_next(
    connection: sqlite3.Connection, state: HookState, backlog: Backlog, until: int
) -> NextMessage | None:
    """Return the next message of a conversation that a webhook gets, up to the seq `until`; None at the end."""
    if backlog.is_replay:
        message_id = next_replay(connection, state.hook.hook_id, backlog.channel_id, backlog.after)
        return None if message_id is None else _read(connection, message_id, backlog.channel_id, message_id)
    after = backlog.after
    while after < until:
        page = read_conversation(connection, backlog.channel_id, after, until, _PAGE)
        for message in page:
            if state.filter.matches(message):
                return _read(connection, message.message_id, backlog.channel_id, message.seq)
        after = page[-1].seq if page else until
    return None


def _read(connection: sqlite3.Connection, message_id: int, channel_id: int, place: int) -> NextMessage:
    record = read_records(connection, [message_id])[message_id]
    return NextMessage(record, read_address(connection, channel_id), place)


def delivery_id(epoch: str, hook_id: str, message_id: int) -> str:
    """Return the id of a delivery. It is the same at each attempt, and differs in a restored database."""
    return f"msg_{epoch}_{hook_id}_{message_id}"


def delivery_body(server: Server, reply_as: str | None, message: NextMessage) -> bytes:
    """Return the body of a delivery: the envelope as history shows it now, and the conversation.

    Args:
        reply_as: the user who gets it, where other plugins change that for single users; None for nobody special.
    """
    (shown,) = server.envelopes(reply_as or "*", [message.record])
    conversation = _conversation(message.address, message.record.target_id)
    body: dict[str, Any] = {
        "type": shown.type,
        "payload": shown.payload,
        "meta": shown.meta,
        "conversation": conversation,
    }
    return msgspec.json.encode(body)


def _conversation(address: str, target_id: str) -> ConversationInfo:
    kind, _, rest = address.partition(":")
    if kind == ConversationKind.USER:
        return ConversationInfo(kind, target_id, rest.split(":"))
    return ConversationInfo(ConversationKind.BROADCAST if address == "*" else kind, rest or address)


# Answers.


class ReceiverAnswer(msgspec.Struct):
    """The body of an answer that is to be posted; other services say `text` for `content`."""

    content: str = ""
    text: str = ""


async def post_answer(
    server: Server, user_id: str, message: NextMessage, attempt: Attempt, delivery_id: str
) -> None:
    """Post the receiver's answer to a message into its conversation; `attempt.error` says why that failed.

    The delivery's id is the idempotency key, so that a delivery that is repeated is answered once.
    """
    content = _content(attempt)
    if not content:
        return
    target = _reply_target(message.address, user_id)
    if target is None:
        attempt.error = f"its answer was not posted: {user_id} is not in this conversation"
        return
    type_name, target_id = target
    for _ in range(_ANSWER_TRIES):
        try:
            depth = answer_depth(message.record.depth)
            await server.send(user_id, type_name, {"content": content}, target_id, own_id=delivery_id, depth=depth)
        except RelayError as refused:
            attempt.error = f"its answer was not posted: {refused.message}"
            wait = refused.retry_after or 1.0
            if refused.code not in _TRY_AGAIN or wait > _LONGEST_WAIT:  # other messages wait behind it
                return
            await trio.sleep(wait)
        else:
            attempt.error = None
            return


def _content(attempt: Attempt) -> str:
    answer = attempt.answer
    if answer is None or answer.status != 200:
        return ""
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return ""
    try:
        said = msgspec.json.decode(answer.body, type=ReceiverAnswer)
    except (msgspec.DecodeError, UnicodeError):
        return ""  # an acknowledgement in a form of the receiver's own
    return said.content or said.text


def _reply_target(address: str, user_id: str) -> tuple[str, str] | None:
    """Return the message type and the target for a user's answer in a conversation; None if they are not in it."""
    kind, _, rest = address.partition(":")
    if kind == ConversationKind.GROUP:
        return "group_message", rest
    if kind == ConversationKind.USER and user_id in rest.split(":"):
        return "chat_message", other_party(address, user_id)
    return None
