"""Public groups by REST: made, found, joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.protocol.kinds import ServerRole
from tests.transports.rest.world import World, open_world

TEAM = "/api/groups/team"


async def publish(world: World, public: bool = True) -> None:
    (await world.call("alice", "PATCH", TEAM, {"public": public})).ok()


async def found(world: World, who: str, query: str = "") -> list[Any]:
    groups: list[Any] = (await world.get(who, f"/api/public-groups{query}")).ok()["groups"]
    return groups


async def test_a_public_group_is_found_by_those_who_are_not_in_it(world: World):
    body = {"name": "Café", "group_id": "team", "members": ["bob"], "public": True, "description": " Cakes "}
    made = (await world.post("alice", "/api/groups", body)).ok(201)
    assert (made["public"], made["description"]) == (True, "Cakes")
    (await world.post("alice", "/api/groups", {"name": "Ours"})).ok(201)
    told = {"group_id": "team", "name": "Café", "description": "Cakes", "picture": None, "members": 2}
    assert await found(world, "carol") == [told]
    for text in ("cafe", "CAKE"):
        assert await found(world, "carol", f"?q={text}") == [told]
    assert await found(world, "carol", "?q=tea") == []
    assert await found(world, "bob") == []
    (await world.call("alice", "PATCH", TEAM, {"name": "Tea"})).ok()
    assert [one["name"] for one in await found(world, "carol", "?q=tea")] == ["Tea"]
    await publish(world, False)
    assert await found(world, "carol") == []
    await publish(world)
    assert (await world.call("alice", "DELETE", TEAM)).status == 204
    assert await found(world, "carol") == []


async def test_a_public_group_is_found_by_its_id_and_another_one_is_not(world: World):
    path = "/api/public-groups/team"
    await world.group("alice", "bob")
    for who in ("alice", "carol"):
        assert (await world.get(who, path)).status == 404
    await publish(world)
    told = {"group_id": "team", "name": "The team", "description": "", "picture": None, "members": 2}
    for who in ("alice", "carol"):
        assert (await world.get(who, path)).ok() == told
    assert (await world.call("alice", "DELETE", TEAM)).status == 204
    assert (await world.get("carol", path)).status == 404
    assert (await world.get("carol", "/api/public-groups/nobody")).status == 404


async def test_public_groups_come_in_pages(world: World):
    for name in "abc":
        (await world.post("alice", "/api/groups", {"name": name, "group_id": name, "public": True})).ok(201)
    page = (await world.get("bob", "/api/public-groups?limit=2")).ok()
    assert ([one["group_id"] for one in page["groups"]], page["has_more"]) == (["a", "b"], True)
    page = (await world.get("bob", f"/api/public-groups?limit=2&cursor={page['next_cursor']}")).ok()
    assert ([one["group_id"] for one in page["groups"]], page["has_more"]) == (["c"], False)


async def test_who_joins_a_public_group_is_a_member_and_all_are_told(world: World):
    await world.group("alice", "bob")
    phone = await world.device("bob", "phone")
    await publish(world)
    group = (await world.post("carol", f"{TEAM}/join")).ok()
    assert {"user_id": "carol", "role": "member"} in group["members"]
    assert (await world.post("carol", f"{TEAM}/join")).ok() == group
    changed, added = phone.frames
    assert changed["payload"] == {"event": "changed", "public": True}
    assert added["payload"] == {"event": "member_added", "user_id": "carol", "role": "member"}
    assert added["meta"]["sender_id"] == "carol"
    assert (await world.get("carol", TEAM)).ok() == group


async def test_no_other_group_is_joined(world: World):
    await world.group("alice", "bob")
    (await world.post("carol", f"{TEAM}/join")).refused(404, "not_found")
    (await world.post("carol", "/api/groups/none/join")).refused(404, "not_found")
    await publish(world)
    await publish(world, False)
    (await world.post("carol", f"{TEAM}/join")).refused(404, "not_found")
    assert (await world.post("bob", f"{TEAM}/join")).ok()["public"] is False


async def test_only_the_owner_publishes(world: World):
    await world.group("alice", "bob")
    (await world.call("alice", "PUT", f"{TEAM}/members/bob", {"role": "admin"})).ok()
    (await world.call("bob", "PATCH", TEAM, {"public": True})).refused(403, "forbidden")
    (await world.call("bob", "PATCH", TEAM, {"description": "Us"})).ok()


async def test_who_was_removed_joins_again_only_once_somebody_adds_them(world: World):
    await world.group("alice", "bob", "carol")
    await publish(world)
    assert (await world.call("alice", "DELETE", f"{TEAM}/members/carol")).status == 204
    refused = (await world.post("carol", f"{TEAM}/join")).refused(403, "forbidden")
    assert refused["details"]["reason"] == "barred"
    (await world.call("alice", "PUT", f"{TEAM}/members/carol")).ok()
    for who in ("bob", "carol"):  # who leaves by themself comes back
        assert (await world.call(who, "DELETE", f"{TEAM}/members/{who}")).status == 204
        (await world.post(who, f"{TEAM}/join")).ok()


async def test_a_full_group_is_not_joined(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", "carol", limits={"group_members": 2}) as world:
        await world.group("alice", "bob")
        await publish(world)
        refused = (await world.post("carol", f"{TEAM}/join")).refused(403, "forbidden")
        assert refused["details"]["reason"] == "group_full"


async def test_groups_that_two_share_are_listed(world: World):
    await world.group("alice", "bob", "carol")
    (await world.post("alice", "/api/groups", {"name": "Two", "members": ["bob"]})).ok(201)
    for other, count in (("bob", 2), ("carol", 1), ("nobody", 0)):
        groups = (await world.get("alice", f"/api/groups?shared_with={other}")).ok()["groups"]
        assert len(groups) == count


async def test_a_guest_sees_a_public_group_by_its_link_only_from_within(world: World):
    await world.add("gus", role=ServerRole.GUEST)
    await world.group("alice", "bob", public=True)
    missing = (await world.get("gus", "/api/public-groups/none")).refused(404, "not_found")
    hidden = (await world.get("gus", "/api/public-groups/team")).refused(404, "not_found")
    assert hidden["detail"] == missing["detail"].replace("none", "team")
    (await world.get("carol", "/api/public-groups/team")).ok()
    (await world.call("alice", "PUT", f"{TEAM}/members/gus")).ok()
    assert (await world.get("gus", "/api/public-groups/team")).ok()["members"] == 3
