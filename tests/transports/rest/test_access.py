"""Who may call what: every route of the application, for everybody who should not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from tests.actors import OPERATOR
from tests.transports.rest.world import World, message, open_world

OPEN = {"/api/login", "/api/register", "/api/registration", "/healthz", "/readyz", "/metrics"}
OPEN |= {"/openapi.json", "/asyncapi.json", "/api/types"}
OPEN |= {"/api/probe/<probe_id>"}  # for whom the control socket gave an id
# For somebody who cannot sign in: each takes the code of a link, or sends one by mail.
OPEN |= {"/api/password-reset", "/api/password-reset/mail", "/api/mail-verification", "/api/registration/mail"}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/messages"): message("bob", "x"),
    ("POST", "/api/messages/read"): {"target_id": "bob", "up_to_seq": 1},
    ("POST", "/api/messages/acknowledge"): {"cursor": 0},
    ("POST", "/api/groups"): {"name": "x"},
    ("PATCH", "/api/groups/<group_id>"): {"name": "x"},
    ("PATCH", "/api/users/me"): {"display_name": "x"},
    ("PATCH", "/api/admin/plugins/<name>/options"): {"results": 20},
}
FILLED = {
    "user_id": "bob",
    "group_id": "team",
    "path:client_id": "phone",
    "attachment_id": "a_1",
    "target_id": "bob",
    "message_id": "1",
    "int:message_id": "1",
    "name": "search",
    "invite_id": "inv_1",
    "token_id": "tok_1",
    "int:report_id": "1",
    "kind": "timeout",
}
GROUP_CALLS = [
    ("GET", "/api/groups/{}", None),
    ("PATCH", "/api/groups/{}", {"name": "x"}),
    ("DELETE", "/api/groups/{}", None),
    ("PUT", "/api/groups/{}/members/dave", None),
    ("DELETE", "/api/groups/{}/members/bob", None),
    ("GET", "/api/messages/group/{}", None),
    ("POST", "/api/messages/read", {"target_id": "{}", "up_to_seq": 1}),
    ("POST", "/api/messages", message("{}", "x", group=True)),
]


def protected(world: World) -> list[tuple[str, str, Any]]:
    """List every call that needs a token."""
    calls = []
    for rule in world.app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            # What browsers load is for everybody: test_web.py.
            if rule.rule not in OPEN and not rule.endpoint.startswith("web."):
                path = re.sub(r"<([^>]+)>", lambda match: FILLED[match[1]], rule.rule)
                calls.append((method, path, BODIES.get((method, rule.rule))))
    return calls


async def call(world: World, who: str | None, method: str, path: str, body: Any, **more: Any) -> Any:
    return await world.call(who, method, path, **({} if body is None else {"body": body}), **more)


async def test_every_call_but_the_open_ones_needs_a_token(world: World):
    calls = protected(world)
    assert len(calls) >= 20
    for method, path, body in calls:
        answer = await call(world, None, method, path, body)
        answer.refused(401, "forbidden")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="relay"'


async def test_a_wrong_token_opens_nothing(world: World):
    for method, path, body in protected(world):
        answer = await call(world, "rly_wrong", method, path, body)
        if (method, path) == ("GET", "/api/attachments/a_1"):
            answer.refused(404, "not_found")  # to a removed device it is gone, like to any stranger
            continue
        answer.refused(401, "forbidden")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_a_disabled_account_opens_nothing(world: World):
    await world.get("bob", "/api/conversations")
    await world.engine.administration.set_disabled(OPERATOR, "bob", True)
    for method, path, body in protected(world):
        (await call(world, "bob", method, path, body)).refused(403, "forbidden")


async def test_an_expired_token_opens_nothing(tmp_path: Path):
    now = [1000.0]
    async with open_world(tmp_path, "alice", now=lambda: now[0]) as world:
        world.tokens["guest"] = await world.engine.runner.write(
            lambda c: accounts.create_token(c, "alice", 1000.0, origin="login", expires_at=2000.0)
        )
        assert (await world.get("guest", "/api/users/me")).ok()["token_expires_at"] == 2000.0
        now[0] = 2000.0
        (await world.get("guest", "/api/users/me")).refused(401, "forbidden")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {}", "{}", "Token {}", "Bearer {} {}", "Bearer {}x", "Bearer \u00e9"],
)
async def test_only_a_whole_bearer_header_counts(world: World, header: str):
    value = header.replace("{}", world.tokens["alice"])
    answer = await world.call(None, "GET", "/api/conversations", headers={"Authorization": value})
    answer.refused(401, "forbidden")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_written_in_any_case(world: World, scheme: str):
    headers = {"Authorization": f"{scheme} {world.tokens['alice']}"}
    (await world.call(None, "GET", "/api/conversations", headers=headers)).ok()


@pytest.mark.parametrize("name", ["token", "access_token", "authorization"])
async def test_a_token_anywhere_else_counts_for_nothing(world: World, name: str):
    token = world.tokens["alice"]
    (await world.get(None, "/api/conversations", **{name: token})).refused(401, "forbidden")
    cookie = {"Cookie": f"{name}={token}"}
    (await world.call(None, "GET", "/api/conversations", headers=cookie)).refused(401, "forbidden")


@pytest.mark.parametrize("who", ["stranger", "ex-member"])
@pytest.mark.parametrize(("method", "path", "body"), GROUP_CALLS, ids=lambda value: str(value)[:40])
async def test_a_group_of_others_looks_like_none(world: World, who: str, method: str, path: str, body: Any):
    await world.group("alice", "bob", "carol")
    await world.say("alice", "team", "a secret", group=True)
    (await world.call("carol", "DELETE", "/api/groups/team/members/carol")).done()
    caller = "dave" if who == "stranger" else "carol"
    told = []
    for group_id in ("team", "maet"):
        filled = None if body is None else json.loads(json.dumps(body).replace("{}", group_id))
        answer = await call(world, caller, method, path.format(group_id), filled)
        told.append(str(answer.refused(404, "not_found")).replace(group_id, "?"))
    assert told[0] == told[1]
    assert (await world.get("alice", "/api/groups/team")).ok()["name"] == "The team"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/groups/team", {"name": "x"}),
        ("DELETE", "/api/groups/team", None),
        ("PUT", "/api/groups/team/members/dave", None),
        ("PUT", "/api/groups/team/members/bob", {"role": "owner"}),
        ("DELETE", "/api/groups/team/members/carol", None),
    ],
)
async def test_a_plain_member_is_forbidden_what_the_owner_may(world: World, method: str, path: str, body: Any):
    await world.group("alice", "bob", "carol")
    (await call(world, "bob", method, path, body)).refused(403, "forbidden")


async def test_others_conversations_stay_theirs(world: World):
    await world.say("alice", "bob", "a secret")
    for path in ("/api/messages/user/alice", "/api/messages/user/bob", "/api/messages/undelivered"):
        assert (await world.get("carol", path)).ok()["messages"] == []


async def test_every_call_refuses_a_parameter_it_does_not_know(world: World):
    await world.group("bob")
    await world.engine.runner.write(lambda c: accounts.update_user(c, "bob", role=ServerRole.OWNER))
    world.engine.accounts.forget()
    for method, path, body in protected(world):
        problem = (await call(world, "bob", method, path, body, colour="red")).refused(400, "invalid_payload")
        assert problem["details"] == {"parameter": "colour"}
