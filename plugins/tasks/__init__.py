"""Tasks: `task`, and `task_done`, which any member says of it; `/api/tasks`, `relay tasks list`."""

import sqlite3
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from relay.plugin import (
    Command,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    Mentions,
    MessageHook,
    MessageType,
    Migration,
    Name,
    PageExtension,
    Payload,
    PortableTable,
    RelayError,
    Routes,
    Server,
    Unchanged,
    check_shown,
    find_message,
    hookimpl,
    note_mentions,
)

from . import table
from .reading import blueprint, list_tasks
from .table import SCHEMA


class TaskPayload(Payload):
    """Something to be done, by whom and until when. The server sets `mentions`: the assignee is told."""

    title: Annotated[str, Meta(min_length=1, max_length=300, description="what is to be done")]
    assignee: Annotated[Name | None, Meta(description="the member who is to do it")] = None
    due: Annotated[Annotated[float, Meta(ge=0, le=2**53)] | None, Meta(description="until when, Unix seconds")] = (
        None
    )
    mentions: Mentions = []


class TaskDone(Payload):
    """The state of a task. Everybody in the conversation may say it; what was said last counts."""

    task: Integer
    done: bool


def prepare_task(draft: Draft) -> None:
    """Add the task in the transaction that stores its message."""
    said: TaskPayload = draft.payload
    said.title = check_shown(said.title, "title")
    if said.assignee is not None and said.assignee not in draft.conversation.members:
        text = f"assignee names {said.assignee!r}, who is not in this conversation"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    said.mentions = [said.assignee] if said.assignee not in (None, draft.sender.user_id) else []

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None and entry.seq is not None  # noqa: S101, PT018 - it is stored
        table.add(connection, entry.message_id, entry.channel_id, entry.seq)
        note_mentions(connection, entry.channel_id, entry.seq, said.mentions)

    draft.after = after


def prepare_done(draft: Draft) -> None:
    """Refuse what is about no task, and pass over what says of one how it is already."""
    said: TaskDone = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, said.task, "to be done")
        if message.type != "task":
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"message {said.task} is a {message.type} and no task")
        if table.is_done(connection, said.task) == said.done:
            raise Unchanged

    draft.apply = apply


def erased(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete the tasks whose messages were deleted."""
    table.forget(connection, message_ids)


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the table of tasks."""
    return [Migration(name="tasks", sql=SCHEMA)]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry the tasks over."""
    return [PortableTable(name="tasks_tasks", messages=("message_id",), channel="channel_id", seqs=("seq",))]


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add the task, and whether it is done: a latest value about it, which comes with it and is erased with it."""
    return [
        MessageType(
            name="task",
            payload=TaskPayload,
            kind=Kind.STREAM,
            unread=True,
            search_text=lambda task: str(task.title),
            prepare=prepare_task,
        ),
        MessageType(
            name="task_done",
            payload=TaskDone,
            kind=Kind.LATEST,
            priority=40,
            key=lambda said: str(said.task),
            about=lambda said: int(said.task),
            prepare=prepare_done,
        ),
    ]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Watch for deleted tasks."""
    return [MessageHook(erased=erased)]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/tasks`."""
    return [Routes(blueprint=blueprint)]


@hookimpl
def relay_commands() -> list[Command]:
    """Add `relay tasks list`."""
    return [Command(name="tasks list", run=list_tasks)]


@hookimpl
def relay_page() -> PageExtension:
    """Draw tasks in relay's own page."""
    return PageExtension(folder="page", module="tasks.js", styles=["tasks.css"])
