"""Groups: creating, renaming and deleting them, and their members."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType, structs
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, DisplayName, Limit, Query, Text, Word, invalid
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, not_found
from relay.protocol.kinds import Role
from relay.protocol.rights import PRESETS, Holder
from relay.services.channels import Conversation
from relay.services.group_view import allowed, describe
from relay.services.slow_mode import MOST_SECONDS
from relay.storage import pictures, public_groups
from relay.storage.conversations import groups_of, read_profile
from relay.storage.group_profiles import Profile

blueprint = Blueprint("groups", __name__)

Description = Annotated[str, Meta(max_length=1000)]


class ChosenRights(Body, frozen=True):
    """Rights of a group to change: for each, who has it. Those that are not named stay as they are."""

    write: Holder | UnsetType = UNSET
    thread: Holder | UnsetType = UNSET
    invite: Holder | UnsetType = UNSET
    pin: Holder | UnsetType = UNSET
    delete_others: Holder | UnsetType = UNSET
    mention_all: Holder | UnsetType = UNSET
    edit_profile: Holder | UnsetType = UNSET

    def chosen(self) -> dict[str, str]:
        """Return those that are named."""
        return {name: held.value for name, held in structs.asdict(self).items() if held is not UNSET}


NewRights = Literal["ordinary", "announcement"] | ChosenRights
"""All rights by one word, or some of them."""


class GroupsQuery(Query, frozen=True):
    """The page of the caller's groups."""

    cursor: Word = None
    limit: Limit = 50
    shared_with: Word = None


class PublicGroupsQuery(Query, frozen=True):
    """The page of the public groups whose name or description has a text."""

    q: Text = None
    cursor: Word = None
    limit: Limit = 50


class NewGroup(Body, frozen=True):
    """A new group; without an id the server chooses one."""

    name: DisplayName
    members: list[Name] = []
    group_id: Name | None = None
    history: Literal["join", "start"] = "join"
    description: Description = ""
    picture: Name | None = None
    public: bool = False
    rights: NewRights | None = None


class GroupChange(Body, frozen=True):
    """Changes of a group; `picture` is an upload of the caller's, an image, and null for none.

    `closed`: whether nobody may write in it any more. `slow_mode_seconds`: the seconds between two messages of a
    plain member, 0 for no slow mode.
    """

    name: DisplayName | None = None
    picture: Name | UnsetType | None = UNSET
    description: Description | None = None
    public: bool | None = None
    rights: NewRights | None = None
    closed: bool | None = None
    slow_mode_seconds: Annotated[int, Meta(ge=0, le=MOST_SECONDS)] | None = None


class Membership(Body, frozen=True):
    """The role of a member; without it a member keeps their role, and a newcomer becomes a plain member."""

    role: Role | None = None


class Member(Answer, frozen=True):
    """A member of a group."""

    user_id: Name
    role: Role


class GroupRights(Answer, frozen=True):
    """The rights of a group: for each, who has it."""

    write: Holder
    thread: Holder
    invite: Holder
    pin: Holder
    delete_others: Holder
    mention_all: Holder
    edit_profile: Holder


class Group(Answer, frozen=True):
    """A group as its members see it; `history` is what newcomers see, `picture` an attachment.

    `closed`: nobody may write in it any more; `may` is what the caller may do in it. A plain member writes once in
    `slow_mode_seconds` (0: as often as they like), and the caller again in `slow_mode_wait` seconds.
    """

    group_id: Name
    name: str
    description: str
    picture: Name | None
    public: bool
    history: Literal["join", "start"]
    rights: GroupRights
    closed: bool
    slow_mode_seconds: Integer
    slow_mode_wait: float
    members: list[Member]
    may: list[str]


class PublicGroup(Answer, frozen=True):
    """A public group as who is not in it sees it; `members` is how many it has."""

    group_id: Name
    name: str
    description: str
    picture: Name | None
    members: int


class PublicGroups(Answer, frozen=True):
    """A page of public groups."""

    groups: list[PublicGroup]
    has_more: bool
    next_cursor: Name | None


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
    """Answer with the groups that the caller is in, alone or together with somebody, by their ids."""
    rows = await engine.runner.read(
        lambda connection: groups_of(
            connection, caller.user_id, query.cursor or "", query.limit + 1, query.shared_with
        )
    )
    found = [MyGroup(group_id=row[0], name=row[1], role=Role(row[2])) for row in rows]
    page, has_more, next_cursor = page_of(found, query.limit, lambda group: group.group_id)
    return MyGroups(groups=page, has_more=has_more, next_cursor=next_cursor)


@blueprint.get("/api/public-groups")
@endpoint(query=PublicGroupsQuery, answers={200: PublicGroups})
async def find_public(engine: Engine, caller: Caller, query: PublicGroupsQuery) -> PublicGroups:
    """Answer with the public groups that the caller is not in, by their ids."""
    rows = await engine.runner.read(
        lambda connection: public_groups.find(
            connection, caller.user_id, query.q or "", after=query.cursor or "", limit=query.limit + 1
        )
    )
    found = [PublicGroup(**row._asdict()) for row in rows]
    page, has_more, next_cursor = page_of(found, query.limit, lambda group: group.group_id)
    return PublicGroups(groups=page, has_more=has_more, next_cursor=next_cursor)


@blueprint.get("/api/public-groups/<group_id>")
@endpoint(answers={200: PublicGroup}, refusals=[ErrorCode.NOT_FOUND])
async def get_public(engine: Engine, caller: Caller, group_id: str) -> PublicGroup:
    """Answer with a public group, for who has a link to it."""
    found = await engine.runner.read(lambda connection: public_groups.get(connection, caller.user_id, group_id))
    if found is None:
        raise not_found(f"public group {group_id!r}")
    return PublicGroup(**found._asdict())


