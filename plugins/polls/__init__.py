"""Polls: `poll`, `poll_vote`, `poll_close`, and `poll_result` from the server; `/api/polls`, `relay poll`."""

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from relay.plugin import (
    Act,
    BackgroundTask,
    Command,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    PageExtension,
    Payload,
    PortableTable,
    RelayError,
    Routes,
    Server,
    SessionHook,
    Unchanged,
    check_future,
    check_shown,
    find_message,
    hookimpl,
    require,
)

from . import votes
from .reading import blueprint, close_poll, list_polls, show_poll
from .results import PollResult, keep
from .votes import SCHEMA, Poll


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.polls]`.

    Attributes:
        result_seconds: the shortest time between two results of one poll.
    """

    result_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 1.0


class PollPayload(Payload):
    """A question and its options; it closes by itself at `closes_at`, Unix seconds."""

    question: Annotated[str, Meta(min_length=1, max_length=300)]
    options: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=2, max_length=20)]
    multiple: bool = False
    anonymous: bool = False
    closes_at: Annotated[float, Meta(ge=0, le=2**53)] | None = None


class PollVote(Payload):
    """The numbers of the chosen options, from 0; none at all takes the vote back."""

    poll: Integer
    choices: Annotated[list[Integer], Meta(max_length=20)]


class PollClose(Payload):
    """The poll that takes no more votes from now on."""

    poll: Integer


def prepare_poll(draft: Draft) -> None:
    """Create the poll in the transaction that stores its message."""
    said: PollPayload = draft.payload
    said.question = check_shown(said.question, "question", lines=True)
    said.options = [check_shown(option, "options") for option in said.options]
    if len(set(said.options)) < len(said.options):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "no two options of a poll are the same")

    def apply(_connection: sqlite3.Connection, entry: Entry) -> None:
        check_future("closes_at", said.closes_at, entry)

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None  # noqa: S101 - it is stored
        place, size = draft.conversation.address, len(said.options)
        fixed = (said.multiple, said.anonymous, said.closes_at)
        votes.add(connection, Poll(entry.message_id, place, entry.sender_id, size, *fixed))
        draft.server.wake()

    draft.apply, draft.after = apply, after


def prepare_vote(draft: Draft) -> None:
    """Count the vote in the transaction that stores it; an anonymous one goes to the voter's devices only."""
    vote: PollVote = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        poll = seen_poll(connection, entry, vote.poll, "to vote in")
        if poll.is_over(entry.timestamp):
            raise RelayError(ErrorCode.FORBIDDEN, f"poll {poll.message_id} is closed")
        if len(set(vote.choices)) < len(vote.choices) or max(vote.choices, default=0) >= poll.options:
            text = f"choices are numbers of options, 0 to {poll.options - 1}, each once"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        if len(vote.choices) > 1 and not poll.multiple:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"poll {poll.message_id} takes one choice")
        votes.cast(connection, poll, entry.sender_id, vote.choices)
        if poll.anonymous:
            entry.only_for = entry.sender_id
        draft.server.wake()

    draft.apply = apply


def prepare_close(draft: Draft) -> None:
    """Close the poll in the transaction that stores the message; for its author and the admins of its group."""
    sender, conversation = draft.sender.identity, draft.conversation

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        poll = seen_poll(connection, entry, draft.payload.poll, "to close")
        if poll.author_id != entry.sender_id:
            require(sender, Act.END_OTHERS, conversation)
        if poll.is_over(entry.timestamp):
            raise Unchanged
        votes.close(connection, poll, entry.timestamp, entry.sender_id)
        draft.server.wake()

    draft.apply = apply


def seen_poll(connection: sqlite3.Connection, entry: Entry, message_id: int, purpose: str) -> Poll:
    """Return a poll of the entry's conversation that its sender may see.

    Raises:
        RelayError: `not_found`; `invalid_payload` for a message that is not a poll.
    """
    message = find_message(connection, entry, message_id, purpose)
    poll = votes.find(connection, message_id)
    if poll is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"message {message_id} is a {message.type} and no poll")
    return poll


def erased(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete the votes of polls that were deleted."""
    votes.forget(connection, message_ids)


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.polls]`, read into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables of polls and votes."""
    return [Migration(name="votes", sql=SCHEMA)]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry polls and votes over."""
    tables = ("polls_polls", "polls_votes", "polls_counts")
    return [PortableTable(name=name, messages=("message_id",)) for name in tables]


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add the types; all but the poll itself are latest values about it, and are erased with it."""

    def about(payload: Any) -> int:
        number: int = payload.poll
        return number

    def latest(name: str, payload: type[Payload], **more: Any) -> MessageType:
        return MessageType(
            name=name,
            payload=payload,
            kind=Kind.LATEST,
            priority=40,
            key=lambda said: str(said.poll),
            about=about,
            **more,
        )

    return [
        MessageType(
            name="poll",
            payload=PollPayload,
            kind=Kind.STREAM,
            unread=True,
            search_text=lambda poll: "\n".join([poll.question, *poll.options]),
            prepare=prepare_poll,
        ),
        latest("poll_vote", PollVote, prepare=prepare_vote),
        latest("poll_close", PollClose, prepare=prepare_close),
        latest("poll_result", PollResult, from_clients=False),
    ]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Watch for deleted polls."""
    return [MessageHook(erased=erased)]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Remove the votes of users who are erased."""
    return [SessionHook(left=lambda _server, connection, user_id: votes.take_back_all(connection, user_id))]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Add the task that closes polls at their time and sends results."""
    return [BackgroundTask(name="results", run=lambda server: keep(server, options.result_seconds))]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/polls/{message_id}` and its votes."""
    return [Routes(blueprint=blueprint)]


@hookimpl
def relay_commands() -> list[Command]:
    """Add `relay poll list`, `show` and `close`."""
    return [
        Command(name="poll list", run=list_polls),
        Command(name="poll show", run=show_poll),
        Command(name="poll close", run=close_poll),
    ]


@hookimpl
def relay_page() -> PageExtension:
    """Draw polls in relay's own page."""
    return PageExtension(folder="page", module="poll.js", styles=["poll.css"])
