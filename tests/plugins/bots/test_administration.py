"""Bots as admins of the server see them by REST, and what they do about one."""

from __future__ import annotations

from functools import partial

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import RelayWorld, World
from tests.plugins.bots.people import ON, ROLL, bot, invoke

BOTS = "/api/admin/bots"


async def give(world: World, user_id: str, role: ServerRole) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id=user_id, role=role))
    world.engine.accounts.forget()


async def test_an_admin_sees_how_each_bot_does(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "root", **ON) as world:
        await give(world, "root", ServerRole.ADMIN)
        await bot(world, "dice", ROLL, owner="alice")
        alice = await world.connect("alice")
        await invoke(alice, "dice", "roll")
        (one,) = (await world.rest("GET", BOTS, "root")).body["bots"]
        assert (one["user_id"], one["owner"], one["state"], one["connected"]) == ("dice", "alice", "active", 1)
        assert (one["commands"], one["tokens"], one["waiting"], one["unanswered"]) == (["roll"], 1, 1, 0)
        assert one["last_used_at"] is not None
        await world.rest("PATCH", "/api/admin/users/dice", "root", json_body={"disabled": True})
        (one,) = (await world.rest("GET", BOTS, "root")).body["bots"]
        assert (one["state"], one["connected"]) == ("disabled", 0)


async def test_a_bot_is_added_given_another_token_and_removed(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "root", **ON) as world:
        await give(world, "root", ServerRole.ADMIN)
        made = await world.rest("POST", BOTS, "root", json_body={"user_id": "dice", "owner": "alice"})
        assert (made.status, made.body["user_id"]) == (201, "dice")
        world.tokens["dice"] = made.body["token"]
        assert (await world.rest("GET", "/api/users/me", "dice")).status == 200
        other = await world.rest("POST", f"{BOTS}/dice/tokens", "root", json_body={"replace": True})
        assert (await world.rest("GET", "/api/users/me", "dice")).status == 401
        world.tokens["dice"] = other.body["token"]
        assert (await world.rest("GET", "/api/users/me", "dice")).status == 200
        assert (await world.rest("DELETE", f"{BOTS}/dice", "root")).status == 204
        assert (await world.rest("GET", BOTS, "root")).body["bots"] == []
        assert (await world.rest("DELETE", f"{BOTS}/dice", "root")).status == 404
        assert (await world.rest("POST", f"{BOTS}/alice/tokens", "root")).status == 404
        log = (await world.rest("GET", "/api/admin/audit?act=bot", "root")).body["entries"]
        assert [(one["act"], one["by"]) for one in log] == [
            ("bot.removed", "root"),
            ("bot.token_created", "root"),
            ("bot.added", "root"),
        ]


async def test_an_admin_gets_no_token_of_a_bot_with_as_many_rights(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "root", **ON) as world:
        await give(world, "root", ServerRole.ADMIN)
        await world.rest("POST", BOTS, "root", json_body={"user_id": "dice"})
        await give(world, "dice", ServerRole.OWNER)
        for method, path in (("POST", f"{BOTS}/dice/tokens"), ("DELETE", f"{BOTS}/dice")):
            refused = await world.rest(method, path, "root")
            assert (refused.status, refused.body["details"]["reason"]) == (403, "role_too_high")
        await give(world, "root", ServerRole.OWNER)
        assert (await world.rest("POST", f"{BOTS}/dice/tokens", "root")).status == 201
