"""Actions: answers to the buttons, selects and forms in messages, brought to their authors once.

A message has actions by the field `actions` of its payload. An answer is an `action`, the state an `action_state`.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from relay.plugin import (
    BackgroundTask,
    Edited,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    PortableTable,
    Server,
    SessionHook,
    hookimpl,
    survive_full_disk,
)

from . import state
from .answering import handle_answer, handle_close
from .options import Options
from .payloads import MOST_BYTES, ActionAnswered, ActionClose, ActionPayload, ActionState
from .telling import keep


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.actions]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables."""
    return [Migration(name="actions", sql=state.SCHEMA)]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry over which messages' actions were answered, and by whom."""
    messages = ("message_id",)
    return [
        PortableTable(name="actions_messages", messages=messages),
        PortableTable(name="actions_answers", messages=("answer_id", *messages)),
    ]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add the types: answers go to the author's own channel, the state and one's own answer to the message's."""

    def about_message(name: str, payload: type[msgspec.Struct], **more: Any) -> MessageType:
        return MessageType(
            name=name,
            payload=payload,
            kind=Kind.LATEST,
            priority=40,
            key=lambda said: str(said.message_id),
            about=lambda said: int(said.message_id),
            **more,
        )

    return [
        MessageType(
            name="action",
            payload=ActionPayload,
            kind=Kind.STREAM,
            targets=frozenset(),
            priority=20,
            max_bytes=MOST_BYTES,
            deletable=False,
            handle=partial(handle_answer, options=options),
        ),
        about_message("action_close", ActionClose, targets=frozenset(), handle=handle_close),
        about_message("action_state", ActionState, from_clients=False),
        about_message("action_answer", ActionAnswered, from_clients=False),
    ]


def edited(server: Server, connection: sqlite3.Connection, message: Edited) -> None:
    """Begin a new round where an edit gave a message other actions."""
    known = state.find(connection, message.message_id)
    if known is None:
        return
    actions = state.actions_in(message.payload)
    now = "" if actions is None else state.encoded(actions)
    if now != known.actions:
        state.save(connection, state.anew(known, actions=now))
        server.wake()


def erased(server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Have the answers to erased messages erased as well, by the task."""
    if state.lose(connection, message_ids):
        server.wake()


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Watch for messages that get other actions, and for those that are erased."""
    return [MessageHook(edited=edited, erased=erased)]


def left(server: Server, connection: sqlite3.Connection, user_id: str) -> None:
    """Forget the answers of a user who is erased."""
    state.forget_user(connection, user_id)
    server.wake()


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Watch for users who are erased."""
    return [SessionHook(left=left)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Add the task that tells what became of actions."""

    async def run(server: Server) -> None:
        await survive_full_disk(server, partial(keep, server, options.state_seconds))

    return [BackgroundTask(name="actions", run=run)]
