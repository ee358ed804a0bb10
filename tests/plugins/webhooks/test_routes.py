"""The same as on the command line, by REST, for admins."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from relay.http.endpoint import description
from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import accept, answering

CALLS = [
    ("POST", "/api/webhooks"),
    ("GET", "/api/webhooks"),
    ("GET", "/api/webhooks/h"),
    ("DELETE", "/api/webhooks/h"),
    ("POST", "/api/webhooks/h/pause"),
    ("POST", "/api/webhooks/h/resume"),
    ("POST", "/api/webhooks/h/rotate"),
    ("POST", "/api/webhooks/h/test"),
    ("GET", "/api/webhooks/h/deliveries"),
    ("GET", "/api/webhooks/h/dead"),
    ("POST", "/api/webhooks/h/replay"),
    ("POST", "/api/webhooks/incoming"),
    ("GET", "/api/webhooks/incoming"),
    ("DELETE", "/api/webhooks/incoming/h"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_only_admins_may(webhooks: Run, method: str, path: str) -> None:
    async with webhooks("alice") as world:
        body = {"json_body": {}} if method == "POST" else {}
        assert (await world.rest(method, path, "alice", **body)).status == 403
        assert (await world.world.rest(method, path, None, **body)).status == 401
        if "/h" in path:
            missing = await world.rest(method, path, **body)
            assert (missing.status, missing.body["code"]) == (404, "not_found")


async def test_a_webhooks_whole_life(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5]) as world:
        seen: set[tuple[str, str]] = set()

        async def call(method: str, path: str, status: int, **body: Any) -> Any:
            """Make a call, and hold its answer against what its view says of it."""
            given = {"json_body": body} if body else {}
            answer = await world.rest(method, path, **given)
            assert answer.status == status, answer.body
            app = world.world._rest._app  # type: ignore[union-attr]
            rule, _ = app.url_map.bind("relay").match(path.split("?")[0], method, return_rule=True)
            said = description(views(app)[rule.endpoint.rpartition(".")[2]])
            assert said is not None
            if said.answers[status] is not None:
                shape = msgspec.convert(answer.body, said.answers[status])
                assert msgspec.to_builtins(shape).keys() == answer.body.keys()
            seen.add((method, rule.rule))
            return answer.body

        made = await call("POST", "/api/webhooks", 201, url="http://receiver/x", messages={"senders": ["alice"]})
        here, receiver = f"/api/webhooks/{made['hook_id']}", world.receivers["receiver"]
        alice, bob = await world.world.connect("alice"), await world.world.connect("bob")
        receiver.behaviour = answering(500, {"sorry": True})
        await world.say(bob, "alice", "not this")
        ids = await world.say(alice, "bob", "one", "two")
        await trio.sleep(3)
        shown = await call("GET", here, 200)
        assert (shown["state"], shown["waiting"], shown["dead"]) == ("failing", 1, 0)
        assert shown["reason"] == "the receiver answered 500"
        assert (await call("GET", "/api/webhooks", 200))["webhooks"] == [shown]
        await trio.sleep(30)
        attempts = (await call("GET", f"{here}/deliveries", 200))["deliveries"]
        assert [(one["message_id"], one["attempt"]) for one in attempts] == [
            (ids[1], 2), (ids[1], 1), (ids[0], 2), (ids[0], 1),
        ]  # fmt: skip
        page = await call("GET", f"{here}/dead?limit=1", 200)
        assert ([one["message_id"] for one in page["dead"]], page["has_more"]) == ([ids[0]], True)
        page = await call("GET", f"{here}/dead?after={page['next_after']}", 200)
        assert ([one["message_id"] for one in page["dead"]], page["has_more"]) == ([ids[1]], False)
        receiver.behaviour = accept
        assert await call("POST", f"{here}/replay", 202, message_id=ids[1]) == {"replayed": 1}
        assert (await call("POST", f"{here}/test", 200))["status"] == 204
        assert (await call("POST", f"{here}/pause", 200))["state"] == "paused"
        await world.say(alice, "bob", "three")
        assert (await call("POST", f"{here}/resume", 200))["state"] == "active"
        await trio.sleep(1)
        assert receiver.contents() == ["two", "None", "three"]
        assert (await call("POST", f"{here}/rotate", 200, hours=1))["secret"] != made["secret"]
        await call("DELETE", here, 204)
        made = await call("POST", "/api/webhooks/incoming", 201, name="ci", user_id="ci", target_id="bob")
        assert (await call("GET", "/api/webhooks/incoming", 200))["incoming"][0]["name"] == "ci"
        await call("GET", made["path"], 200)
        await call("POST", made["path"], 201, content="hello")
        await call("DELETE", "/api/webhooks/incoming/ci", 204)
        assert len(seen) == len(CALLS) + 2


def views(app: Any) -> dict[str, Any]:
    """Return the plugin's own views by name, as they were before they were guarded."""
    from relay_plugin_webhooks.options import Options  # type: ignore[import-not-found]
    from relay_plugin_webhooks.routes import make_routes  # type: ignore[import-not-found]

    from relay.transports.rest.app import QuartTrio

    scratch = QuartTrio("scratch", static_folder=None)
    scratch.register_blueprint(make_routes(Options()).blueprint)
    return {name.rpartition(".")[2]: view for name, view in scratch.view_functions.items()}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "missing required field `url`"),
        ({"url": "http://receiver", "messages": {"typs": ["chat_message"]}}, "unknown field `typs`"),
        ({"url": "http://receiver", "messages": {"types": "chat_message"}}, "Expected `array`, got `str`"),
        ({"url": "receiver"}, "a URL begins with http://HOST or https://HOST"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(webhooks: Run, body: dict[str, Any], told: str) -> None:
    async with webhooks("alice") as world:
        answer = await world.rest("POST", "/api/webhooks", json_body=body)
        assert (answer.status, answer.body["code"]) == (400, "invalid_payload")
        assert told in answer.body["detail"]
