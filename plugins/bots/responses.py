"""Responses of bots to invocations: into the conversation of the invocation, or to the invoker alone.

A bot need not be in that conversation. It may answer there because one of its members invoked it, for a limited
time and a limited number of times.
"""

import sqlite3
from typing import NamedTuple

import msgspec

from relay.plugin import Draft, Entry, ErrorCode, RelayError, check_text, refuse_later

from .options import Options
from .payloads import SlashResponse


class Invoked(NamedTuple):
    """An invocation that a bot may answer; `private`, `about` and `thread` are those of its `slash_command`."""

    command: str
    sender_id: str
    address: str
    about: int | None
    private: bool
    depth: int | None
    thread: int | None


async def handle(draft: Draft, options: Options) -> None:
    """Address a `slash_response` to where its invocation came from, or have it refused.

    It is refused inside its transaction, so that a retry of one that was stored gets its ack, even if the time to
    answer is over since then.
    """
    said: SlashResponse = draft.payload
    if any(one is not None for one in (said.command, said.invoked_by, said.reply_to, said.plugin, said.thread)):
        text = "command, invoked_by, reply_to, thread and plugin are the server's to say"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    bot_id, conversations = draft.sender.user_id, draft.server.conversations
    invoked = await draft.server.read(lambda connection: find_invocation(connection, said.invocation, bot_id))
    if invoked is None:
        refuse_later(draft, too_late(said.invocation, options))
        return
    private = said.private or invoked.private
    place = await (conversations.own(invoked.sender_id) if private else conversations.at(invoked.address))
    if place is None or invoked.sender_id not in place.members:
        gone = f"{invoked.sender_id} is no longer where they invoked {said.invocation}; answer with private: true"
        refuse_later(draft, RelayError(ErrorCode.NOT_FOUND, gone))
        return
    draft.conversation, draft.target_id = place, place.target_id(bot_id)
    draft.answer, draft.depth = {"private": private}, (invoked.depth or 0) + 1
    draft.payload = msgspec.structs.replace(said, thread=None if private else invoked.thread)
    check_text(draft)
    checked = draft.apply

    def apply(connection: sqlite3.Connection, entry: Entry) -> str | None:
        if not count_response(connection, said.invocation, bot_id, entry.timestamp, options):
            raise too_late(said.invocation, options)
        return None if checked is None else checked(connection, entry)

    draft.apply = apply
    draft.payload = msgspec.structs.replace(
        draft.payload,
        private=private,
        command=invoked.command,
        invoked_by=invoked.sender_id,
        reply_to=None if private else invoked.about,
    )


def find_invocation(connection: sqlite3.Connection, invocation: int, bot_id: str) -> Invoked | None:
    """Return an invocation of a bot; None where there is none with this id."""
    row = connection.execute(
        "SELECT command, i.sender_id, address, i.about, private, l.depth, i.thread FROM bots_invocations i"
        " JOIN log l USING (message_id) WHERE message_id = ? AND bot_id = ?",
        (invocation, bot_id),
    ).fetchone()
    return Invoked._make((*row[:4], bool(row[4]), *row[5:])) if row else None


def count_response(
    connection: sqlite3.Connection, invocation: int, bot_id: str, now: float, options: Options
) -> bool:
    """Count a response to an invocation. Return False if it comes too late or is one too many."""
    return bool(
        connection.execute(
            "UPDATE bots_invocations SET answers = answers + 1"
            " WHERE message_id = ? AND bot_id = ? AND at > ? AND answers < ? RETURNING 1",
            (invocation, bot_id, now - options.answer_seconds, options.answers),
        ).fetchall()
    )


def too_late(invocation: int, options: Options) -> RelayError:
    """Return the error for a response to an invocation that does not exist, or can no longer be answered."""
    return RelayError(
        ErrorCode.NOT_FOUND,
        f"there is no invocation {invocation} of yours to answer: it may be answered for"
        f" {options.answer_seconds:g} s, {options.answers} times at most",
    )
