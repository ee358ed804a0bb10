"""/openapi.json: every call is in it, as its view says, and it is OpenAPI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.engine.discovery import bundled_directory, in_directory
from relay.protocol.errors import ErrorCode
from relay.testing import RelayWorld
from tests.transports.rest.test_docs import routes
from tests.transports.rest.world import World, open_world

PLUGIN = '''
from typing import Any
import msgspec
from relay.plugin import ErrorCode, Routes, hookimpl
from relay.http import Answer, Blueprint, Body, Limit, Query, endpoint, reply

class Odd: ...
class Wanted(Query, frozen=True):
    limit: Limit = 5
class Vote(Body, frozen=True):
    choice: int
    extra: Any = None
class Envelope(Answer, frozen=True):
    """Named as one of relay's own."""
    colour: str
class Counted(Answer, frozen=True):
    """How many voted."""
    votes: int
    sent: Envelope | None = None
class Strange(Answer, frozen=True):
    odd: Odd

polls = Blueprint("polls", __name__)

@polls.put("/api/polls/<int:poll>")
@endpoint(query=Wanted, body=Vote, answers={200: Counted}, refusals=[ErrorCode.CONFLICT])
async def vote(body: Vote, poll: int) -> Counted:
    """Vote in a poll.

    A newer vote replaces the older.
    """
    return Counted(votes=body.choice)

@polls.get("/api/polls/<int:poll>")
@endpoint(answers={200: Counted})
async def wrong(poll: int) -> Any:
    """Answer with something else than it says."""
    return {"votes": "many"}

@polls.get("/api/polls")
async def undescribed() -> Any:
    """Say nothing of itself."""
    return reply({"polls": []}, 200)

@polls.get("/polls/strange")
@endpoint(answers={200: Strange}, access="open")
async def strange() -> Any:
    return {"odd": 1}

@polls.get("/polls/nonsense")
@endpoint(query=int, answers={799: Counted})
async def nonsense() -> Any:
    return {"odd": 1}

@hookimpl
def relay_routes(options: Any) -> list[Routes]:
    return [Routes(blueprint=polls, public=frozenset({"undescribed"}))]
