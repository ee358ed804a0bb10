"""`@endpoint`: what a view gets, what becomes of what it returns, and in which order a request is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.http import Body, Query, endpoint
from relay.storage import accounts
from relay.testing import World
from relay.testing import world as open_world

PLUGIN = '''
from typing import Any

from relay.http import Blueprint, Body, Caller, Limit, NoQuery, Query, authenticate, endpoint, reply
from relay.plugin import Routes, Server, hookimpl

class Wanted(Query, frozen=True):
    limit: Limit = 5

class Said(Body, frozen=True):
    text: str

made = Blueprint("odd", __name__)

@made.post("/api/odd/<place>/all")
@endpoint(query=Wanted, body=Said, answers={201: dict})
async def everything(server: Server, caller: Caller, query: Wanted, body: Said, place: str) -> Any:
    """Answer with all that a view gets."""
    return {"who": caller.user_id, "plugin": server.plugin, "limit": query.limit, "said": body.text, "place": place}

@made.delete("/api/odd")
@endpoint(answers={204: None})
async def nothing() -> None:
    """Do nothing."""

@made.get("/api/odd")
@endpoint(answers={200: dict, 202: dict})
async def replied() -> Any:
    """Answer by another status than the first."""
    return reply({"later": True}, 202)

@made.get("/api/odd/any")
@endpoint(query=None)
async def any_query() -> Any:
    """Answer to whatever parameters."""
    return {}

@made.put("/api/odd/raw")
@endpoint(body=bytes, body_types=["text/plain"])
async def raw(body: bytes) -> Any:
    """Answer with the size of a body."""
    return {"size": len(body)}

@made.put("/api/odd/optional")
@endpoint(body=Wanted, optional_body=True)
async def optional(body: Wanted) -> Any:
    """Answer with a field of a body that may be left out."""
    return {"limit": body.limit}

@made.post("/api/odd/rule")
@endpoint(body=Said, access="admin")
async def rule(body: Said) -> Any:
    """Answer admins."""
    return {}

@made.get("/odd/open")
@endpoint(access="open")
async def open_() -> Any:
    """Answer everybody."""
    return {}

@made.get("/odd/named")
@endpoint()
async def named() -> Any:
    """Answer users, whatever Routes.public says."""
    return {}

@made.get("/odd/either")
@endpoint(query=NoQuery, access="either", answers={200: dict})
async def either() -> Any:
    """Answer with who calls, to those who say so."""
    from relay.http import request
    return {"who": (await authenticate()).user_id if "Authorization" in request.headers else None}

@made.get("/odd/plain")
async def plain() -> Any:
    """Answer without a contract."""
    return {}

@hookimpl
def relay_routes(options: Any) -> list[Routes]:
    return [Routes(blueprint=made, public=frozenset({"named", "plain"}))]
'''


@pytest.fixture
async def odd(tmp_path: Path) -> AsyncIterator[World]:
    """Give a server with the plugin, a user alice and an admin root."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "odd.py").write_text(PLUGIN)
    async with open_world(tmp_path, "alice", RELAY_PLUGINS__DIRECTORIES=str(tmp_path / "plugins")) as world:
        assert world.engine.registry.broken == []

        def make_admin(connection: Any) -> str:
            accounts.create_user(connection, "root", world.engine.now(), admin=True)
            return accounts.create_token(connection, "root", world.engine.now(), origin="cli")

        world.tokens["root"] = await world.engine.runner.write(make_admin)
        yield world


async def test_a_view_gets_what_it_asks_for_by_name(odd: World) -> None:
    answer = await odd.rest("POST", "/api/odd/oslo/all?limit=2", "alice", json_body={"text": "hi"})
    assert answer.status == 201
    assert answer.body == {"who": "alice", "plugin": "odd", "limit": 2, "said": "hi", "place": "oslo"}


async def test_an_answer_without_a_body_is_204(odd: World) -> None:
    answer = await odd.rest("DELETE", "/api/odd", "alice")
    assert (answer.status, answer.body) == (204, b"")


async def test_a_view_may_answer_by_another_of_its_statuses(odd: World) -> None:
    answer = await odd.rest("GET", "/api/odd", "alice")
    assert (answer.status, answer.body) == (202, {"later": True})


