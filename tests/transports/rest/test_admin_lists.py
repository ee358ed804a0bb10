"""Tokens, devices and connections of everybody, for admins; and the end of one connection."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import CloseCode
from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import World
from relay.testing import world as open_world
from tests.actors import OPERATOR

LIVE = "/api/admin/connections"


async def make_root(world: World, role: ServerRole = ServerRole.OWNER) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=role))
    world.engine.accounts.forget()


async def ask(world: World, path: str) -> Any:
    answer = await world.rest("GET", path, "root")
    assert answer.status == 200, answer.body
    return answer.body


async def every_page(world: World, path: str, rows: str) -> list[Any]:
    """Return all rows of a list, two at a time."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = await ask(world, f"{path}?limit=2{cursor}")
        found += page[rows]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor'].replace(' ', '%20')}"


async def test_tokens_of_everybody_are_found_by_who_and_what_they_are_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        for label in ("builds", "backups", "Monitoring"):
            await world.engine.access.create_token(OPERATOR, "bob", label=label, scopes=("notify",), days=1)
        everything = await every_page(world, "/api/admin/tokens", "tokens")
        assert len(everything) == len({one["token_id"] for one in everything}) == 6
        assert [one["created_at"] for one in everything] == sorted(
            (one["created_at"] for one in everything), reverse=True
        )
        assert "rly_" not in str(everything)
        (found,) = (await ask(world, "/api/admin/tokens?q=monitor"))["tokens"]
        assert (found["user_id"], found["label"], found["scopes"]) == ("bob", "Monitoring", ["notify"])
        assert found["last_used_at"] is None
        assert len((await ask(world, "/api/admin/tokens?user=alice&origin=cli"))["tokens"]) == 1
        assert (await ask(world, "/api/admin/tokens?origin=login"))["tokens"] == []
        refused = await world.rest("GET", "/api/admin/tokens?cursor=x", "root")
        assert (refused.status, refused.body["details"]["parameter"]) == (400, "cursor")


async def test_the_last_use_of_a_token_is_known_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "root") as world:
        await make_root(world)
        await trio.sleep(100)
        assert (await world.rest("GET", "/api/users/me", "alice")).status == 200
        used = world.engine.now()
        (one,) = (await ask(world, "/api/admin/tokens?user=alice"))["tokens"]
        assert one["last_used_at"] == pytest.approx(used, abs=1)
        await trio.sleep(61)
        stored = await world.engine.runner.read(lambda c: accounts.list_tokens(c, "alice"))
        assert stored[0]["last_used_at"] == pytest.approx(used, abs=1)
        await world.connect("alice", "phone")
        token = world.tokens["alice"]
    async with open_world(tmp_path, "new") as world:
        world.tokens["alice"] = token
        (stored,) = await world.engine.runner.read(lambda c: accounts.list_tokens(c, "alice"))
        assert stored["last_used_at"] > used + 60


async def test_devices_of_everybody_say_who_is_connected(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        for user, client in (("alice", "phone"), ("alice", "tablet"), ("bob", "phone")):
            await trio.sleep(1)
            device = await world.connect(user, client)
        await device.cut()
        await trio.sleep(1)
        found = await every_page(world, "/api/admin/devices", "devices")
        assert [(one["user_id"], one["client_id"]) for one in found][1:] == [
            ("alice", "tablet"),
            ("alice", "phone"),
        ]
        (bobs,) = (await ask(world, "/api/admin/devices?user=bob"))["devices"]
        assert not bobs["connected"]
        assert [one["client_id"] for one in (await ask(world, "/api/admin/devices?q=TABLET"))["devices"]] == [
            "tablet"
        ]


async def test_a_connection_says_since_when_it_is_there_and_what_waits_for_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        alice = await world.connect("alice", "phone")
        begun = world.engine.now()
        await world.engine.submitter.send_as("bob", "chat_message", {"content": "hello"}, "alice")
        await alice.next("chat_message")
        (one,) = (await ask(world, f"{LIVE}?user=alice"))["connections"]
        assert one["since"] == pytest.approx(begun, abs=1)
        assert (one["waiting"], one["waiting_bytes"], one["in_flight"]) == (0, 0, 0)
        assert one["sent"] > one["acked"]


async def test_a_connection_is_ended_and_its_program_comes_back(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        alice = await world.connect("alice", "phone")
        path = f"{LIVE}?user=alice&client_id=phone"
        assert (await world.rest("DELETE", path, "root")).status == 204
        assert (await alice.closed()).code == CloseCode.ENDED
        assert (await world.rest("DELETE", path, "root")).status == 404
        await world.connect("alice", "phone")  # nothing is revoked


async def test_an_admin_does_not_end_the_connection_of_an_owner(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "root") as world:
        await make_root(world, ServerRole.ADMIN)
        await world.engine.runner.write(partial(accounts.update_user, user_id="alice", role=ServerRole.OWNER))
        await world.connect("alice", "phone")
        answer = await world.rest("DELETE", f"{LIVE}?user=alice&client_id=phone", "root")
        assert (answer.status, answer.body["details"]["reason"]) == (403, "role_too_high")
        assert len(world.engine.connections.of("alice")) == 1
