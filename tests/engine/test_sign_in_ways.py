"""Ways of signing in that plugins bring, and a server where nobody signs in by a password."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from relay.engine.loader import load
from relay.plugin import Actor, Claim, SignInWay
from relay.storage import accounts
from relay.testing import World
from relay.testing import world as running
from tests.engine.test_asking import CHEAP, HEAD, PASSWORD, guard_of, plugged

WAY = """
from relay.http import Blueprint, Body, count_attempt, endpoint, redirect
from relay.plugin import Routes, SignInWay

created, checked, refusal = [], [], None
blueprint = Blueprint("badge", __name__)


@blueprint.get("/api/badge/start")
@endpoint(query=None, answers={303: None}, access="open")
async def start():
    return redirect("../../#way=badge:code")


@blueprint.post("/api/badge/finish")
@endpoint(
    body=dict[str, str], refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED], access="open"
)
async def finish(server, body):
    def check(connection):
        checked.append(body["user"])
        if refusal:
            raise refusal

    claim = Claim(body["user"], display_name="Named", create=body.get("create") != "no")
    made = await server.users.sign_in(
        claim, address=count_attempt(), client_id="door", created=lambda _connection: created.append(body["user"]), check=check
    )
    return {"token": made.token, "user_id": made.user_id}


@hookimpl
def relay_sign_in_ways():
    return [SignInWay(name="badge", title="Badge", path="/api/badge")]


@hookimpl
def relay_routes():
    return [Routes(blueprint=blueprint)]
"""


def plugin() -> Any:
    return sys.modules["relay_plugin_asked"]


async def sign_in(world: World, user: str, **more: str) -> Any:
    return await world.rest("POST", "/api/badge/finish", json_body={"user": user, **more})


async def test_who_a_plugin_knows_has_an_ordinary_login(tmp_path: Path) -> None:
    async with plugged(tmp_path, WAY) as world:
        told = (await world.rest("GET", "/api/registration")).body
        assert told["ways"] == [{"name": "badge", "title": "Badge", "path": "/api/badge", "linkable": False}]
        answer = await world.rest("GET", "/api/badge/start")
        assert (answer.status, answer.headers["location"]) == (303, "../../#way=badge:code")
        made = (await sign_in(world, "erin")).body
        me = (await world.rest("GET", "/api/users/me", made["token"])).body
        assert (me["user_id"], me["display_name"], me["admin"]) == ("erin", "Named", False)
        assert me["token_expires_at"] == pytest.approx(world.engine.now() + 365 * 86400, abs=60)
        assert (plugin().created, plugin().checked) == (["erin"], ["erin"])
        assert (await sign_in(world, "erin")).status == 200
        assert plugin().created == ["erin"]


async def test_the_plugin_cannot_let_in_who_is_disabled_unknown_or_refused(tmp_path: Path) -> None:
    async with plugged(tmp_path, WAY) as world:
        answer = await sign_in(world, "nobody", create="no")
        assert (answer.status, answer.body["details"]["reason"]) == (403, "no_account")
        assert (await sign_in(world, "erin")).status == 200
        await world.engine.administration.set_disabled(Actor.plugin("test"), "erin", True)
        answer = await sign_in(world, "erin")
        assert (answer.status, answer.body["details"]["reason"]) == (403, "account_disabled")
        await world.engine.administration.set_disabled(Actor.plugin("test"), "erin", False)
        module = plugin()
        module.refusal = module.RelayError(module.ErrorCode.CONFLICT, "not you")
        assert (await sign_in(world, "erin")).status == 409
        tokens = await world.engine.runner.read(lambda found: accounts.list_tokens(found, "erin"))
        assert len(tokens) == 1
        server = world.engine.server_of("asked")
        with pytest.raises(TypeError, match="without admin"):
            await server.users.sign_in(Claim("erin", admin=True), address="10.0.0.1")


async def test_attempts_count_with_those_by_a_password(tmp_path: Path) -> None:
    async with plugged(tmp_path, WAY, RELAY_LIMITS__LOGINS_PER_MINUTE="2") as world:
        login = {"user_id": "erin", "password": "wrong", "client_id": "c"}
        assert (await world.rest("POST", "/api/login", json_body=login)).status == 403
        assert (await sign_in(world, "erin")).status == 200
        assert (await sign_in(world, "erin")).status == 429


async def test_a_plugin_in_quarantine_shows_no_way(tmp_path: Path) -> None:
    async with plugged(tmp_path, WAY) as world:
        guard_of(world).set_aside("a test")
        assert (await world.rest("GET", "/api/registration")).body["ways"] == []


def test_a_name_belongs_to_one_plugin(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(HEAD + WAY)
    (tmp_path / "two.py").write_text(HEAD + WAY.replace("/api/badge", "/api/other"))
    registry = load([], [tmp_path], {})
    [broken] = registry.broken
    assert broken.name == "two"
    assert "sign-in way badge is taken by plugin 'one'" in broken.reason
    assert [owned.part.path for owned in registry.parts["relay_sign_in_ways"]] == ["/api/badge"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "Badge"}, "name is 'Badge'"),
        ({"title": " "}, "title is ' '"),
        ({"title": "x" * 61}, "at most 60 characters"),
        ({"path": "//evil.example"}, "begins with /api/"),
        ({"path": "/api/../../x y"}, "begins with /api/"),
    ],
)
def test_a_way_that_cannot_be_one_is_refused(wrong: dict[str, str], told: str) -> None:
    right = {"name": "badge", "title": "Badge", "path": "/api/badge"}
    with pytest.raises(ValueError, match=told):
        SignInWay(**{**right, **wrong})


async def test_without_passwords_nobody_signs_in_or_registers_by_one_but_the_first_user(tmp_path: Path) -> None:
    off = {"RELAY_ACCOUNTS__PASSWORD_LOGIN": "false", "RELAY_ACCOUNTS__REGISTRATION": "open"}
    async with running(tmp_path, **off) as world:
        told = (await world.rest("GET", "/api/registration")).body
        assert (told["password_login"], told["first"]) == (False, True)
        code = await world.engine.registration.invite_first()
        first = {"user_id": "alice", "password": PASSWORD, "invite": code}
        assert (await world.rest("POST", "/api/register", json_body=first)).status == 201
        second = {"user_id": "bob", "password": PASSWORD}
        answer = await world.rest("POST", "/api/register", json_body=second)
        assert (answer.status, answer.body["details"]["reason"]) == (403, "password_login_off")
        hashed = CHEAP.hash(PASSWORD)
        await world.engine.runner.write(
            lambda connection: accounts.update_user(connection, "alice", password_hash=hashed)
        )
        login = {"user_id": "alice", "password": PASSWORD}
        for path, body in (("/api/login", login), ("/api/password-reset/mail", {"user": "alice"})):
            answer = await world.rest("POST", path, json_body=body)
            assert (answer.status, answer.body["details"]["reason"]) == (403, "password_login_off"), path
