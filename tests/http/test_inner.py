"""`call_api`: a view calls relay's own REST API as its caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.testing import World
from relay.testing import world as open_world

PLUGIN = '''
"""`desk`: does what its caller may do."""

from typing import Any

from relay.http import Blueprint, Body, call_api, endpoint
from relay.plugin import ErrorCode, Routes, hookimpl

class Wanted(Body, frozen=True):
    method: str
    path: str
    query: dict[str, Any] | None = None
    body: Any = None

made = Blueprint("desk", __name__)

@made.post("/api/desk")
@endpoint(body=Wanted, refusals=[ErrorCode.NOT_FOUND])
async def desk(body: Wanted) -> Any:
    """Answer with what a call is answered."""
    return {"answer": await call_api(body.method, body.path, body.query, body.body)}

@hookimpl
def relay_routes(options: Any) -> list[Routes]:
    return [Routes(blueprint=made)]
'''


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "desk.py").write_text(PLUGIN)
    folders = {"RELAY_PLUGINS__DIRECTORIES": f'["{tmp_path / "plugins.d"}"]'}
    async with open_world(tmp_path, "alice", "bob", **folders) as running:
        yield running


async def ask(world: World, user: str, method: str, path: str, headers: Any = None, **more: Any) -> Any:
    wanted = {"method": method, "path": path, **more}
    return await world.rest("POST", "/api/desk", user, json_body=wanted, headers=headers)


async def test_it_calls_as_its_own_caller(world: World) -> None:
    for user in ("alice", "bob"):
        told = await ask(world, user, "GET", "/api/users/me")
        assert told.body["answer"]["user_id"] == user


async def test_query_and_body_go_along_and_what_is_none_is_left_out(world: World) -> None:
    found = await ask(world, "alice", "GET", "/api/users", query={"q": "b o&b", "limit": 1, "cursor": None})
    assert found.body["answer"]["users"] == []
    found = await ask(world, "alice", "GET", "/api/users", query={"limit": 1})
    assert [user["user_id"] for user in found.body["answer"]["users"]] == ["alice"]
    body = {"type": "chat_message", "payload": {"content": "höre"}, "meta": {"target_id": "bob"}}
    assert (await ask(world, "alice", "POST", "/api/messages", body=body)).body["answer"]["seq"] == 1
    assert [row["payload"] for row in await world.history("bob", "user", "alice")] == [{"content": "höre"}]


async def test_an_answer_without_a_body_is_none(world: World) -> None:
    assert (await ask(world, "alice", "PUT", "/api/users/following/bob")).body == {"answer": None}


async def test_headers_of_the_outer_body_are_not_those_of_the_call(world: World) -> None:
    body = {"type": "chat_message", "payload": {"content": "hi"}, "meta": {"target_id": "bob"}}
    for _ in range(2):
        told = await ask(world, "alice", "POST", "/api/messages", {"Idempotency-Key": "outer"}, body=body)
        assert not told.body["answer"]["duplicate"]


async def test_a_refusal_passes_through_as_it_is(world: World) -> None:
    direct = await world.rest("GET", "/api/users?limit=0", "alice")
    passed = await ask(world, "alice", "GET", "/api/users", query={"limit": 0})
    assert (passed.status, passed.body) == (direct.status, direct.body)
    assert passed.body["details"] == {"parameter": "limit"}
    assert (await ask(world, "alice", "GET", "/api/groups/team")).body["code"] == "not_found"
    assert (await ask(world, "alice", "GET", "/api/groups/a/b")).body["code"] == "not_found"
