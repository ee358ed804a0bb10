"""Invocations of plugins' commands: kept until they are answered, run by a task, and answered to the invoker.

Each is a `slash_command` in the invoker's own channel. A crash neither loses one nor answers it twice; the command
itself may run again then, with the same `invocation.id`.
"""

import sqlite3
from typing import NamedTuple

import trio

from relay.plugin import (
    Conversation,
    Draft,
    Entry,
    ErrorCode,
    RelayError,
    Server,
    SlashAnswer,
    SlashInvocation,
    Unchanged,
    check_text,
)

from .notices import send_notice

SCHEMA = """
CREATE TABLE bots_plugin_invocations (
    message_id INTEGER PRIMARY KEY, command TEXT NOT NULL, text TEXT NOT NULL, sender_id TEXT NOT NULL,
    address TEXT NOT NULL, about INTEGER, at REAL NOT NULL
);
"""

AT_ONCE = 10
"""Commands that run at the same time."""

RUNNING = "plugin_commands_running"


class Waiting(NamedTuple):
    """An invocation that has no answer yet."""

    message_id: int
    command: str
    text: str
    sender_id: str
    address: str
    about: int | None
    at: float
    thread: int | None


def add(connection: sqlite3.Connection, waiting: Waiting) -> None:
    """Keep an invocation until it is answered; called in its message's transaction."""
    connection.execute("INSERT INTO bots_plugin_invocations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", waiting)


def forget(connection: sqlite3.Connection, message_id: int) -> bool:
    """Forget an invocation that is answered; return whether it was still there."""
    gone = "DELETE FROM bots_plugin_invocations WHERE message_id = ? RETURNING 1"
    return bool(connection.execute(gone, (message_id,)).fetchall())


async def begin(server: Server, nursery: trio.Nursery) -> bool:
    """Begin to run the invocations that wait; return whether more wait than can run at once."""
    running: set[int] = server.memory.setdefault(RUNNING, set())
    rows = await server.read(
        lambda connection: connection.execute(
            "SELECT message_id, command, text, sender_id, address, about, at, thread FROM bots_plugin_invocations"
            " ORDER BY message_id LIMIT ?",
            (AT_ONCE * 2,),
        ).fetchall()
    )
    for row in rows:
        waiting = Waiting(*row)
        if waiting.message_id not in running:
            if len(running) == AT_ONCE:
                return True
            running.add(waiting.message_id)
            nursery.start_soon(_run, server, waiting)
    return False


async def _run(server: Server, waiting: Waiting) -> None:
    """Run one command and send its answer; try again in a second where the server is too busy for it."""
    try:
        while True:
            try:
                await _answer(server, waiting)
                return
            except RelayError as refused:
                if not refused.retry:
                    await _refuse(server, waiting, str(refused))
                    return
            await trio.sleep(1.0)
    finally:
        server.memory[RUNNING].discard(waiting.message_id)
        server.wake()


async def _answer(server: Server, waiting: Waiting) -> None:
    place = await server.conversations.at(waiting.address)
    if place is None or waiting.sender_id not in place.members:
        raise RelayError(ErrorCode.NOT_FOUND, f"you are no longer where you invoked /{waiting.command}")
    answer = await server.slash_commands.run(
        SlashInvocation(
            waiting.message_id, waiting.command, waiting.text, waiting.sender_id, place,
            place.target_id(waiting.sender_id), waiting.about, waiting.at, waiting.thread,
        )
    )  # fmt: skip
    if answer is None:
        await server.write(lambda connection: forget(connection, waiting.message_id))
    else:
        await _post(server, waiting, place, answer)


async def _post(server: Server, waiting: Waiting, place: Conversation, answer: SlashAnswer) -> None:
    """Send an answer in its invoker's name: to them alone, or to where they invoked the command."""

    def shape(draft: Draft) -> None:
        check_text(draft)
        checked = draft.apply

        def apply(connection: sqlite3.Connection, entry: Entry) -> str | None:
            if not answer.private and entry.sender_id not in place.members:
                raise RelayError(ErrorCode.NOT_FOUND, "there is no such conversation of yours any more")
            if not forget(connection, waiting.message_id):
                raise Unchanged
            return None if checked is None else checked(connection, entry)

        draft.apply = apply

    offered = server.slash_commands.find(waiting.command)
    payload = {
        "invocation": waiting.message_id,
        "content": answer.content,
        "private": answer.private,
        "command": waiting.command,
        "invoked_by": waiting.sender_id,
        "plugin": None if offered is None else offered.plugin,
        "reply_to": None if answer.private else waiting.about,
        "thread": None if answer.private else waiting.thread,
    }
    to = await server.conversations.own(waiting.sender_id) if answer.private else place
    await server.post(waiting.sender_id, "slash_response", payload, to, shape=shape)


async def _refuse(server: Server, waiting: Waiting, why: str) -> None:
    """Forget an invocation, and tell its invoker why there is no answer."""
    await server.write(lambda connection: forget(connection, waiting.message_id))
    server.count("commands", "refused")
    notice = {"reason": "refused", "message": why, "command": waiting.command, "invocation": waiting.message_id}
    about = {} if waiting.about is None else {"about": waiting.about}
    await send_notice(server, waiting.sender_id, waiting.sender_id, notice | about)
