"""Roles on the server, and guests: on every path, as each decides what somebody meets."""

from __future__ import annotations

import itertools
import sqlite3
from functools import partial
from typing import Any

import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role, ServerRole
from relay.services import server_roles
from relay.storage import accounts
from relay.testing import World

OWNER, ADMIN, MODERATOR, MEMBER, GUEST = ServerRole


def allows(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except RelayError as refused:
        return refused.code is not ErrorCode.FORBIDDEN
    return True


def test_a_role_reaches_itself_and_those_below_it() -> None:
    for (place, one), (other_place, other) in itertools.product(enumerate(ServerRole), enumerate(ServerRole)):
        assert one.reaches(other) is (place <= other_place)


@pytest.mark.parametrize("check", [server_roles.check_gives, server_roles.check_manages])
def test_owners_and_the_operator_give_and_manage_all_roles_and_admins_those_below_their_own(check: Any) -> None:
    may = {(by, other) for by in (None, *ServerRole) for other in ServerRole if allows(check, by, other)}
    everything = {(by, other) for by in (None, OWNER) for other in ServerRole}
    assert may == everything | {(ADMIN, MODERATOR), (ADMIN, MEMBER), (ADMIN, GUEST)}


def test_a_refusal_names_the_role_that_it_takes() -> None:
    for least in (OWNER, ADMIN, MODERATOR):
        with pytest.raises(RelayError, match=str(least)) as refused:
            server_roles.require_server_role(accounts.Identity(user_id="mia"), least)
        assert refused.value.details == {"reason": f"server_{least}"}


async def make_guest(world: World, *names: str) -> None:
    for name in names:
        await world.engine.runner.write(partial(accounts.update_user, user_id=name, role=GUEST))
    world.engine.accounts.forget()


async def found(world: World, who: str) -> list[str]:
    listed = (await world.rest("GET", "/api/users", who)).body["users"]
    one_by_one = [
        name for name in world.tokens if (await world.rest("GET", f"/api/users/{name}", who)).status == 200
    ]
    assert [user["user_id"] for user in listed] == sorted(one_by_one)
    return sorted(one_by_one)


@pytest.mark.world("alice", "bob", "carol", "gus", "gwen")
async def test_a_guest_finds_and_is_found_by_people_of_their_conversations_only(world: World) -> None:
    await make_guest(world, "gus", "gwen")
    assert await found(world, "gus") == ["gus"]
    assert await found(world, "alice") == ["alice", "bob", "carol"]
    await world.engine.groups.create("alice", "Team", ["gus", "bob"], "team")
    assert await found(world, "gus") == ["alice", "bob", "gus"]
    assert await found(world, "alice") == ["alice", "bob", "carol", "gus"]
    assert await found(world, "carol") == ["alice", "bob", "carol"]
    await world.engine.runner.write(partial(accounts.update_user, user_id="carol", role=MODERATOR))
    assert await found(world, "carol") == ["alice", "bob", "carol", "gus", "gwen"]
    await world.engine.groups.remove_member("alice", "team", "gus")
    assert await found(world, "gus") == ["gus"]
    assert "gus" in await found(world, "alice"), "their old messages still need a name"


@pytest.mark.world("alice", "bob", "gus")
async def test_a_guest_sees_and_follows_the_statuses_of_those_people_only(world: World) -> None:
    await make_guest(world, "gus")
    await world.engine.groups.create("alice", "Team", ["gus"], "team")
    statuses = {name: await world.rest("GET", f"/api/users/{name}/status", "gus") for name in ("alice", "bob")}
    assert (statuses["alice"].status, statuses["bob"].status) == (200, 404)
    _, unknown = await world.engine.presence.follow("gus", ["alice", "bob"], follow=True)
    assert unknown == ["bob"]
    assert (await world.rest("GET", "/api/messages/user/bob", "gus")).status == 404
    _, unknown = await world.engine.presence.follow("bob", ["gus", "alice"], follow=True)
    assert unknown == ["gus"]


@pytest.mark.world("alice", "bob", "gus", "gwen")
async def test_a_guest_begins_no_conversation_with_whom_they_share_no_group_by_any_path(world: World) -> None:
    await make_guest(world, "gus", "gwen")
    await world.engine.groups.create("alice", "Team", ["gus"], "team")
    await world.engine.groups.create("bob", "Others", ["gwen"], "others")
    device = await world.connect("gus")
    for number, stranger in enumerate(("bob", "nobody", "others", "gwen")):
        meta = {"id": f"m{number}", "target_id": stranger}
        await device.send({"type": "chat_message", "payload": {"content": "hello"}, "meta": meta})
        told = (await device.next("error"))["payload"]
        assert (told["code"], told["message"]) == (
            "not_found",
            f"there is no user or group {stranger!r}, or you may not see it",
        )
        body = {"type": "chat_message", "payload": {"content": "hello"}, "meta": {"target_id": stranger}}
        assert (await world.rest("POST", "/api/messages", "gus", json_body=body)).status == 404
        with pytest.raises(RelayError, match="no user or group"):
            await world.engine.submitter.send_as("gus", "chat_message", {"content": "hello"}, stranger)
    await world.engine.submitter.send_as("gus", "chat_message", {"content": "hello"}, "alice")
    await world.engine.submitter.send_as("bob", "chat_message", {"content": "hello"}, "gus")
    await world.engine.submitter.send_as("gus", "chat_message", {"content": "thanks"}, "bob")


@pytest.mark.world("alice", "bob", "gus")
async def test_a_guest_makes_no_groups_and_joins_and_finds_no_public_one(world: World) -> None:
    await make_guest(world, "gus")
    answer = await world.rest("POST", "/api/groups", "gus", json_body={"name": "Mine"})
    assert (answer.status, answer.body["details"]) == (403, {"reason": "guest"})
    for by_user in (True, False):
        with pytest.raises(RelayError, match="a guest makes no groups"):
            await world.engine.groups.create("gus", "Mine", [], by_user=by_user)
    await world.engine.groups.create("alice", "Public", [], "public", profile={"public": True})
    assert (await world.rest("GET", "/api/public-groups", "gus")).body["groups"] == []
    answer = await world.rest("POST", "/api/groups/public/join", "gus")
    assert (answer.status, answer.body["details"]) == (403, {"reason": "guest"})
    await world.engine.groups.put_member("alice", "public", "gus", Role.MEMBER)
    assert "gus" in (await world.engine.groups.get("alice", "public")).members


@pytest.mark.world("alice", "bob", "carol", "gus")
async def test_a_guest_who_manages_a_group_adds_only_people_whom_they_know(world: World) -> None:
    await make_guest(world, "gus")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await world.engine.groups.create("alice", "Led", ["gus"], "led")
    await world.engine.groups.put_member("alice", "led", "gus", Role.ADMIN)
    refused = await world.rest("PUT", "/api/groups/led/members/carol", "gus")
    assert (refused.status, refused.body["details"]["reason"]) == (403, "not_addable")
    assert refused.body["detail"] == (await world.rest("PUT", "/api/groups/led/members/bob", "gus")).body[
        "detail"
    ].replace("bob", "carol")
    await world.engine.groups.put_member("alice", "team", "gus", Role.MEMBER)
    assert (await world.rest("PUT", "/api/groups/led/members/bob", "gus")).status == 200


async def test_an_owner_is_counted_by_those_who_can_sign_in(world: World) -> None:
    def check(connection: sqlite3.Connection) -> None:
        accounts.update_user(connection, "alice", role=OWNER)
        accounts.update_user(connection, "bob", role=OWNER)
        server_roles.check_owner_stays(connection, "alice")
        accounts.update_user(connection, "bob", disabled=1)
        server_roles.check_owner_stays(connection, "bob")
        with pytest.raises(RelayError, match="last owner") as refused:
            server_roles.check_owner_stays(connection, "alice")
        assert refused.value.details == {"reason": "last_owner"}

    await world.engine.runner.write(check)
