"""Pictures of users and groups: who may show what, who sees it, and when the file goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.storage.pictures import MAX_PICTURE_BYTES
from tests.transports.rest.test_attachments import fetch, upload
from tests.transports.rest.world import World, message, open_world

ME = "/api/users/me"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def shown(world: World, who: str = "alice", data: bytes = PNG) -> str:
    """Have somebody show a new picture, and return its id."""
    picture = str((await upload(world, who, data))["attachment_id"])
    assert (await world.call(who, "PATCH", ME, {"picture": picture})).ok()["picture"] == picture
    return picture


async def rows(world: World, who: str) -> dict[str, Any]:
    found = (await world.get(who, "/api/conversations")).ok()["conversations"]
    return {row["target_id"]: row["picture"] for row in found}


async def test_everybody_who_sees_the_name_sees_the_picture(world: World) -> None:
    picture = await shown(world)
    assert (await world.get("bob", "/api/users/alice")).ok()["picture"] == picture
    users = (await world.get("bob", "/api/users", q="ali")).ok()["users"]
    assert [user["picture"] for user in users] == [picture]
    assert (await world.get("alice", ME)).ok()["picture"] == picture
    await world.say("alice", "bob", "Hello")
    assert await rows(world, "bob") == {"alice": picture}
    assert (await fetch(world, "bob", picture)).raw == PNG
    assert (await world.call("alice", "PATCH", ME, {"display_name": "Alice"})).ok()["picture"] == picture
    assert (await world.call("alice", "PATCH", ME, {"picture": None})).ok()["picture"] is None
    (await fetch(world, "bob", picture)).refused(404, "not_found")


async def test_a_picture_is_kept_while_it_is_shown_and_goes_afterwards(world: World) -> None:
    first = await shown(world)
    (await world.call("alice", "DELETE", f"/api/attachments/{first}")).refused(409, "conflict")
    world.engine.attachments._keep_seconds = -1.0
    assert await world.engine.attachments.collect() == 0
    second = await shown(world, data=PNG + b"2")
    assert await world.engine.attachments.collect() == 1
    (await fetch(world, "alice", first)).refused(404, "not_found")
    assert (await fetch(world, "bob", second)).status == 200


async def test_only_an_own_image_of_some_size_is_a_picture(world: World) -> None:
    text = (await upload(world, data=b"only a text"))["attachment_id"]
    problem = (await world.call("alice", "PATCH", ME, {"picture": text})).refused(400, "invalid_payload")
    assert problem["details"] == {"field": "picture", "reason": "picture_type"}
    large = (await upload(world, data=PNG + bytes(MAX_PICTURE_BYTES)))["attachment_id"]
    (await world.call("alice", "PATCH", ME, {"picture": large})).refused(413, "too_large")
    others = (await upload(world, "bob", PNG))["attachment_id"]
    await world.say("bob", "alice", "x")
    sent = message("alice", "mine") | {"payload": {"content": "mine", "attachments": [others]}}
    (await world.post("bob", "/api/messages", sent)).ok(201)
    assert (await fetch(world, "alice", others)).status == 200
    (await world.call("alice", "PATCH", ME, {"picture": others})).refused(404, "not_found")
    assert (await world.get("alice", ME)).ok()["picture"] is None


async def test_a_groups_picture_and_description_are_its_members(world: World) -> None:
    team = await world.group("alice", "bob")
    picture = (await upload(world, data=PNG))["attachment_id"]
    path = f"/api/groups/{team}"
    (await world.call("bob", "PATCH", path, {"description": "mine"})).refused(403, "forbidden")
    (await world.call("alice", "PATCH", path, {})).refused(400, "invalid_payload")
    (await world.call("alice", "PATCH", path, {"name": "Not yet", "picture": "a_none"})).refused(404, "not_found")
    body = {"name": "New", "picture": picture, "description": " What we do "}
    changed = (await world.call("alice", "PATCH", path, body)).ok()
    assert (changed["name"], changed["picture"], changed["description"]) == ("New", picture, "What we do")
    seen = (await world.get("bob", path)).ok()
    assert {**seen, "may": None} == {**changed, "may": None}  # what the two may do in it differs
    told = (await world.get("bob", f"/api/messages/group/{team}")).ok()["messages"]
    assert [one["payload"] for one in told[1:]] == [
        {"event": "renamed", "name": "New"},
        {"event": "changed", "picture": picture, "description": "What we do"},
    ]
    assert await rows(world, "bob") == {team: picture}
    assert (await fetch(world, "bob", picture)).status == 200
    (await fetch(world, "carol", picture)).refused(404, "not_found")
    (await world.call("alice", "DELETE", f"{path}/members/bob")).done()
    (await fetch(world, "bob", picture)).refused(404, "not_found")
    (await world.call("alice", "DELETE", path)).done()
    assert await world.engine.attachments.collect() == 1


async def test_pictures_go_with_the_account(world: World) -> None:
    picture, groups = await shown(world), (await upload(world, data=PNG + b"of the group"))["attachment_id"]
    team = await world.group("bob", "alice")
    (await world.call("bob", "PUT", f"/api/groups/{team}/members/alice", {"role": "admin"})).ok()
    (await world.call("alice", "PATCH", f"/api/groups/{team}", {"picture": groups})).ok()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.engine.leaving.run)
        await world.engine.leaving.erase("alice")
        nursery.cancel_scope.cancel()
    assert (await world.get("bob", "/api/users/alice")).ok()["picture"] is None
    assert (await world.get("bob", f"/api/groups/{team}")).ok()["picture"] is None
    (await fetch(world, "bob", picture)).refused(404, "not_found")
    (await fetch(world, "bob", groups)).refused(404, "not_found")


@pytest.mark.real_time
async def test_in_a_closed_directory_strangers_see_no_picture(tmp_path: Path) -> None:
    accounts = {"directory": "shared"}
    async with open_world(tmp_path, "alice", "bob", accounts=accounts) as world:
        picture = await shown(world)
        (await fetch(world, "bob", picture)).refused(404, "not_found")
        await world.say("alice", "bob", "Hello")
        assert (await fetch(world, "bob", picture)).status == 200