async def test_parameters_that_are_not_declared_are_refused_unless_none_are_looked_at(odd: World) -> None:
    refused = await odd.rest("GET", "/api/odd?colour=red", "alice")
    assert (refused.status, refused.body["details"]) == (400, {"parameter": "colour"})
    assert (await odd.rest("GET", "/api/odd/any?colour=red", "alice")).status == 200


async def test_a_body_of_bytes_is_given_as_it_came(odd: World) -> None:
    answer = await odd.rest(
        "PUT", "/api/odd/raw", "alice", data=b"{ no JSON", headers={"Content-Type": "text/plain"}
    )
    assert answer.body == {"size": 9}


async def test_a_body_may_be_left_out_where_it_is_optional(odd: World) -> None:
    assert (await odd.rest("PUT", "/api/odd/optional", "alice")).body == {"limit": 5}
    refused = await odd.rest("POST", "/api/odd/oslo/all", "alice")
    assert (refused.status, refused.body["code"]) == (400, "bad_json")


@pytest.mark.parametrize(
    ("user", "query", "body", "status", "told"),
    [
        (None, "?colour=red", b"{", 401, "forbidden"),
        ("alice", "?colour=red", b"{", 403, "forbidden"),
        ("root", "?colour=red", b"{", 400, "invalid_payload"),
        ("root", "", b"{", 400, "bad_json"),
        ("root", "", b'{"text": "hi"}', 200, None),
    ],
)
async def test_a_request_is_checked_for_its_caller_then_its_query_then_its_body(
    odd: World, user: str | None, query: str, body: bytes, status: int, told: str | None
) -> None:
    answer = await odd.rest("POST", "/api/odd/rule" + query, user, data=body)
    assert (answer.status, answer.body.get("code")) == (status, told)


async def test_a_view_is_open_where_its_endpoint_says_so_and_only_there(odd: World) -> None:
    assert (await odd.rest("GET", "/odd/open")).status == 200
    assert (await odd.rest("GET", "/odd/named")).status == 401
    assert (await odd.rest("GET", "/odd/named", "alice")).status == 200
    assert (await odd.rest("GET", "/odd/plain")).status == 200
    paths = (await odd.rest("GET", "/openapi.json")).body["paths"]
    needs_token = {path: "security" in paths[path]["get"] for path in ("/odd/open", "/odd/named", "/odd/plain")}
    assert needs_token == {"/odd/open": False, "/odd/named": True, "/odd/plain": False}


async def test_a_view_for_either_authenticates_its_caller_itself(odd: World) -> None:
    assert (await odd.rest("GET", "/odd/either")).body == {"who": None}
    assert (await odd.rest("GET", "/odd/either", "alice")).body == {"who": "alice"}
    assert (await odd.rest("GET", "/odd/either", "no token of anybody's")).status == 401


class Wanted(Query, frozen=True):
    pass


class Said(Body, frozen=True):
    pass


def plain() -> None: ...
async def asks_for_a_query(query: Any) -> None: ...
async def asks_for_a_body(body: Any) -> None: ...
async def asks_for_its_caller(caller: Any) -> None: ...


@pytest.mark.parametrize(
    ("contract", "view", "told"),
    [
        ({}, plain, "plain is not async; write async def"),
        ({}, asks_for_a_query, "asks_for_a_query has a parameter query; declare it"),
        ({"query": None}, asks_for_a_query, "asks_for_a_query has a parameter query; declare it"),
        ({}, asks_for_a_body, "asks_for_a_body has a parameter body; declare it"),
        ({"access": "open"}, asks_for_its_caller, "has a parameter caller, and its access is 'open'"),
        ({"access": "either"}, asks_for_its_caller, "has a parameter caller, and its access is 'either'"),
    ],
)
def test_a_view_that_asks_for_what_is_not_declared_is_refused_at_once(
    contract: dict[str, Any], view: Any, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        endpoint(**contract)(view)
    assert endpoint(query=Wanted, body=Said)(asks_for_a_query).__name__ == "asks_for_a_query"


def test_a_contract_that_cannot_be_is_refused_and_a_mistyped_access_opens_nothing() -> None:
    with pytest.raises(
        TypeError, match="access is 'opne'; right is one of token, moderator, admin, owner, open, either"
    ):
        endpoint(access="opne")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="answers is empty"):
        endpoint(answers={})
