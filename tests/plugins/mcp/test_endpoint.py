"""The endpoint and its options, on a server in memory."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from relay.engine.engine import Engine
from relay.testing import World
from relay.testing import world as open_world
from relay.testing.rest import Answer

pytestmark = pytest.mark.real_time  # the library is imported on a thread

ON = {"RELAY_PLUGINS__ALSO": '["mcp"]'}
SLOW = {"RELAY_LIMITS__MESSAGES_BURST": "2", "RELAY_LIMITS__MESSAGES_PER_SECOND": "1"}
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def options(**given: Any) -> dict[str, str]:
    return {**ON, **{f"RELAY_PLUGINS__MCP__{name.upper()}": json.dumps(value) for name, value in given.items()}}


async def post(world: World, body: Any, *, path: str = "/mcp", **headers: str) -> Answer:
    data = json.dumps(body).encode()
    return await world.rest("POST", path, "alice", data=data, headers={**HEADERS, **headers})


async def rpc(world: World, method: str, path: str = "/mcp", **params: Any) -> Any:
    answer = await post(world, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, path=path)
    assert answer.status == 200, answer
    return answer.body


async def call(world: World, tool: str, **arguments: Any) -> Any:
    return (await rpc(world, "tools/call", name=tool, arguments=arguments))["result"]


async def tools(world: World, path: str = "/mcp") -> set[str]:
    return {tool["name"] for tool in (await rpc(world, "tools/list", path=path))["result"]["tools"]}


@pytest.mark.world("alice", **options(read_only=True, path="/api/agents/mcp"))
async def test_read_only_offers_what_changes_nothing(world: World) -> None:
    names = await tools(world, "/api/agents/mcp")
    assert names == {
        "who_am_i", "list_conversations", "read_messages", "read_new", "search", "find_user", "list_members",
    }  # fmt: skip
    body = await rpc(world, "tools/call", "/api/agents/mcp", name="send_message", arguments={})
    assert "there is no tool 'send_message' here" in body["error"]["message"]


@pytest.mark.world("alice", "bob", **options(tools=["read_new", "send_message"]), **SLOW)
async def test_the_tools_that_are_named_are_offered_and_the_limits_of_users_hold(world: World) -> None:
    assert await tools(world) == {"read_new", "send_message"}
    for number in range(50):  # on the real clock some of the budget comes back meanwhile
        said = await call(world, "send_message", target_id="bob", content="hi", idempotency_key=f"k{number}")
        if said["isError"]:
            break
    problem = said["structuredContent"]
    assert (problem["code"], problem["retry"]) == ("rate_limited", True)
    assert problem["retry_after"] > 0
    assert json.loads(said["content"][0]["text"]) == problem


@pytest.mark.world("alice", "bob", **ON)
async def test_a_wrong_call_is_told_what_would_be_right(world: World) -> None:
    wrong = {
        "Expected `int` <= 200 - at `limit`": ("read_messages", {"target_id": "bob", "limit": 500}),
        "Object missing required field `idempotency_key`": ("send_message", {"target_id": "bob", "content": "x"}),
        "Object contains unknown field `text`": ("who_am_i", {"text": "x"}),
        "there is no user 'nobody'": ("read_messages", {"target_id": "nobody"}),
        "cursor is of another database; leave it out, and begin anew": ("read_new", {"cursor": "4.abcdef"}),
        "cursor is not one that an answer of read_new gave": ("read_new", {"cursor": "yesterday"}),
        "Expected `str` matching regex": ("list_members", {"group_id": "team/members/bob"}),
    }
    for said, (tool, arguments) in wrong.items():
        result = await call(world, tool, **arguments)
        assert result["isError"]
        assert said in result["structuredContent"]["message"]
        assert not result["structuredContent"]["retry"]


@pytest.mark.world("alice", RELAY_SERVER__ALLOWED_ORIGINS='["https://agent.example"]', **ON)
async def test_pages_may_call_from_allowed_origins_alone(world: World) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    rebound = await post(world, ping, Origin="http://relay.evil.example", Host="relay.evil.example")
    assert (rebound.status, rebound.body["code"]) == (403, "forbidden")
    assert "allowed_origins" in rebound.body["detail"]
    assert (await post(world, ping, Origin="https://agent.example")).status == 200


@pytest.mark.world("alice", **ON)
async def test_a_fault_of_a_tool_is_told_and_counts_against_the_plugin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    await rpc(world, "ping")
    tools = importlib.import_module("relay_plugin_mcp.tools")
    monkeypatch.setattr(tools, "call_api", broken)
    result = await call(world, "who_am_i")
    assert result["structuredContent"]["code"] == "plugin_failed"
    assert loaded(world.engine).guard.failures == 1


@pytest.mark.world("alice", **ON)
async def test_there_is_no_stream_and_no_session(world: World) -> None:
    assert (await post(world, {"jsonrpc": "2.0", "method": "notifications/initialized"})).status == 202
    assert (await world.rest("GET", "/mcp", "alice")).status == 405


@pytest.mark.parametrize(("installed", "said"), [(None, "not installed"), ("1.27.0", "1.27.0")])
async def test_without_the_package_the_plugin_is_left_out_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None, said: str
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    async with open_world(tmp_path, "alice", **ON) as world:
        (broken,) = world.engine.registry.broken
        assert f"mcp is {said}; right is version 2: pip install 'relay-server[mcp]'" in broken.reason


def loaded(engine: Engine) -> Any:
    return next(one for one in engine.registry.loaded if one.name == "mcp")
