"""Answers to actions, and their closing: checked and stored in one transaction with what they change."""

import sqlite3

import msgspec

from relay.plugin import (
    Act,
    ActionAnswer,
    ActionOutcome,
    Conversation,
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    RelayError,
    find_in_channel,
    is_group_admin,
    not_found,
    refuse_later,
    require,
)

from . import state
from .options import Options
from .payloads import ActionClose, ActionPayload, Place
from .state import Answer, State
from .values import check_answer


async def handle_answer(draft: Draft, options: Options) -> None:
    """Address an answer to the author of its message, or have it refused.

    It is refused inside its transaction, so that a retry of one that was stored gets its ack, even if the message
    is gone since then.
    """
    said: ActionPayload = draft.payload
    if said.place is not None or said.type is not None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "place and type are the server's to say")
    user_id = draft.sender.user_id
    try:
        place = await _place_of(draft, said.message_id)
        found = await draft.server.read(lambda connection: _read(connection, place, said.message_id), inline=True)
    except RelayError as refused:
        refuse_later(draft, refused)
        return
    draft.conversation, draft.target_id = await draft.server.conversations.own(found.author_id), ""
    draft.payload = msgspec.structs.replace(
        said,
        type=found.type,
        place=Place(kind=place.kind.value, target_id=place.target_id(user_id), name=place.name),
    )
    _answer(draft, said, place, options)


def _answer(draft: Draft, said: ActionPayload, place: Conversation, options: Options) -> None:
    """Have an answer checked, and its consequences stored, in its transaction."""
    outcomes: list[State] = []

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        found = _read(connection, place, said.message_id)
        known = found.state
        _check_may(known, entry.sender_id, place)
        require(draft.sender.identity, Act.REACT, place)
        _check_open(connection, known, entry.sender_id, options)
        check_answer(known.valid, said)
        answer = ActionAnswer(
            said.message_id, found.type, found.author_id, found.payload, place.channel_id, entry.sender_id,
            said.action, said.value, said.values, entry.timestamp,
        )  # fmt: skip
        outcome = draft.server.call_acted(connection, answer) or ActionOutcome()
        outcomes[:] = [known, state.after_answer(known, entry.sender_id, outcome, entry.timestamp)]

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None  # noqa: S101 - it is stored
        before, now = outcomes
        state.save(connection, now)
        state.add_answer(connection, Answer(entry.message_id, said.message_id, entry.sender_id, before.round))
        draft.server.wake()

    draft.apply, draft.after = apply, after


async def handle_close(draft: Draft) -> None:
    """Close the actions of a message in this one's transaction; for its author and the admins of its group."""
    said: ActionClose = draft.payload
    user_id = draft.sender.user_id
    try:
        place = await _written_in(draft, said.message_id) or await _place_of(draft, said.message_id)
    except RelayError as refused:
        refuse_later(draft, refused)
        return

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        known = _read(connection, place, said.message_id).state
        if known.author_id != user_id:
            require(draft.sender.identity, Act.END_OTHERS, place)
        now = state.closed(known, user_id, entry.timestamp)._replace(outcome=said.outcome or known.outcome)
        if now != known:
            state.save(connection, now)
            draft.server.wake()

    draft.apply = apply


class _Found(msgspec.Struct, frozen=True):
    """A message with actions, as it is now."""

    type: str
    author_id: str
    payload: str
    state: State


def _read(connection: sqlite3.Connection, place: Conversation, message_id: int) -> _Found:
    """Return a message of a conversation with the state of its actions.

    Raises:
        RelayError: `not_found`; `invalid_payload` for a message without actions.
    """
    message = find_in_channel(connection, place.channel_id, message_id)
    if message is None:
        raise _unknown(message_id)
    actions = state.actions_in(message.payload)
    known = state.find(connection, message_id)
    if actions is None and (known is None or known.replaced is None):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"message {message_id} has no actions")
    if known is None:
        assert actions is not None  # noqa: S101 - it has no state that would replace them
        known = State(message_id, place.address, message.sender_id, state.encoded(actions))
    return _Found(message.type, message.sender_id, message.payload, known)


async def _place_of(draft: Draft, message_id: int) -> Conversation:
    """Return the conversation of a message that the sender sees and may answer in.

    Raises:
        RelayError: `not_found`.
    """
    user_id = draft.sender.user_id
    place = await draft.server.conversations.of_message(user_id, message_id)
    if place.kind is not ConversationKind.BROADCAST and user_id not in place.members:
        raise _unknown(message_id)
    return place


def _check_may(known: State, user_id: str, place: Conversation) -> None:
    """Refuse who is none of those for whom the actions are.

    Raises:
        RelayError: `forbidden`; `not_found` for who has left the conversation.
    """
    if place.kind is not ConversationKind.BROADCAST and user_id not in place.members:
        raise _unknown(known.message_id)
    allowed = known.valid.for_
    if allowed == "admins" and not is_group_admin(user_id, place):
        raise RelayError(ErrorCode.FORBIDDEN, "these actions are for admins of the group")
    if isinstance(allowed, list) and user_id not in allowed:
        raise RelayError(ErrorCode.FORBIDDEN, f"these actions are for {', '.join(allowed)}")


def _check_open(connection: sqlite3.Connection, known: State, user_id: str, options: Options) -> None:
    """Refuse an answer to closed actions, and one too many.

    Raises:
        RelayError: `conflict` where somebody was first, or the user has answered; `forbidden` where closed.
    """
    once, message_id = known.valid.once, known.message_id
    if state.count_answers(connection, message_id, user_id) >= options.answers:
        text = f"you have answered message {message_id} {options.answers} times; that is the most"
        raise RelayError(ErrorCode.FORBIDDEN, text)
    if once != "never" and state.count_answers(connection, message_id, user_id, known.round):
        raise RelayError(ErrorCode.CONFLICT, f"you have answered message {message_id} already")
    if known.closed_at is not None and once == "message" and known.answers:
        first = known.closed_by or "somebody"
        raise RelayError(ErrorCode.CONFLICT, f"{first} has answered message {message_id} already")
    if known.closed_at is not None:
        raise RelayError(ErrorCode.FORBIDDEN, f"the actions of message {message_id} are closed")


async def _written_in(draft: Draft, message_id: int) -> Conversation | None:
    """Return the conversation of a message of the sender's own; a bot that was invoked there is not in it."""
    sent_by = (message_id, draft.sender.user_id)
    row = await draft.server.read(
        lambda connection: connection.execute(
            "SELECT channel_id FROM log WHERE message_id = ? AND sender_id = ? AND deleted_at IS NULL", sent_by
        ).fetchone(),
        inline=True,
    )
    return None if row is None else await draft.server.conversations.by_id(row[0])


def _unknown(message_id: int) -> RelayError:
    return not_found(f"message {message_id} with actions for you")