'''


async def document(world: World) -> dict[str, Any]:
    told: dict[str, Any] = (await world.get(None, "/openapi.json")).ok()
    return told


def operations(told: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }


async def test_it_is_openapi(world: World) -> None:
    told = await document(world)
    assert told["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(told).validate()


async def test_every_call_is_in_it_and_no_other(world: World) -> None:
    assert set(operations(await document(world))) == routes(world)


async def test_every_view_of_relays_own_and_of_the_bundled_plugins_says_what_it_takes_and_answers(
    tmp_path: Path,
) -> None:
    without_views = {"jwt_auth", "proxy_auth"}  # and they do not run without settings of their own
    every = {
        "enabled": [name for name in in_directory(bundled_directory(), "bundled") if name not in without_views],
        "options": {
            "oidc": {"providers": {"keycloak": {"issuer": "https://id.example.org", "client_id": "relay"}}}
        },
    }
    async with open_world(tmp_path, plugins=every) as world:
        assert world.engine.registry.broken == []
        found = operations(await document(world))
        undescribed = {call for call, operation in found.items() if "x-undescribed" in operation}
        assert undescribed == {("POST", "/mcp")}  # another protocol's: JSON-RPC, and its own errors
        for call in undescribed:
            del found[call]
        for call, operation in found.items():
            assert operation["summary"], call
            assert any(int(status) < 400 for status in operation["responses"]), call
        # What no schema can be made of would be described as anything.
        assert '"schema": {}' not in json.dumps(list(found.values()))


async def test_names_of_operations_are_unique_and_stay_plain(world: World) -> None:
    names = [operation["operationId"] for operation in operations(await document(world)).values()]
    assert len(set(names)) == len(names)
    assert {"messages_send", "groups_create", "search_search"} <= set(names)


async def test_a_call_has_its_parameters_with_bounds_its_body_and_every_status(world: World) -> None:
    found = operations(await document(world))
    page = found["GET", "/api/messages/user/{user_id}"]
    parameters = {one["name"]: one for one in page["parameters"]}
    assert parameters["user_id"] | {"schema": None} == {
        "name": "user_id", "in": "path", "required": True, "schema": None,
    }  # fmt: skip
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert set(page["responses"]) == {"200", "400", "401", "403", "404", "408", "431", "500", "503"}
    send = found["POST", "/api/messages"]
    assert send["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Envelope"
    }
    assert {"200", "201", "409", "413", "415", "429", "502"} <= set(send["responses"])
    assert [one["name"] for one in send["parameters"]] == ["Idempotency-Key"]
    assert send["security"] == [{"bearer": []}]
    assert "security" not in found["POST", "/api/login"]
    assert found["GET", "/metrics"]["security"] == [{"bearer": []}, {}]
    assert found["PUT", "/api/groups/{group_id}/members/{user_id}"]["requestBody"]["required"] is False


async def test_every_refusal_is_a_problem_and_every_code_of_one_is_named(world: World) -> None:
    told = await document(world)
    for response in told["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
    assert set(told["components"]["schemas"]["ErrorCode"]["enum"]) == set(ErrorCode)


async def test_an_envelope_is_one_of_the_types_that_clients_send(world: World) -> None:
    schemas = (await document(world))["components"]["schemas"]
    named = {one["$ref"].rpartition("/")[2] for one in schemas["Envelope"]["anyOf"]}
    assert {"ChatMessageEnvelope", "ReactionEnvelope", "SearchEnvelope"} <= named
    assert "GroupEventEnvelope" not in named
    assert schemas["ChatMessageEnvelope"]["properties"]["type"] == {"const": "chat_message"}


async def test_it_is_made_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = (await world.get(None, "/openapi.json")).raw
    monkeypatch.setattr("relay.transports.rest.schemas.openapi", None)
    assert (await world.get(None, "/openapi.json")).raw == first


async def test_a_plugins_views_appear_as_they_say_and_one_that_says_nothing_is_marked(
    tmp_path: Path, relay_world: RelayWorld, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "polls.py").write_text(PLUGIN)
    async with relay_world(tmp_path / "plugins", "alice") as world:
        told = (await world.rest("GET", "/openapi.json")).body
        OpenAPIV31SpecValidator(told).validate()
        vote = told["paths"]["/api/polls/{poll}"]["put"]
        assert (vote["operationId"], vote["tags"], vote["summary"]) == ("polls_vote", ["polls"], "Vote in a poll")
        assert vote["description"] == "A newer vote replaces the older."
        assert vote["parameters"][0]["schema"] == {"type": "integer"}
        assert {"200", "400", "404", "409", "413", "415", "502"} <= set(vote["responses"])
        counted = told["components"]["schemas"]["Counted"]
        assert counted["required"] == ["votes"]
        assert counted["properties"]["sent"]["anyOf"][0] == {"$ref": "#/components/schemas/Envelope"}
        assert "anyOf" in told["components"]["schemas"]["Envelope_"]
        silent = told["paths"]["/api/polls"]["get"]
        assert silent["x-undescribed"] is True
        assert "default" in silent["responses"]
        assert "security" not in silent
        assert (await world.rest("GET", "/api/polls")).body == {"polls": []}
        voted = await world.rest("PUT", "/api/polls/3?limit=2", "alice", json_body={"choice": 2})
        assert voted.body == {"votes": 2, "sent": None}
        deep = b'{"choice": 2, "extra": ' + b"[" * 100_000
        refused = await world.rest("PUT", "/api/polls/3", "alice", data=deep)
        assert (refused.status, refused.body["code"]) == (400, "bad_json")
        # A type that no schema can be made of takes nothing else with it.
        strange = told["paths"]["/polls/strange"]["get"]["responses"]["200"]
        assert strange["content"] == {"application/json": {"schema": {}}}
        # Neither does one that says what cannot be.
        assert told["paths"]["/polls/nonsense"]["get"]["x-undescribed"] is True
        assert "GET /polls/nonsense of plugin 'polls' is left undescribed: " in caplog.text
        with pytest.raises(AssertionError, match=r"GET /api/polls/3: 200: \$.votes: 'many' is not of type"):
            await world.rest("GET", "/api/polls/3", "alice")
