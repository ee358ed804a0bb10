"""Groups by REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.transports.rest.world import UNSENT, World, message, open_world

TEAM = "/api/groups/team"


def roles(group: Any) -> dict[str, str]:
    return {member["user_id"]: member["role"] for member in group["members"]}


def told_to_all(group: Any) -> dict[str, Any]:
    """Return what every member is told alike: without what each may do."""
    return {name: value for name, value in group.items() if name != "may"}


async def test_a_group_is_made_and_its_maker_owns_it(world: World):
    answer = await world.post("alice", "/api/groups", {"name": " The team ", "members": ["bob", "alice"]})
    group = answer.ok(201)
    assert group["name"] == "The team"
    assert group["history"] == "join"
    assert roles(group) == {"alice": "owner", "bob": "member"}
    assert answer.headers["Location"] == f"/api/groups/{group['group_id']}"
    assert told_to_all((await world.get("bob", answer.headers["Location"])).ok()) == told_to_all(group)


async def test_members_are_named_in_one_order_whoever_asks_and_when(world: World):
    await world.group("bob", "carol")
    told = (await world.call("bob", "PUT", f"{TEAM}/members/alice")).ok()
    assert [one["user_id"] for one in told["members"]] == ["bob", "alice", "carol"]
    assert told_to_all((await world.get("carol", TEAM)).ok()) == told_to_all(told)


async def test_members_devices_learn_of_every_change(world: World):
    phone = await world.device("bob", "phone")
    await world.group("alice", "bob")
    await world.call("alice", "PATCH", TEAM, {"name": "Us"})
    await world.call("alice", "PUT", f"{TEAM}/members/carol")
    await world.call("alice", "PUT", f"{TEAM}/members/carol", {"role": "admin"})
    await world.call("alice", "DELETE", f"{TEAM}/members/carol")
    await world.call("alice", "DELETE", TEAM)
    assert [frame["payload"]["event"] for frame in phone.frames] == [
        "created", "renamed", "member_added", "role_changed", "member_removed", "deleted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_payload"),
        ({"name": ""}, 400, "invalid_payload"),
        ({"name": "  \u200a "}, 400, "invalid_payload"),
        ({"name": "two\nlines"}, 400, "invalid_payload"),
        ({"name": "x" * 129}, 400, "invalid_payload"),
        ({"name": "x", "members": "bob"}, 400, "invalid_payload"),
        ({"name": "x", "members": ["nobody"]}, 400, "invalid_payload"),
        ({"name": "x", "group_id": "no spaces"}, 400, "invalid_payload"),
        ({"name": "x", "group_id": "*"}, 400, "invalid_payload"),
        ({"name": "x", "history": "all"}, 400, "invalid_payload"),
        ({"name": "x", "colour": "red"}, 400, "invalid_payload"),
        ({"name": "x", "group_id": "bob"}, 409, "conflict"),
        ({"name": "x", "group_id": "team"}, 409, "conflict"),
    ],
    ids=str,
)
async def test_a_group_that_cannot_be_is_refused_and_leaves_nothing(
    world: World, body: Any, status: int, code: str
):
    await world.group("carol")
    (await world.post("alice", "/api/groups", body)).refused(status, code)
    assert (await world.get("alice", "/api/groups")).ok()["groups"] == []


async def test_too_many_members_are_refused(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", "carol", limits={"group_members": 2}) as world:
        body = {"name": "x", "members": ["bob", "carol"]}
        (await world.post("alice", "/api/groups", body)).refused(400, "invalid_payload")
        await world.group("alice", "bob")
        (await world.call("alice", "PUT", f"{TEAM}/members/carol")).refused(403, "forbidden")


async def test_owner_and_admins_rename(world: World):
    await world.group("alice", "bob", "carol")
    (await world.call("bob", "PATCH", TEAM, {"name": "Mine"})).refused(403, "forbidden")
    (await world.call("alice", "PUT", f"{TEAM}/members/bob", {"role": "admin"})).ok()
    assert (await world.call("bob", "PATCH", TEAM, {"name": "Mine"})).ok()["name"] == "Mine"
    assert (await world.get("carol", TEAM)).ok()["name"] == "Mine"


async def test_putting_a_member_without_a_role_changes_no_role(world: World):
    await world.group("alice", "bob")
    (await world.call("alice", "PUT", f"{TEAM}/members/bob", {"role": "admin"})).ok()
    assert roles((await world.call("alice", "PUT", f"{TEAM}/members/bob")).ok())["bob"] == "admin"
    assert roles((await world.call("alice", "PUT", f"{TEAM}/members/carol", {})).ok())["carol"] == "member"


async def test_a_new_owner_leaves_the_old_one_an_admin(world: World):
    await world.group("alice", "bob")
    group = (await world.call("alice", "PUT", f"{TEAM}/members/bob", {"role": "owner"})).ok()
    assert roles(group) == {"alice": "admin", "bob": "owner"}


async def test_a_member_who_does_not_exist_is_not_found(world: World):
    await world.group("alice", "bob")
    (await world.call("alice", "PUT", f"{TEAM}/members/nobody")).refused(404, "not_found")
    (await world.call("alice", "DELETE", f"{TEAM}/members/carol")).refused(404, "not_found")


@pytest.mark.parametrize("body", [{"role": "king"}, {"role": 1}, {"rank": "member"}, []])
async def test_a_role_that_is_none_is_refused(world: World, body: Any):
    await world.group("alice", "bob")
    (await world.call("alice", "PUT", f"{TEAM}/members/bob", body)).refused(400, "invalid_payload")


async def test_members_leave_and_the_owner_does_not(world: World):
    await world.group("alice", "bob", "carol")
    (await world.call("bob", "DELETE", f"{TEAM}/members/carol")).refused(403, "forbidden")
    (await world.call("bob", "DELETE", f"{TEAM}/members/bob")).done()
    (await world.call("alice", "DELETE", f"{TEAM}/members/alice")).refused(403, "forbidden")
    assert roles((await world.get("alice", TEAM)).ok()) == {"alice": "owner", "carol": "member"}


async def test_a_deleted_group_is_gone_for_everybody_and_its_name_stays_taken(world: World):
    await world.group("alice", "bob")
    (await world.call("bob", "DELETE", TEAM)).refused(403, "forbidden")
    (await world.call("alice", "DELETE", TEAM)).done()
    for who in ("alice", "bob"):
        (await world.get(who, TEAM)).refused(404, "not_found")
        (await world.get(who, "/api/messages/group/team")).refused(404, "not_found")
    (await world.post("bob", "/api/groups", {"name": "x", "group_id": "team"})).refused(409, "conflict")


async def test_ones_groups_are_listed_in_pages(world: World):
    for number in range(7):
        await world.group("alice", "bob", group_id=f"g{number}", name=f"Group {number}")
    first = (await world.get("bob", "/api/groups", limit=4)).ok()
    assert first["groups"][0] == {"group_id": "g0", "name": "Group 0", "role": "member"}
    assert (first["has_more"], first["next_cursor"]) == (True, "g3")
    second = (await world.get("bob", "/api/groups", limit=4, cursor="g3")).ok()
    assert [group["group_id"] for group in second["groups"]] == ["g4", "g5", "g6"]
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    assert (await world.get("carol", "/api/groups")).ok()["groups"] == []


async def test_every_change_of_a_group_counts_towards_its_makers_messages(tmp_path: Path):
    limits = {"messages_per_second": 1, "messages_burst": 8}
    async with open_world(tmp_path, "alice", "bob", "carol", limits=limits) as world:
        reader = await world.device("bob", "phone")
        changes = [
            ("POST", "/api/groups", {"name": "x", "members": ["bob"], "group_id": "team"}),
            ("PATCH", "/api/groups/team", {"name": "y"}),
            ("PUT", "/api/groups/team/members/carol", {}),
            ("PUT", "/api/groups/team/members/carol", {"role": "admin"}),
            ("DELETE", "/api/groups/team/members/carol", UNSENT),
            *[("PATCH", "/api/groups/team", {"name": str(number)}) for number in range(3)],
        ]
        for method, path, body in changes:
            answer = await world.call("alice", method, path, body)
            assert answer.status in (200, 201, 204)
        for method, path, body in (*changes, ("DELETE", "/api/groups/team", UNSENT)):
            problem = (await world.call("alice", method, path, body)).refused(429, "rate_limited")
            assert 0 < problem["retry_after"] <= 1
        (await world.post("alice", "/api/messages", message("bob", "x"))).refused(429, "rate_limited")
        await world.say("bob", "carol", "another's rate is another's")
        assert sum(frame["type"] == "group_event" for frame in reader.frames) == 8


async def test_a_large_group_counts_for_more(tmp_path: Path):
    people = [f"u{number}" for number in range(100)]
    limits = {"messages_per_second": 1, "messages_burst": 3}
    async with open_world(tmp_path, "alice", *people, limits=limits) as world:
        (await world.post("alice", "/api/groups", {"name": "all", "members": people})).ok(201)
        (await world.post("alice", "/api/groups", {"name": "few"})).refused(429, "rate_limited")


async def test_one_chooses_who_may_add_one_to_groups(world: World):
    (await world.call("bob", "PATCH", "/api/users/me", {"groups_from": "nobody"})).ok()
    assert (await world.get("bob", "/api/users/me")).ok()["groups_from"] == "nobody"
    problem = await world.post(
        "alice", "/api/groups", {"name": "x", "members": ["carol", "bob"], "group_id": "trap"}
    )
    assert problem.refused(403, "forbidden")["details"] == {"reason": "not_addable", "user_id": "bob"}
    (await world.get("alice", "/api/groups/trap")).refused(404, "not_found")
    await world.group("alice", "carol")
    (await world.call("alice", "PUT", "/api/groups/team/members/bob")).refused(403, "forbidden")
    (await world.call("bob", "PATCH", "/api/users/me", {"groups_from": "some"})).refused(400, "invalid_payload")
    (await world.call("bob", "PATCH", "/api/users/me", {"groups_from": "everyone"})).ok()
    (await world.call("alice", "PUT", "/api/groups/team/members/bob")).ok()
