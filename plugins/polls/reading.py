"""Looking at polls: by REST, as far as the caller sees them, and on the command line."""

import sqlite3
from typing import Any

import msgspec

from relay.http import Blueprint, Limit, NoQuery, Query, Word, caller, described, read_query, reply
from relay.http import server as the_server
from relay.plugin import MAX_INTEGER, ErrorCode, RelayError, Server

from . import votes
from .votes import Poll

blueprint = Blueprint("polls", __name__)


class Option(msgspec.Struct):
    """One option and its votes."""

    text: str
    votes: int


class PollAnswer(msgspec.Struct, omit_defaults=True):
    """How a poll stands; `mine` is what the caller voted for, by the options' numbers."""

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
    """Who voted for what."""

    user_id: str
    choices: list[int]


class VotersAnswer(msgspec.Struct):
    """A page of who voted, by their ids."""

    votes: list[Voter]
    has_more: bool
    next_cursor: str | None


class VotersQuery(Query, frozen=True):
    """Where to go on."""

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
@described(answers={200: PollAnswer}, refusals=[ErrorCode.NOT_FOUND])
async def show(message_id: int) -> Any:
    """Answer with a poll and how it stands."""
    read_query(NoQuery)
    await require_seen(message_id)
    user_id = caller().user_id
    _poll, answer = await the_server().read(lambda connection: found(connection, message_id, user_id))
    return reply(answer)


@blueprint.get(f"/api/polls/<int(max={MAX_INTEGER}):message_id>/votes")
@described(query=VotersQuery, answers={200: VotersAnswer}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN])
async def voted(message_id: int) -> Any:
    """Answer with who voted for what, where the poll is not anonymous."""
    asked = read_query(VotersQuery)
    await require_seen(message_id)

    def read(connection: sqlite3.Connection) -> list[tuple[str, list[int]]]:
        poll, _answer = found(connection, message_id)
        if poll.anonymous:
            raise RelayError(ErrorCode.FORBIDDEN, f"poll {message_id} is anonymous")
        return votes.voters(connection, message_id, asked.cursor or "", asked.limit + 1)

    rows = await the_server().read(read)
    page, further = rows[: asked.limit], len(rows) > asked.limit
    return reply(VotersAnswer([Voter(*one) for one in page], further, page[-1][0] if further else None))


async def require_seen(message_id: int) -> None:
    """Refuse what the caller may not see, as if it were not there.

    Raises:
        RelayError: `not_found`.
    """
    await the_server().services.history.locate(caller().user_id, [message_id])


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
