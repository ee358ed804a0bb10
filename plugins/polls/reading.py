"""Polls as they stand: by REST, as far as the caller may see them, and on the command line."""

import sqlite3
from typing import Any

import msgspec

from relay.http import Blueprint, Caller, Limit, Query, Word, endpoint, page_of
from relay.plugin import MAX_INTEGER, ErrorCode, RelayError, Server

from . import votes
from .votes import Poll

blueprint = Blueprint("polls", __name__)


class Option(msgspec.Struct):
    """One option and its votes."""

    text: str
    votes: int


class PollAnswer(msgspec.Struct, omit_defaults=True):
    """The results of a poll; `mine` is what the caller voted for, by the options' numbers."""

    message_id: int
    author_id: str
    question: str
    options: list[Option]
    multiple: bool
    anonymous: bool
    voters: int
    mine: list[int]
    closes_at: float | None = None
    closed_at: float | None = None
    closed_by: str | None = None


class Voter(msgspec.Struct):
    """A vote of one user."""

    user_id: str
    choices: list[int]


class VotersAnswer(msgspec.Struct):
    """A page of who voted, by their ids."""

    votes: list[Voter]
    has_more: bool
    next_cursor: str | None


class VotersQuery(Query, frozen=True):
    """The place in the list to continue from."""

    cursor: Word = None
    limit: Limit = 50


def found(connection: sqlite3.Connection, message_id: int, user_id: str | None = None) -> tuple[Poll, PollAnswer]:
    """Return a poll and how it stands.

    Raises:
        RelayError: `not_found`.
    """
    message_id = min(message_id, MAX_INTEGER)
    poll = votes.find(connection, message_id)
    row = connection.execute(
        "SELECT payload FROM log WHERE message_id = ? AND deleted_at IS NULL", (message_id,)
    ).fetchone()
    if poll is None or row is None:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no poll {message_id}")
    said: dict[str, Any] = msgspec.json.decode(row[0])
    counted = zip(said["options"], votes.counts(connection, message_id), strict=True)
    mine = [] if user_id is None else votes.chosen(connection, message_id, user_id)
    return poll, PollAnswer(
        message_id, poll.author_id, said["question"], [Option(*one) for one in counted], poll.multiple,
        poll.anonymous, poll.voters, mine, poll.closes_at, poll.closed_at, poll.closed_by,
    )  # fmt: skip


@blueprint.get(f"/api/polls/<int(max={MAX_INTEGER}):message_id>")
@endpoint(answers={200: PollAnswer}, refusals=[ErrorCode.NOT_FOUND])
async def show(server: Server, caller: Caller, message_id: int) -> PollAnswer:
    """Answer with a poll and how it stands."""
    await require_seen(server, caller, message_id)
    _poll, answer = await server.read(lambda connection: found(connection, message_id, caller.user_id))
    return answer


@blueprint.get(f"/api/polls/<int(max={MAX_INTEGER}):message_id>/votes")
@endpoint(query=VotersQuery, answers={200: VotersAnswer}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN])
async def voted(server: Server, caller: Caller, query: VotersQuery, message_id: int) -> VotersAnswer:
    """Answer with who voted for what, where the poll is not anonymous."""
    await require_seen(server, caller, message_id)

    def read(connection: sqlite3.Connection) -> list[tuple[str, list[int]]]:
        poll, _answer = found(connection, message_id)
        if poll.anonymous:
            raise RelayError(ErrorCode.FORBIDDEN, f"poll {message_id} is anonymous")
        return votes.voters(connection, message_id, query.cursor or "", query.limit + 1)

    page, has_more, next_cursor = page_of(await server.read(read), query.limit, lambda row: row[0])
    return VotersAnswer([Voter(*row) for row in page], has_more, next_cursor)


async def require_seen(server: Server, caller: Caller, message_id: int) -> None:
    """Refuse what the caller may not see, as if it were not there.

    Raises:
        RelayError: `not_found`.
    """
    await server.conversations.of_message(caller.user_id, message_id)


async def list_polls(server: Server, *, all: bool = False) -> list[dict[str, Any]]:
    """List the open polls, newest first.

    With --all the closed ones too; a thousand at most.
    """

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        return [
            {
                "poll": poll.message_id,
                "conversation": poll.address,
                "author": poll.author_id,
                "voters": poll.voters,
                "state": "open" if poll.closed_at is None else "closed",
                "closes_at": poll.closes_at or "",
            }
            for poll in votes.listed(connection, also_closed=all)
        ]

    return await server.read(read)


async def show_poll(server: Server, poll: int) -> list[dict[str, Any]]:
    """Show the votes for each option of the poll POLL.

    Never who gave them.
    """
    _poll, answer = await server.read(lambda connection: found(connection, poll))
    return [
        {"option": number, "text": option.text, "votes": option.votes}
        for number, option in enumerate(answer.options)
    ]


async def close_poll(server: Server, poll: int) -> str:
    """Close the poll POLL, whoever wrote it.

    Its conversation is told the result.
    """

    def close(connection: sqlite3.Connection) -> str:
        known, _answer = found(connection, poll)
        if known.closed_at is not None:
            return f"poll {poll}: closed already"
        votes.close(connection, known, server.now(), None)
        return f"poll {poll}: closed"

    said = await server.write(close)
    server.wake()
    return said
