"""Answering an invocation: where it was invoked, or to its invoker alone; by its bot, and for a while.

A bot need not be in the conversation: that somebody who is there invoked it is its leave to answer.
"""

import sqlite3
from typing import NamedTuple

import msgspec

from relay.plugin import Draft, Entry, ErrorCode, RelayError, check_text

from .invoking import refuse
from .options import Options
from .payloads import SlashResponse


class Invoked(NamedTuple):
    """What a bot may answer."""

    command: str
    sender_id: str
    address: str
    about: int | None
    private: bool
    depth: int | None


async def handle(draft: Draft, options: Options) -> None:
    """Send a `slash_response` to where it belongs, or have it refused in its transaction.

    There, because a retry of one that was stored gets the first one's ack, also when the time to answer is over.
    """
    said: SlashResponse = draft.payload
    if said.command is not None or said.invoked_by is not None or said.reply_to is not None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "command, invoked_by and reply_to are the server's to say")
    bot_id, channels = draft.sender.user_id, draft.server.services.channels
    invoked = await draft.server.read(lambda connection: find(connection, said.invocation, bot_id))
    if invoked is None:
        refuse(draft, too_late(said.invocation, options))
        return
    private = said.private or invoked.private
    place = await (channels.own(invoked.sender_id) if private else channels.at(invoked.address))
    if place is None or invoked.sender_id not in place.members:
        gone = f"{invoked.sender_id} is no longer where they invoked {said.invocation}; answer with private: true"
        refuse(draft, RelayError(ErrorCode.NOT_FOUND, gone))
        return
    draft.conversation, draft.target_id = place, place.target_id(bot_id)
    draft.answer, draft.depth = {"private": private}, (invoked.depth or 0) + 1
    check_text(draft)
    checked = draft.apply

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        if not use(connection, said.invocation, bot_id, entry.timestamp, options):
            raise too_late(said.invocation, options)
        if checked is not None:
            checked(connection, entry)

    draft.apply = apply
    draft.payload = msgspec.structs.replace(
        said,
        private=private,
        command=invoked.command,
        invoked_by=invoked.sender_id,
        reply_to=None if private else invoked.about,
    )


def find(connection: sqlite3.Connection, invocation: int, bot_id: str) -> Invoked | None:
    """Return an invocation of a bot's."""
    row = connection.execute(
        "SELECT command, i.sender_id, address, i.about, private, l.depth FROM bots_invocations i"
        " JOIN log l USING (message_id) WHERE message_id = ? AND bot_id = ?",
        (invocation, bot_id),
    ).fetchone()
    return Invoked._make((*row[:4], bool(row[4]), row[5])) if row else None


def use(connection: sqlite3.Connection, invocation: int, bot_id: str, now: float, options: Options) -> bool:
    """Count an answer to an invocation; False when it is too late for one, or one too many."""
    return bool(
        connection.execute(
            "UPDATE bots_invocations SET answers = answers + 1"
            " WHERE message_id = ? AND bot_id = ? AND at > ? AND answers < ? RETURNING 1",
            (invocation, bot_id, now - options.answer_seconds, options.answers),
        ).fetchall()
    )


def too_late(invocation: int, options: Options) -> RelayError:
    """Return the refusal of an answer to what is not there to be answered."""
    return RelayError(
        ErrorCode.NOT_FOUND,
        f"there is no invocation {invocation} of yours to answer: it may be answered for"
        f" {options.answer_seconds:g} s, {options.answers} times at most",
    )
