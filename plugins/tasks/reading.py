"""Tasks as they stand: by REST, as far as the caller may see them, and on the command line."""

import sqlite3
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from relay.http import Answer, Blueprint, Caller, Limit, Position, Query, endpoint, page_of
from relay.plugin import MAX_INTEGER, ErrorCode, Name, Server, read_views

from . import table

blueprint = Blueprint("tasks", __name__)
State = Literal["open", "done", "all"]
WHERE = {"open": table.OPEN, "done": table.DONE, "all": ""}


class TaskAnswer(msgspec.Struct):
    """A task and how it stands; times are Unix seconds."""

    message_id: int
    author_id: str
    title: str
    assignee: str | None
    due: float | None
    created_at: float
    done_at: float | None
    done_by: str | None


class TasksAnswer(Answer, frozen=True):
    """A page of tasks, the newest first."""

    tasks: list[TaskAnswer]
    has_more: bool
    next_cursor: int | None


class TasksQuery(Query, frozen=True):
    """The conversation, by the user or group at its other end; which tasks; the place to continue from."""

    target: Annotated[Name, Meta(description="a user's or a group's id")]
    state: Annotated[State, Meta(description="open, done or all")] = "open"
    cursor: Position = None
    limit: Limit = 50


def shown(row: tuple[Any, ...]) -> TaskAnswer:
    """Return a task of its row."""
    message_id, _address, author_id, payload, at, done, done_at, done_by = row
    said: dict[str, Any] = msgspec.json.decode(payload)
    state = (done_at, done_by) if done else (None, None)
    return TaskAnswer(message_id, author_id, said["title"], said.get("assignee"), said.get("due"), at, *state)


@blueprint.get("/api/tasks")
@endpoint(query=TasksQuery, answers={200: TasksAnswer}, refusals=[ErrorCode.NOT_FOUND])
async def tasks(server: Server, caller: Caller, query: TasksQuery) -> TasksAnswer:
    """Answer with the tasks of a conversation that the caller may see."""
    conversation = await server.conversations.find(caller.user_id, query.target)
    before = MAX_INTEGER if query.cursor is None else query.cursor

    def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        views = read_views(connection, caller.user_id)
        visible, bounds = next(view for view in views if view.channel_id == conversation.channel_id).condition()
        where = f" AND t.channel_id = ? AND t.message_id < ?{WHERE[query.state]}{visible}"
        return table.rows(connection, where, [conversation.channel_id, before, *bounds], query.limit + 1)

    page, has_more, next_cursor = page_of(await server.read(read), query.limit, lambda row: int(row[0]))
    return TasksAnswer(tasks=[shown(row) for row in page], has_more=has_more, next_cursor=next_cursor)


async def list_tasks(server: Server, *, all: bool = False) -> list[dict[str, Any]]:
    """List the open tasks, newest first.

    With --all those too that are done; a thousand at most.
    """
    where = WHERE["all" if all else "open"]
    found = await server.read(lambda connection: table.rows(connection, where, [], 1000))
    return [
        {
            "task": one.message_id,
            "conversation": row[1],
            "author": one.author_id,
            "title": one.title,
            "assignee": one.assignee or "",
            "due": one.due or "",
            "done_by": one.done_by or "",
        }
        for row in found
        for one in [shown(row)]
    ]
