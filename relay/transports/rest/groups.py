"""Groups: creating, renaming and deleting them, and their members."""

from __future__ import annotations

from typing import Any, Final, Literal

from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, DisplayName, Limit, Query, Word
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import Role
from relay.services.groups import describe
from relay.storage.conversations import groups_of

blueprint = Blueprint("groups", __name__)


class GroupsQuery(Query, frozen=True):
    """The page of the caller's groups."""

    cursor: Word = None
    limit: Limit = 50


class NewGroup(Body, frozen=True):
    """A new group; without an id the server chooses one."""

    name: DisplayName
    members: list[Name] = []
    group_id: Name | None = None
    history: Literal["join", "start"] = "join"


class GroupChange(Body, frozen=True):
    """Changes of a group."""

    name: DisplayName


class Membership(Body, frozen=True):
    """The role of a member; without it a member keeps their role, and a newcomer becomes a plain member."""

    role: Role | None = None


class Member(Answer, frozen=True):
    """A member of a group."""

    user_id: Name
    role: Role


class Group(Answer, frozen=True):
    """A group as its members see it; `history` is what newcomers see."""

    group_id: Name
    name: str
    history: Literal["join", "start"]
    members: list[Member]


class MyGroup(Answer, frozen=True):
    """A group that the caller is in, with their own role."""

    group_id: Name
    name: str
    role: Role


class MyGroups(Answer, frozen=True):
    """A page of groups."""

    groups: list[MyGroup]
    has_more: bool
    next_cursor: Name | None


_CHANGES: Final = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED)
_MEMBERS_PER_MESSAGE: Final = 50
"""A new group counts as one message for each so many members: its first event lists them all to each of them."""


@blueprint.get("/api/groups")
@endpoint(query=GroupsQuery, answers={200: MyGroups})
async def mine(engine: Engine, caller: Caller, query: GroupsQuery) -> MyGroups:
    """Answer with the groups that the caller is in, by their ids."""
    rows = await engine.runner.read(
        lambda connection: groups_of(connection, caller.user_id, query.cursor or "", query.limit + 1)
    )
    found = [MyGroup(group_id=row[0], name=row[1], role=Role(row[2])) for row in rows]
    page, has_more, next_cursor = page_of(found, query.limit, lambda group: group.group_id)
    return MyGroups(groups=page, has_more=has_more, next_cursor=next_cursor)


@blueprint.post("/api/groups")
@endpoint(
    body=NewGroup,
    answers={201: Group},
    refusals=_CHANGES,
    answer_headers={201: {"Location": "the group's path"}},
)
async def create(engine: Engine, caller: Caller, body: NewGroup) -> Response:
    """Create a group that the caller owns."""
    _count(engine, caller, 1 + len(body.members) // _MEMBERS_PER_MESSAGE)
    group = await engine.groups.create(
        caller.user_id, body.name, list(body.members), body.group_id, body.history, by_user=True
    )
    answer = describe(group)
    return reply(answer, 201, {"Location": f"/api/groups/{answer['group_id']}"})


@blueprint.get("/api/groups/<group_id>")
@endpoint(answers={200: Group})
async def get(engine: Engine, caller: Caller, group_id: str) -> dict[str, Any]:
    """Answer with a group's name and members, to a member."""
    return describe(await engine.groups.get(caller.user_id, group_id))


@blueprint.patch("/api/groups/<group_id>")
@endpoint(body=GroupChange, answers={200: Group}, refusals=_CHANGES)
async def rename(engine: Engine, caller: Caller, body: GroupChange, group_id: str) -> dict[str, Any]:
    """Change a group's name."""
    _count(engine, caller)
    return describe(await engine.groups.rename(caller.user_id, group_id, body.name))


@blueprint.delete("/api/groups/<group_id>")
@endpoint(answers={204: None}, refusals=_CHANGES)
async def delete(engine: Engine, caller: Caller, group_id: str) -> None:
    """Delete a group."""
    _count(engine, caller)
    await engine.groups.delete(caller.user_id, group_id)


@blueprint.put("/api/groups/<group_id>/members/<user_id>")
@endpoint(body=Membership, optional_body=True, answers={200: Group}, refusals=_CHANGES)
async def put_member(
    engine: Engine, caller: Caller, body: Membership, group_id: str, user_id: str
) -> dict[str, Any]:
    """Add a member, or change one's role."""
    _count(engine, caller)
    role = body.role
    if role is None:
        group = await engine.groups.get(caller.user_id, group_id)
        role = group.members.get(user_id, Role.MEMBER)
    return describe(await engine.groups.put_member(caller.user_id, group_id, user_id, role, by_user=True))


@blueprint.delete("/api/groups/<group_id>/members/<user_id>")
@endpoint(answers={204: None}, refusals=_CHANGES)
async def remove_member(engine: Engine, caller: Caller, group_id: str, user_id: str) -> None:
    """Remove a member, or leave."""
    _count(engine, caller)
    await engine.groups.remove_member(caller.user_id, group_id, user_id, by_user=True)


def _count(engine: Engine, caller: Caller, messages: int = 1) -> None:
    """Count a change towards the caller's messages: each is one, stored and sent to every member.

    Raises:
        RelayError: `rate_limited`.
    """
    engine.rates.messages.take(caller.user_id, messages)
