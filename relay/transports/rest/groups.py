"""Groups: making, naming and deleting them, and who is in them."""

from __future__ import annotations

from typing import Literal

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import Answer, Body, Limit, NoQuery, Query, Word, read_body, read_query
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import Role
from relay.services.groups import describe
from relay.storage.conversations import groups_of
from relay.transports.rest.context import nothing, reply, the_caller, the_engine
from relay.transports.rest.texts import DisplayName

blueprint = Blueprint("groups", __name__)


class GroupsQuery(Query, frozen=True):
    """Which page of the caller's groups."""

    cursor: Word = None
    limit: Limit = 50


class NewGroup(Body, frozen=True):
    """A group to be; without an id the server makes one up."""

    name: DisplayName
    members: list[Name] = []
    group_id: Name | None = None
    history: Literal["join", "start"] = "join"


class GroupChange(Body, frozen=True):
    """What can be changed of a group."""

    name: DisplayName


class Membership(Body, frozen=True):
    """What a member is to be; without a role one stays what they are, and a newcomer becomes a member."""

    role: Role | None = None


class Member(Answer, frozen=True):
    """Somebody in a group."""

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


_CHANGES = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED)
_NAMED_AT_ONCE = 50
"""A group's first members count as a message for each so many: its first event names them all to each of them."""


def _count(caller: Caller, messages: int = 1) -> None:
    """Count a change towards the caller's messages: each is one, stored and sent to every member.

    Raises:
        RelayError: `rate_limited`.
    """
    the_engine().rates.messages.take(caller.user_id, messages)


@blueprint.get("/api/groups")
@described(query=GroupsQuery, answers={200: MyGroups})
async def mine() -> Response:
    """Answer with the groups that the caller is in, by their ids."""
    caller = await the_caller()
    asked = read_query(GroupsQuery)
    rows = await the_engine().runner.read(
        lambda connection: groups_of(connection, caller.user_id, asked.cursor or "", asked.limit + 1)
    )
    page = [MyGroup(group_id=row[0], name=row[1], role=Role(row[2])) for row in rows[: asked.limit]]
    further = len(rows) > asked.limit
    return reply(MyGroups(groups=page, has_more=further, next_cursor=page[-1].group_id if further else None))


@blueprint.post("/api/groups")
@described(
    query=NoQuery,
    body=NewGroup,
    answers={201: Group},
    refusals=_CHANGES,
    answer_headers={201: {"Location": "the group's path"}},
)
async def create() -> Response:
    """Make a group that the caller owns."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(NewGroup)
    _count(caller, 1 + len(body.members) // _NAMED_AT_ONCE)
    group = await the_engine().groups.create(
        caller.user_id, body.name, list(body.members), body.group_id, body.history, by_user=True
    )
    told = describe(group)
    return reply(told, 201, {"Location": f"/api/groups/{told['group_id']}"})


@blueprint.get("/api/groups/<group_id>")
@described(query=NoQuery, answers={200: Group})
async def get(group_id: str) -> Response:
    """Answer with a group's name and members, to a member."""
    caller = await the_caller()
    read_query(NoQuery)
    return reply(describe(await the_engine().groups.get(caller.user_id, group_id)))


@blueprint.patch("/api/groups/<group_id>")
@described(query=NoQuery, body=GroupChange, answers={200: Group}, refusals=_CHANGES)
async def rename(group_id: str) -> Response:
    """Change a group's name."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(GroupChange)
    _count(caller)
    return reply(describe(await the_engine().groups.rename(caller.user_id, group_id, body.name)))


@blueprint.delete("/api/groups/<group_id>")
@described(query=NoQuery, answers={204: None}, refusals=_CHANGES)
async def delete(group_id: str) -> Response:
    """Delete a group."""
    caller = await the_caller()
    read_query(NoQuery)
    _count(caller)
    await the_engine().groups.delete(caller.user_id, group_id)
    return nothing()


@blueprint.put("/api/groups/<group_id>/members/<user_id>")
@described(query=NoQuery, body=Membership, optional_body=True, answers={200: Group}, refusals=_CHANGES)
async def put_member(group_id: str, user_id: str) -> Response:
    """Add a member, or change one's role."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(Membership, optional=True)
    _count(caller)
    groups = the_engine().groups
    role = body.role
    if role is None:
        group = await groups.get(caller.user_id, group_id)
        role = group.members.get(user_id, Role.MEMBER)
    return reply(describe(await groups.put_member(caller.user_id, group_id, user_id, role, by_user=True)))


@blueprint.delete("/api/groups/<group_id>/members/<user_id>")
@described(query=NoQuery, answers={204: None}, refusals=_CHANGES)
async def remove_member(group_id: str, user_id: str) -> Response:
    """Remove a member, or leave."""
    caller = await the_caller()
    read_query(NoQuery)
    _count(caller)
    await the_engine().groups.remove_member(caller.user_id, group_id, user_id)
    return nothing()
