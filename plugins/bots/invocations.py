"""Invocations of commands. Each is a `slash_command` in the bot's own channel.

So the bot gets it like any other message: live, or by its cursor when it was away.
"""

import sqlite3
from typing import NamedTuple

import msgspec
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
    find_root,
    refuse_later,
)

from . import plugin_commands, registry
from .options import Options
from .payloads import Place, SlashCommand
from .plugin_commands import Waiting
from .registry import Command


class Invocation(NamedTuple):
    """A command that a user invoked, on its way to its bot.

    Attributes:
        about: the message that it was in.
        thread: the root of the thread that it was invoked in.
    """

    command: Command
    text: str
    place: Conversation
    about: int | None = None
    depth: int = 0
    thread: int | None = None


async def handle(draft: Draft, options: Options) -> None:
    """Address a `slash_command` to the bot or the plugin that is meant, or have it refused.

    It is refused inside its transaction, so that a retry of one that was stored gets its ack, even if the bot is
    gone since then.
    """
    said: SlashCommand = draft.payload
    if said.place is not None or said.about is not None or said.private:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "place, about and private are the server's to say")
    name, _, bot_id = said.command.partition("@")
    user_id, place = draft.sender.user_id, draft.conversation
    try:
        found, depth = await draft.server.read(
            lambda connection: (
                find_command(draft.server, connection, user_id, name, bot_id or None, place.channel_id, options),
                invocation_depth(connection, user_id),
            )
        )
    except RelayError as refused:
        refuse_later(draft, refused)
        return
    rate_limits(draft.server, options).take(user_id)
    draft.conversation = await draft.server.conversations.own(found.bot_id or user_id)
    draft.target_id = ""
    draft.answer = {"bot": found.bot_id} if found.plugin is None else {"plugin": found.plugin}
    shape_draft(draft, Invocation(found, said.text, place, depth=depth, thread=said.thread), options)


def find_command(
    server: Server,
    connection: sqlite3.Connection,
    user_id: str,
    name: str,
    bot_id: str | None,
    channel_id: int,
    options: Options,
) -> Command:
    """Return the command that a user means in a conversation.

    Raises:
        RelayError: `forbidden` for a bot that may invoke none; otherwise see `registry.resolve`.
    """
    if not options.bots_invoke and registry.is_bot(connection, user_id):
        raise RelayError(ErrorCode.FORBIDDEN, "bots invoke no commands here; [plugins.bots] bots_invoke lets them")
    return registry.resolve(server, connection, name, bot_id, channel_id)


def invocation_depth(connection: sqlite3.Connection, sender_id: str, about: int | None = None) -> int:
    """Return the `meta.depth` of an invocation. A bot's is one more than that of the newest one it got itself.

    Args:
        about: the message that the command was in.

    Raises:
        RelayError: `forbidden` when programs have answered each other too often in a row.
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


def shape_draft(draft: Draft, invocation: Invocation, options: Options) -> None:
    """Complete the draft of an invocation, and register the invocation until it is answered or too old."""
    command, place, user_id = invocation.command, invocation.place, draft.sender.user_id
    private = command.private or (place.kind is ConversationKind.USER and not command.here)
    draft.payload = SlashCommand(
        command=command.name,
        text=invocation.text,
        thread=invocation.thread,
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
        if command.plugin is None and registry.find(connection, command.bot_id) is None:
            raise RelayError(ErrorCode.NOT_FOUND, f"{command.bot_id} is no bot any more")
        if invocation.thread is not None:
            there = msgspec.structs.replace(entry, channel_id=place.channel_id)  # it is stored elsewhere
            find_root(connection, there, invocation.thread)

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None  # noqa: S101 - it is stored
        where = (entry.sender_id, place.address, invocation.about)
        if command.plugin is not None:
            waiting = Waiting(
                entry.message_id, command.name, invocation.text, *where, entry.timestamp, invocation.thread
            )
            plugin_commands.add(connection, waiting)
        else:
            _register(connection, entry, command, where, private, invocation.thread)
        if invocation.about is not None:
            connection.execute("DELETE FROM bots_spoken WHERE message_id = ?", (invocation.about,))
        draft.server.wake()

    draft.apply, draft.after = apply, after


def _register(
    connection: sqlite3.Connection,
    entry: Entry,
    command: Command,
    where: tuple[str, str, int | None],
    private: bool,
    thread: int | None,
) -> None:
    """Keep an invocation of a bot's command until it is too old to be answered."""
    connection.execute(
        "INSERT INTO bots_invocations"
        " (message_id, bot_id, command, sender_id, address, about, private, at, thread)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.message_id, command.bot_id, command.name, *where, private, entry.timestamp, thread),
    )


def rate_limits(server: Server, options: Options) -> TokenBuckets:
    """Return the rate limits of invocations by user. They are kept in memory only."""
    known: TokenBuckets | None = server.memory.get("rate_limits")
    if known is None:
        most = options.invocations_per_minute
        known = server.memory["rate_limits"] = TokenBuckets(most / 60, most, "commands", trio.current_time)
    return known
