"""The directory and the devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.protocol.errors import CloseCode
from tests.actors import OPERATOR
from tests.transports.rest.world import World, open_world


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [user["user_id"] for user in answer["users"]]


async def test_everybody_finds_everybody_by_id_and_by_name(world: World):
    await world.add("x1", display_name="Robert Tables")
    assert names((await world.get("alice", "/api/users")).ok()) == ["alice", "bob", "carol", "dave", "x1"]
    found = (await world.get("alice", "/api/users", q="tables")).ok()
    assert found == {
        "users": [{"user_id": "x1", "display_name": "Robert Tables", "picture": None}], "has_more": False, "next_cursor": None,
    }  # fmt: skip
    assert names((await world.get("alice", "/api/users", q="CAR")).ok()) == ["carol"]
    assert names((await world.get("alice", "/api/users", q="%")).ok()) == []
    assert (await world.get("alice", "/api/users/x1")).ok() == found["users"][0] | {"disabled": False}
    (await world.get("alice", "/api/users/nobody")).refused(404, "not_found")


async def test_the_directory_pages(world: World):
    await world.add(*(f"user{number:02}" for number in range(11)))
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        answer = (await world.get("alice", "/api/users", q="user", limit=4, **query)).ok()
        found += names(answer)
        if not answer["has_more"]:
            break
        query = {"cursor": answer["next_cursor"]}
    assert found == [f"user{number:02}" for number in range(11)]


async def test_a_disabled_user_is_not_found_by_searching_and_still_has_a_name(world: World):
    await world.engine.administration.set_disabled(OPERATOR, "bob", True)
    assert names((await world.get("alice", "/api/users", q="bob")).ok()) == []
    bob = (await world.get("alice", "/api/users/bob")).ok()
    assert (bob["display_name"], bob["disabled"]) == ("bob", True)


async def test_a_closed_directory_shows_only_whom_one_shares_a_conversation_with(tmp_path: Path):
    people = ("alice", "bob", "carol", "dave", "erin")
    async with open_world(tmp_path, *people, accounts={"directory": "shared"}) as world:
        await world.say("alice", "bob", "hi")
        await world.say("bob", "alice", "hi")
        await world.group("carol", "alice", "dave")
        await world.say("alice", "team", "hello", group=True)
        await world.say("dave", "team", "hello", group=True)
        assert names((await world.get("alice", "/api/users")).ok()) == ["alice", "bob", "carol", "dave"]
        assert names((await world.get("bob", "/api/users")).ok()) == ["alice", "bob"]
        assert names((await world.get("erin", "/api/users")).ok()) == ["erin"]
        assert (await world.get("dave", "/api/users/alice")).ok()["user_id"] == "alice"
        (await world.call("carol", "DELETE", "/api/groups/team/members/dave")).done()
        for path in ("/api/users", "/api/messages/user"):
            hidden = (await world.get("dave", f"{path}/alice")).refused(404, "not_found")
            absent = (await world.get("dave", f"{path}/nobody")).refused(404, "not_found")
            assert str(hidden).replace("alice", "") == str(absent).replace("nobody", "")
        (await world.get("alice", "/api/messages/user/bob")).ok()


async def test_ones_devices_are_listed_with_who_is_connected(world: World):
    await world.device("alice", "phone")
    gone = await world.device("alice", "laptop")
    await world.device("bob", "bobs")
    connection = world.engine.connections.of("alice")["laptop"]
    world.engine.connections.unregister(connection)
    assert gone.ended is None
    answer = (await world.get("alice", "/api/devices")).ok()
    assert [(device["client_id"], device["connected"]) for device in answer["devices"]] == [
        ("laptop", False), ("phone", True),
    ]  # fmt: skip
    assert set(answer["devices"][0]) == {"client_id", "agent", "created_at", "seen_at", "connected"}
    first = (await world.get("alice", "/api/devices", limit=1)).ok()
    assert (first["has_more"], first["next_cursor"]) == (True, "laptop")
    second = (await world.get("alice", "/api/devices", limit=1, cursor="laptop")).ok()
    assert [device["client_id"] for device in second["devices"]] == ["phone"]


@pytest.mark.parametrize("client_id", ["phone", "a new device", "a/b/c", "é😀"])
async def test_a_revoked_device_is_closed_and_gone(world: World, client_id: str):
    device = await world.device("alice", client_id)
    (await world.call("bob", "DELETE", f"/api/devices/{client_id}")).refused(404, "not_found")
    assert device.ended is None
    (await world.call("alice", "DELETE", f"/api/devices/{client_id}")).done()
    assert device.ended is CloseCode.SESSION_REVOKED
    assert (await world.get("alice", "/api/devices")).ok()["devices"] == []
    (await world.call("alice", "DELETE", f"/api/devices/{client_id}")).refused(404, "not_found")


@pytest.mark.parametrize("client_id", ["..", ".", "/", "//x", "a/../b", "a\nb", "a\r\n", "\t", "a?b#c", "%2e%2e"])
async def test_a_device_whose_id_no_path_can_say_is_revoked_by_a_query(world: World, client_id: str):
    device = await world.device("alice", client_id)
    (await world.call("bob", "DELETE", "/api/devices", client_id=client_id)).refused(404, "not_found")
    (await world.call("alice", "DELETE", "/api/devices", client_id=client_id)).done()
    assert device.ended is CloseCode.SESSION_REVOKED
    assert (await world.get("alice", "/api/devices")).ok()["devices"] == []


@pytest.mark.parametrize("query", [{}, {"client_id": ""}, {"client_id": "x", "device": "x"}])
async def test_a_device_to_revoke_is_named(world: World, query: dict[str, str]):
    (await world.call("alice", "DELETE", "/api/devices", **query)).refused(400, "invalid_payload")


async def test_revoking_a_device_voids_the_token_of_its_login(world: World):
    await world.add("erin", origin="login")
    await world.device("erin", "phone")
    (await world.call("erin", "DELETE", "/api/devices/phone")).done()
    (await world.get("erin", "/api/devices")).refused(401, "forbidden")


async def test_a_user_is_found_by_an_id_in_another_case(world: World) -> None:
    assert (await world.get("alice", "/api/users/BOB")).ok()["user_id"] == "bob"
