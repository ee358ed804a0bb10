"""Slash commands in text: delivered to their bots by a task, which also tells invokers when no answer comes.

A text that begins with a command stays an ordinary message. It is noted in its own transaction, and the task makes
an invocation of it later: a crash neither loses nor doubles it, and the message itself waits for nothing.
"""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import trio

from relay.plugin import Entry, RelayError, Server, erase_messages

from . import plugin_commands, registry
from .invocations import Invocation, find_command, invocation_depth, rate_limits, shape_draft
from .notices import send_notice
from .options import Options
from .payloads import LONGEST
from .registry import Command

TEXTS = frozenset({"chat_message", "group_message"})
AT_ONCE = 100
LONGEST_WAIT = 3600.0
"""Seconds after which times are compared again, as the wall clock may have been set."""

_STARTS_WITH_SLASH = '"content":"/'
_COMMAND = re.compile(
    r"/(?P<name>[a-z][a-z0-9_-]{0,31})(?:@(?P<bot>[a-z0-9_][a-z0-9_.@+-]{0,63}))?(?:\s+(?P<text>.*))?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)


class TextCommand(NamedTuple):
    """A message of text that begins with a command, and waits to become an invocation."""

    message_id: int
    sender_id: str
    channel_id: int
    content: str


def note(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry], options: Options) -> None:
    """Note messages that begin with a command, or that name a bot; called inside their transaction."""
    for entry in entries:
        # Most texts fail this test, and cost no decoding. Payloads are encoded without spaces.
        if _STARTS_WITH_SLASH in entry.payload and entry.seq is not None and not entry.past:
            content = msgspec.json.decode(entry.payload).get("content", "")
            found = _COMMAND.fullmatch(content)
            if found is not None and _invokes(server, connection, entry.sender_id, found, options):
                row = (entry.message_id, entry.sender_id, entry.channel_id, content)
                connection.execute("INSERT INTO bots_spoken VALUES (?, ?, ?, ?)", row)
                server.wake()


