"""What comes after the fact: commands in text are carried to their bots, and invokers are told of silence.

A message of text that begins with a command stays what it is. It is noted in its own transaction and carried over
by a task, so that neither a crash nor a slow bot loses or doubles it; what comes of it costs the message nothing.
"""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import trio

from relay.plugin import Entry, ErrorCode, RelayError, Server, TokenBuckets, erase_messages

from . import registry
from .invoking import Invocation, depth_of, look, pace, shape
from .options import Options
from .payloads import LONGEST
from .registry import Command

TEXTS = frozenset({"chat_message", "group_message"})
AT_ONCE = 100
NOTICES = 20
"""So many notices a user gets at once, and one a second after."""

LONGEST_WAIT = 3600.0
"""The clock of the wall may be set; so it is looked at again after so many seconds."""

_BEGINS = '"content":"/'
_SPOKEN = re.compile(
    r"/(?P<name>[a-z][a-z0-9_-]{0,31})(?:@(?P<bot>[a-z0-9_][a-z0-9_.@+-]{0,63}))?(?:\s+(?P<text>.*))?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_PASSING = (ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED, ErrorCode.INTERNAL)


class Spoken(NamedTuple):
    """A message of text that begins with a command, and waits to be carried to its bot."""

    message_id: int
    sender_id: str
    channel_id: int
    content: str


def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry], options: Options) -> None:
    """Note messages that begin with a command which some bot has, or that a bot is addressed with."""
    for entry in entries:
        if _BEGINS in entry.payload and entry.seq is not None:
            content = msgspec.json.decode(entry.payload).get("content", "")
            said = _SPOKEN.fullmatch(content)
            if said is not None and _concerns_bots(connection, entry.sender_id, said, options):
                row = (entry.message_id, entry.sender_id, entry.channel_id, content)
                connection.execute("INSERT INTO bots_spoken VALUES (?, ?, ?, ?)", row)
                server.wake()


def forget(server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Forget what messages said that are gone, or say something else now: also what was carried to bots."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(f"DELETE FROM bots_spoken WHERE message_id IN ({marks})", tuple(message_ids))
    carried = connection.execute(
        f"SELECT message_id FROM bots_invocations WHERE about IN ({marks})", tuple(message_ids)
    ).fetchall()
    if carried:
        erase_messages(connection, [row[0] for row in carried], server.now())


def _concerns_bots(connection: sqlite3.Connection, sender_id: str, said: re.Match[str], options: Options) -> bool:
    if not options.bots_invoke and registry.is_bot(connection, sender_id):
        return False
    if said["bot"] is not None:
        return registry.find(connection, said["bot"]) is not None
    return bool(registry.commands(connection, name=said["name"].lower()))


async def attend(server: Server, options: Options) -> None:
    """Carry commands to their bots and tell invokers of silence, for ever."""
    while True:
        if await carry(server, options):
            await trio.sleep(1.0)
            continue
        await server.woken(min(await remind(server, options), LONGEST_WAIT))


async def carry(server: Server, options: Options) -> bool:
    """Make invocations of what was spoken; tell whether some of it is to be tried again soon."""
    rows = await server.read(
        lambda connection: connection.execute(
            "SELECT message_id, sender_id, channel_id, content FROM bots_spoken ORDER BY message_id LIMIT ?",
            (AT_ONCE,),
        ).fetchall()
    )
    for row in rows:
        try:
            await _carry_one(server, Spoken(*row), options)
        except RelayError as refused:
            if refused.code in _PASSING:
                return True
            await _give_up(server, Spoken(*row), str(refused))
    return len(rows) == AT_ONCE


async def _carry_one(server: Server, spoken: Spoken, options: Options) -> None:
    said = _SPOKEN.fullmatch(spoken.content)
    assert said is not None  # noqa: S101 - it was when it was noted
    name, bot_id, text = said["name"].lower(), said["bot"], (said["text"] or "").strip()

    def find(connection: sqlite3.Connection) -> tuple[Command, str, int]:
        place = connection.execute("SELECT address FROM channels WHERE channel_id = ?", (spoken.channel_id,))
        command = look(connection, spoken.sender_id, name, bot_id, spoken.channel_id, options)
        return command, place.fetchone()[0], depth_of(connection, spoken.sender_id, spoken.message_id)

    if len(text) > LONGEST:
        await _give_up(server, spoken, f"what follows a command has at most {LONGEST} characters")
        return
    try:
        command, address, depth = await server.read(find)
        pace(server, options).take(spoken.sender_id)
    except RelayError as refused:  # here and not by `carry`: who invokes too much is to hold nobody else up
        await _give_up(server, spoken, str(refused))
        return
    place = await server.services.channels.at(address)
    if place is None:  # a group that is deleted
        await _drop(server, spoken)
        return
    invocation = Invocation(command, text, place, spoken.message_id, depth)
    await server.post(
        spoken.sender_id,
        "slash_command",
        {"command": name},
        await server.services.channels.own(command.bot_id),
        shape=lambda draft: shape(draft, invocation, options),
    )


async def _give_up(server: Server, spoken: Spoken, why: str) -> None:
    """Leave a message the text that it is, and tell its sender why it invoked nothing."""
    await _drop(server, spoken)
    server.count("commands", "refused")
    command = spoken.content.split(maxsplit=1)[0][1:101]
    notice = {"reason": "refused", "message": why, "command": command, "about": spoken.message_id}
    await tell(server, spoken.sender_id, spoken.sender_id, notice)


async def _drop(server: Server, spoken: Spoken) -> None:
    await server.write(
        lambda connection: connection.execute("DELETE FROM bots_spoken WHERE message_id = ?", (spoken.message_id,))
    )


async def remind(server: Server, options: Options) -> float:
    """Tell the invokers of what has no answer yet, forget what has none any more; return when to look again."""
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
        await tell(server, sender_id, bot_id, notice | ({} if about is None else {"about": about}))
    oldest = await server.read(
        lambda connection: connection.execute(
            "SELECT min(at) FROM bots_invocations WHERE answers = 0 AND told = 0"
        ).fetchone()[0]
    )
    return LONGEST_WAIT if oldest is None else float(oldest) + options.patience_seconds - server.now()


async def tell(server: Server, user_id: str, sender_id: str, notice: dict[str, Any]) -> None:
    """Tell a user's devices that are here what became of a command; who causes very many is not told of each."""
    pace = server.memory.setdefault("notices", TokenBuckets(1.0, NOTICES, "notices", trio.current_time))
    if pace.wait_for(user_id):
        return
    own = server.services.channels.own_devices(user_id)
    try:
        await server.post(sender_id, "slash_notice", notice, own)
    except RelayError as refused:  # too many at once; it matters now or never
        server.log.warning("%s is not told that %s: %s", user_id, notice["message"], refused)