@blueprint.post("/api/groups")
@endpoint(
    body=NewGroup,
    answers={201: Group},
    refusals=[*_CHANGES, ErrorCode.TOO_LARGE],
    answer_headers={201: {"Location": "the group's path"}},
)
async def create(engine: Engine, caller: Caller, body: NewGroup) -> Response:
    """Create a group that the caller owns."""
    _count(engine, caller, 1 + len(body.members) // _MEMBERS_PER_MESSAGE)
    profile: Profile = {}
    if body.description.strip():
        profile["description"] = body.description.strip()
    if body.picture is not None:
        profile["picture"] = body.picture
    if body.public:
        profile["public"] = True
    if body.rights is not None:
        profile["rights"] = _chosen(body.rights)
    group = await engine.groups.create(
        caller.user_id, body.name, list(body.members), body.group_id, body.history, profile=profile, by_user=True
    )
    answer = await _described(engine, caller, group)
    return reply(answer, 201, {"Location": f"/api/groups/{answer['group_id']}"})


@blueprint.get("/api/groups/<group_id>")
@endpoint(answers={200: Group})
async def get(engine: Engine, caller: Caller, group_id: str) -> dict[str, Any]:
    """Answer with a group's name and members, to a member."""
    return await _described(engine, caller, await engine.groups.get(caller.user_id, group_id))


@blueprint.patch("/api/groups/<group_id>")
@endpoint(body=GroupChange, answers={200: Group}, refusals=[*_CHANGES, ErrorCode.TOO_LARGE])
async def change(engine: Engine, caller: Caller, body: GroupChange, group_id: str) -> dict[str, Any]:
    """Change a group's name, picture, description, rights, slow mode, whether it is public, or is closed."""
    changes: Profile = {}
    if body.picture is not UNSET:
        changes["picture"] = body.picture
    if body.description is not None:
        changes["description"] = body.description.strip()
    if body.public is not None:
        changes["public"] = body.public
    if body.rights is not None:
        changes["rights"] = _chosen(body.rights)
    if body.closed:
        changes["closed"] = True
    reopened = body.closed is False
    slowed = body.slow_mode_seconds
    if body.name is None and not changes and not reopened and slowed is None:
        known = "name, picture, description, public, rights, closed and slow_mode_seconds"
        raise invalid(f"there is nothing to change; the body has some of {known}")
    picture = changes.get("picture")
    if picture is not None:  # before the name is changed
        await engine.runner.read(lambda connection: pictures.check(connection, caller.user_id, picture))
    _count(engine, caller, (body.name is not None) + bool(changes) + reopened + (slowed is not None))
    group = await engine.groups.get(caller.user_id, group_id)
    if reopened:  # before the rest, which a closed group refuses
        group = await engine.groups.change(caller.user_id, group_id, {"closed": False})
    if body.name is not None:
        group = await engine.groups.rename(caller.user_id, group_id, body.name)
    if slowed is not None:
        group = await engine.slow_mode.set(caller.actor, group_id, slowed)
    if changes:
        group = await engine.groups.change(caller.user_id, group_id, changes)
    return await _described(engine, caller, group)


@blueprint.delete("/api/groups/<group_id>")
@endpoint(answers={204: None}, refusals=_CHANGES)
async def delete(engine: Engine, caller: Caller, group_id: str) -> None:
    """Delete a group."""
    _count(engine, caller)
    await engine.groups.delete(caller.user_id, group_id)


@blueprint.post("/api/groups/<group_id>/join")
@endpoint(answers={200: Group}, refusals=_CHANGES)
async def join(engine: Engine, caller: Caller, group_id: str) -> dict[str, Any]:
    """Join a public group."""
    _count(engine, caller)
    return await _described(engine, caller, await engine.groups.join(caller.user_id, group_id))


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
    group = await engine.groups.put_member(caller.user_id, group_id, user_id, role, by_user=True)
    return await _described(engine, caller, group)


@blueprint.delete("/api/groups/<group_id>/members/<user_id>")
@endpoint(answers={204: None}, refusals=_CHANGES)
async def remove_member(engine: Engine, caller: Caller, group_id: str, user_id: str) -> None:
    """Remove a member, or leave."""
    if user_id == caller.user_id:
        engine.rates.messages.take(caller.user_id)  # nobody has to stay
    else:
        _count(engine, caller)
    await engine.groups.remove_member(caller.user_id, group_id, user_id, by_user=True)


def _chosen(rights: str | ChosenRights) -> dict[str, str]:
    """Return rights by name, of one word or of those that are named."""
    if isinstance(rights, str):
        return {name: held.value for name, held in PRESETS[rights]._asdict().items()}
    return rights.chosen()


async def _described(engine: Engine, caller: Caller, group: Conversation) -> dict[str, Any]:
    """Return a group for one of its members, with the profile that only the database has."""
    description, picture = await engine.runner.read(
        lambda connection: read_profile(connection, group.channel_id), inline=True
    )
    wait = await engine.slow_mode.wait_of(caller.user_id, group)
    profile = {"description": description, "picture": picture, "slow_mode_wait": wait}
    return describe(group) | profile | {"may": allowed(group, caller.user_id)}


def _count(engine: Engine, caller: Caller, messages: int = 1) -> None:
    """Count a change towards the caller's messages: each is one, stored and sent to every member.

    Raises:
        RelayError: `rate_limited`; `forbidden` for who may only read on this server.
    """
    engine.restrictions.check_write(caller.user_id)
    engine.rates.messages.take(caller.user_id, messages)
