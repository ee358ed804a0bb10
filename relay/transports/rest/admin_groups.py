"""The administration of groups by REST: all of them, a new one, the members of one, and its end."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Body, DisplayName, Limit, Query, Word
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import Role
from relay.services.channels import Conversation
from relay.services.group_view import describe
from relay.storage import listings
from relay.transports.rest.groups import GroupRights, Member, Membership

blueprint = Blueprint("admin_groups", __name__)


class AllGroupsQuery(Query, frozen=True):
    """The page."""

    cursor: Word = None
    limit: Limit = MAX_PAGE


class AnyGroup(Answer, frozen=True):
    """A group with the number of its members."""

    group_id: Name
    name: str
    owner: Name
    members: Integer
    history: str
    created_at: float


class AllGroups(Answer, frozen=True):
    """A page of groups, by their ids."""

    groups: list[AnyGroup]
    has_more: bool
    next_cursor: Name | None


class WholeGroup(Answer, frozen=True):
    """A group with its members, the owner first; without what is said in it."""

    group_id: Name
    name: str
    history: str
    public: bool
    closed: bool
    slow_mode_seconds: Integer
    rights: GroupRights
    members: list[Member]


class GroupFor(Body, frozen=True):
    """A new group for its owner; without an id the server chooses one."""

    name: DisplayName
    owner: Name
    members: Annotated[list[Name], Meta(max_length=10_000)] = []
    group_id: Name | None = None
    history: Literal["join", "start"] = "join"


@blueprint.get("/api/admin/groups")
@endpoint(query=AllGroupsQuery, answers={200: AllGroups}, access="admin")
async def groups(engine: Engine, query: AllGroupsQuery) -> AllGroups:
    """Answer with all groups, without what is said in them."""
    rows = await engine.runner.read(
        lambda connection: listings.list_groups(connection, query.cursor or "", query.limit + 1)
    )
    page, has_more, next_cursor = page_of(rows, query.limit, lambda row: row.group_id)
    found = [AnyGroup(**row._asdict()) for row in page]
    return AllGroups(groups=found, has_more=has_more, next_cursor=next_cursor)


@blueprint.post("/api/admin/groups")
@endpoint(
    body=GroupFor, answers={201: WholeGroup}, refusals=[ErrorCode.CONFLICT, ErrorCode.NOT_FOUND], access="admin"
)
async def create(engine: Engine, caller: Caller, body: GroupFor) -> Response:
    """Create a group, in its owner's name."""
    made = await engine.group_administration.create(
        caller.actor, body.owner, body.name, body.members, body.group_id, body.history
    )
    return reply(_whole(made), 201)


@blueprint.get("/api/admin/groups/<group_id>")
@endpoint(answers={200: WholeGroup}, access="admin")
async def get(engine: Engine, group_id: str) -> WholeGroup:
    """Answer with a group and its members."""
    return _whole(await engine.group_administration.get(group_id))


@blueprint.put("/api/admin/groups/<group_id>/members/<user_id>")
@endpoint(body=Membership, optional_body=True, answers={200: WholeGroup}, access="admin")
async def put_member(engine: Engine, caller: Caller, body: Membership, group_id: str, user_id: str) -> WholeGroup:
    """Add a member, or change a member's role, in the owner's name; a new owner makes the old one an admin."""
    return _whole(await engine.group_administration.put_member(caller.actor, group_id, user_id, body.role))


@blueprint.delete("/api/admin/groups/<group_id>/members/<user_id>")
@endpoint(answers={204: None}, access="admin")
async def remove_member(engine: Engine, caller: Caller, group_id: str, user_id: str) -> None:
    """Remove a member, in the owner's name; the owner hands the group on first."""
    await engine.group_administration.remove_member(caller.actor, group_id, user_id)


def _whole(group: Conversation) -> WholeGroup:
    told = describe(group)
    members = [Member(user_id=one["user_id"], role=Role(one["role"])) for one in told["members"]]
    return WholeGroup(**{**told, "rights": GroupRights(**told["rights"]), "members": members})


@blueprint.delete("/api/admin/groups/<group_id>")
@endpoint(answers={204: None}, access="admin")
async def delete(engine: Engine, caller: Caller, group_id: str) -> None:
    """Delete a group, in its owner's name."""
    await engine.group_administration.delete(caller.actor, group_id)
