"""Presence over HTTP: how others are, and whom one follows."""

from __future__ import annotations

from typing import Any

from tests.transports.rest.world import World, open_world


def rows(answer: Any) -> list[tuple[str, str]]:
    return [(row["user_id"], row["status"]) for row in answer.ok()["statuses"]]


async def test_following_is_put_and_deleted_as_often_as_one_likes(world: World):
    for _ in range(2):
        (await world.call("alice", "PUT", "/api/users/following/bob")).done()
    (await world.call("alice", "PUT", "/api/users/following/alice")).done()
    assert rows(await world.get("alice", "/api/users/following/status")) == [
        ("alice", "offline"),
        ("bob", "offline"),
    ]
    for _ in range(2):
        (await world.call("alice", "DELETE", "/api/users/following/bob")).done()
    assert rows(await world.get("alice", "/api/users/following/status")) == [("alice", "offline")]
    assert rows(await world.get("bob", "/api/users/following/status")) == []


async def test_whoever_does_not_exist_has_no_status_and_cannot_be_followed(world: World):
    (await world.get("alice", "/api/users/nobody/status")).refused(404, "not_found")
    for method in ("PUT", "DELETE"):
        (await world.call("alice", method, "/api/users/following/nobody")).refused(404, "not_found")


async def test_in_a_closed_directory_a_stranger_is_nobody(tmp_path: Any):
    async with open_world(tmp_path, "alice", "bob", "carol", accounts={"directory": "shared"}) as world:
        await world.say("alice", "bob", "hello")
        (await world.get("alice", "/api/users/bob/status")).refused(404, "not_found")
        await world.say("bob", "alice", "hello")
        assert (await world.get("alice", "/api/users/bob/status")).ok()["status"] == "offline"
        stranger = (await world.get("alice", "/api/users/carol/status")).refused(404, "not_found")
        nobody = (await world.get("alice", "/api/users/nobody/status")).refused(404, "not_found")
        assert stranger["detail"].replace("carol", "nobody") == nobody["detail"]
        (await world.call("alice", "PUT", "/api/users/following/carol")).refused(404, "not_found")


async def test_a_name_that_is_part_of_a_path_is_a_name_all_the_same(world: World):
    await world.add("status")
    assert (await world.get("alice", "/api/users/bob/status")).ok()["user_id"] == "bob"
    (await world.call("alice", "PUT", "/api/users/following/status")).done()
    assert rows(await world.get("alice", "/api/users/following/status")) == [("status", "offline")]
