"""Invoking a command: it becomes a `slash_command` in the bot's own channel.

There the bot gets it as it gets any message: live, or by its cursor after whatever kept it away.
"""

import sqlite3
from typing import NamedTuple

import trio

from relay.plugin import (
    Conversation,
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    RelayError,
    Server,
    TokenBuckets,
    answer_depth,
)

from . import registry
from .options import Options
from .payloads import Place, SlashCommand
from .registry import Command


class Invocation(NamedTuple):
    """A command that somebody invoked, on its way to its bot; `about` is the message that it was in."""

    command: Command
    text: str
    place: Conversation
    about: int | None = None
    depth: int = 0


async def handle(draft: Draft, options: Options) -> None:
    """Send a `slash_command` on to the bot that is meant, or have it refused in its transaction.

    There, because a retry of one that was stored gets the first one's ack, whatever became of the bot since.
    """
    said: SlashCommand = draft.payload
    if said.place is not None or said.about is not None or said.private:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "place, about and private are the server's to say")
    name, _, bot_id = said.command.partition("@")
    user_id, place = draft.sender.user_id, draft.conversation
    try:
        found, depth = await draft.server.read(
            lambda connection: (
                look(connection, user_id, name, bot_id or None, place.channel_id, options),
                depth_of(connection, user_id),
            )
        )
    except RelayError as refused:
        refuse(draft, refused)
        return
    pace(draft.server, options).take(user_id)
    draft.conversation, draft.target_id = await draft.server.services.channels.own(found.bot_id), ""
    draft.answer = {"bot": found.bot_id}
    shape(draft, Invocation(found, said.text, place, depth=depth), options)


def look(
    connection: sqlite3.Connection, user_id: str, name: str, bot_id: str | None, channel_id: int, options: Options
) -> Command:
    """Return the command that a user means in a conversation.

    Raises:
        RelayError: there is none for them; see `registry.resolve`.
    """
    if not options.bots_invoke and registry.is_bot(connection, user_id):
        raise RelayError(ErrorCode.FORBIDDEN, "bots invoke no commands here; [plugins.bots] bots_invoke lets them")
    return registry.resolve(connection, name, bot_id, channel_id)


def depth_of(connection: sqlite3.Connection, sender_id: str, about: int | None = None) -> int:
    """Return the depth of an invocation: a bot's follows from the newest one that it got itself.

    Args:
        about: the message that the command was in.

    Raises:
        RelayError: `forbidden` for one too many in a row.
    """
    said = connection.execute("SELECT depth FROM log WHERE message_id = ?", (about,)).fetchone() if about else None
    depth: int = (said[0] or 0) if said else 0
    if registry.is_bot(connection, sender_id):
        newest = connection.execute(
            "SELECT l.depth FROM bots_invocations i JOIN log l USING (message_id)"
            " WHERE i.bot_id = ? ORDER BY message_id DESC LIMIT 1",
            (sender_id,),
        ).fetchone()
        depth = depth if newest is None else max(depth, answer_depth(newest[0]))
    return depth


def refuse(draft: Draft, refusal: RelayError) -> None:
    """Have a message refused in its transaction, unless it is there already: then it gets its ack again.

    Either way it does not belong where it was sent to, so that no ack of it has a `seq`.
    """

    def apply(_connection: sqlite3.Connection, _entry: Entry) -> None:
        raise refusal

    draft.conversation = draft.server.services.channels.own_devices(draft.sender.user_id)
    draft.apply = apply


def shape(draft: Draft, invocation: Invocation, options: Options) -> None:
    """Make a draft of an invocation what its bot gets, and have it kept until it is answered or too old."""
    command, place, user_id = invocation.command, invocation.place, draft.sender.user_id
    private = command.private or (place.kind is ConversationKind.USER and not command.here)
    draft.payload = SlashCommand(
        command=command.name,
        text=invocation.text,
        place=Place(
            kind="group" if place.kind is ConversationKind.GROUP else "user",
            target_id=place.target_id(user_id),
            name=place.name,
        ),
        about=invocation.about,
        private=private,
    )
    draft.expires_at = draft.server.now() + options.answer_seconds
    draft.depth = invocation.depth

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        if entry.sender_id not in place.members:
            raise RelayError(ErrorCode.NOT_FOUND, "there is no such conversation of yours any more")
        if registry.find(connection, command.bot_id) is None:
            raise RelayError(ErrorCode.NOT_FOUND, f"{command.bot_id} is no bot any more")

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        connection.execute(
            "INSERT INTO bots_invocations (message_id, bot_id, command, sender_id, address, about, private, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.message_id, command.bot_id, command.name, entry.sender_id, place.address,
                invocation.about, private, entry.timestamp,
            ),
        )  # fmt: skip
        if invocation.about is not None:
            connection.execute("DELETE FROM bots_spoken WHERE message_id = ?", (invocation.about,))
        draft.server.wake()

    draft.apply, draft.after = apply, after


def pace(server: Server, options: Options) -> TokenBuckets:
    """Return what keeps one user from invoking too much; it begins anew with the server."""
    known: TokenBuckets | None = server.memory.get("pace")
    if known is None:
        most = options.invocations_per_minute
        known = server.memory["pace"] = TokenBuckets(most / 60, most, "commands", trio.current_time)
    return known