def forget(server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Forget the commands of messages that were edited or erased; invocations made of them are erased."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(f"DELETE FROM bots_spoken WHERE message_id IN ({marks})", tuple(message_ids))
    connection.execute(f"DELETE FROM bots_plugin_invocations WHERE about IN ({marks})", tuple(message_ids))
    invocations = connection.execute(
        f"SELECT message_id FROM bots_invocations WHERE about IN ({marks})", tuple(message_ids)
    ).fetchall()
    if invocations:
        erase_messages(connection, [row[0] for row in invocations], server.now())


def _invokes(
    server: Server, connection: sqlite3.Connection, sender_id: str, found: re.Match[str], options: Options
) -> bool:
    if not options.bots_invoke and registry.is_bot(connection, sender_id):
        return False
    if found["bot"] is not None:
        return registry.find(connection, found["bot"]) is not None
    name = found["name"].lower()
    return server.slash_commands.find(name) is not None or bool(registry.commands(connection, name=name))


async def run(server: Server, options: Options) -> None:
    """Deliver commands to bots and plugins, and notices to invokers, for ever: the plugin's background task."""
    server.memory.pop(plugin_commands.RUNNING, None)  # what an earlier run of this task began has ended with it
    async with trio.open_nursery() as nursery:
        while True:
            await plugin_commands.begin(server, nursery)
            if await deliver(server, options):
                await trio.sleep(1.0)
                continue
            await server.woken(min(await notify_unanswered(server, options), LONGEST_WAIT))


async def deliver(server: Server, options: Options) -> bool:
    """Make invocations of the commands that wait; return whether some are left for another try soon."""
    rows = await server.read(
        lambda connection: connection.execute(
            "SELECT message_id, sender_id, channel_id, content FROM bots_spoken ORDER BY message_id LIMIT ?",
            (AT_ONCE,),
        ).fetchall()
    )
    for row in rows:
        try:
            await _deliver_one(server, TextCommand(*row), options)
        except RelayError as refused:
            if refused.retry:
                return True
            await _refuse(server, TextCommand(*row), str(refused))
    return len(rows) == AT_ONCE


async def _deliver_one(server: Server, waiting: TextCommand, options: Options) -> None:
    found = _COMMAND.fullmatch(waiting.content)
    assert found is not None  # noqa: S101 - it matched when it was noted
    name, bot_id, text = found["name"].lower(), found["bot"], (found["text"] or "").strip()

    def find(connection: sqlite3.Connection) -> tuple[Command, str, int, int | None]:
        place = connection.execute("SELECT address FROM channels WHERE channel_id = ?", (waiting.channel_id,))
        command = find_command(server, connection, waiting.sender_id, name, bot_id, waiting.channel_id, options)
        depth = invocation_depth(connection, waiting.sender_id, waiting.message_id)
        return command, place.fetchone()[0], depth, _thread_of(connection, waiting.message_id)

    if len(text) > LONGEST:
        await _refuse(server, waiting, f"what follows a command has at most {LONGEST} characters")
        return
    try:
        command, address, depth, thread = await server.read(find)
        rate_limits(server, options).take(waiting.sender_id)
    except RelayError as refused:  # not left to `deliver`, where a user over the limit would hold up all others
        await _refuse(server, waiting, str(refused))
        return
    place = await server.conversations.at(address)
    if place is None:  # a group that is deleted
        await _forget_one(server, waiting)
        return
    invocation = Invocation(command, text, place, waiting.message_id, depth, thread)
    await server.post(
        waiting.sender_id,
        "slash_command",
        {"command": name},
        await server.conversations.own(command.bot_id or waiting.sender_id),
        shape=lambda draft: shape_draft(draft, invocation, options),
    )


def _thread_of(connection: sqlite3.Connection, message_id: int) -> int | None:
    """Return the root of the thread that a text is in; None for one that is in none, or was erased."""
    row = connection.execute("SELECT payload FROM log WHERE message_id = ?", (message_id,)).fetchone()
    thread: int | None = msgspec.json.decode(row[0]).get("thread") if row and row[0] else None
    return thread


async def _refuse(server: Server, waiting: TextCommand, why: str) -> None:
    """Make no invocation of a message, and tell its sender why."""
    await _forget_one(server, waiting)
    server.count("commands", "refused")
    command = waiting.content.split(maxsplit=1)[0][1:101]
    notice = {"reason": "refused", "message": why, "command": command, "about": waiting.message_id}
    await send_notice(server, waiting.sender_id, waiting.sender_id, notice)


async def _forget_one(server: Server, waiting: TextCommand) -> None:
    await server.write(
        lambda connection: connection.execute(
            "DELETE FROM bots_spoken WHERE message_id = ?", (waiting.message_id,)
        )
    )


async def notify_unanswered(server: Server, options: Options) -> float:
    """Notify the invokers of what has no answer yet, and forget invocations that are too old to be answered.

    Returns:
        The seconds until there is something to do again.
    """
    now = server.now()

    def take(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        connection.execute("DELETE FROM bots_invocations WHERE at <= ?", (now - options.answer_seconds,))
        return connection.execute(
            "UPDATE bots_invocations SET told = 1 WHERE answers = 0 AND told = 0 AND at <= ?"
            " RETURNING message_id, bot_id, command, sender_id, about",
            (now - options.patience_seconds,),
        ).fetchall()

    for message_id, bot_id, command, sender_id, about in await server.write(take):
        server.count("commands", "no_answer")
        text = f"{bot_id} has not answered yet"
        notice = {
            "reason": "no_answer",
            "message": text,
            "command": command,
            "bot": bot_id,
            "invocation": message_id,
        }
        await send_notice(server, sender_id, bot_id, notice | ({} if about is None else {"about": about}))
    oldest = await server.read(
        lambda connection: connection.execute(
            "SELECT min(at) FROM bots_invocations WHERE answers = 0 AND told = 0"
        ).fetchone()[0]
    )
    return LONGEST_WAIT if oldest is None else float(oldest) + options.patience_seconds - server.now()
