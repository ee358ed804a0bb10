"""Signing in by a password that a plugin knows: order, the same answer for all, budgets, and what is not told."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import argon2
import pytest
import trio

from relay.storage import accounts as table
from relay.testing import World
from tests.actors import OPERATOR
from tests.engine.test_asking import CHEAP, PASSWORD, guard_of, plugged

DIRECTORY = """
import trio

asked, answers = [], {}

async def sign_in(server, name, password, address):
    asked.append((name, password))
    await trio.sleep(1)
    answer = answers.get(name)
    return answer(password) if callable(answer) else answer

@hookimpl
def relay_password_authenticators():
    return [PasswordAuthenticator(sign_in=sign_in)]
"""
LOGIN = "/api/login"


def directory() -> Any:
    """Return the plugin's module: what it answers by the name, and what it was asked."""
    return sys.modules["relay_plugin_asked"]


def claim(user_id: str, **more: Any) -> Any:
    return directory().Claim(user_id, **more)


async def log_in(world: World, name: str, password: str = "theirs") -> Any:
    return await world.rest("POST", LOGIN, json_body={"user_id": name, "password": password, "client_id": "phone"})


async def give_password(world: World, user_id: str) -> None:
    hashed = CHEAP.hash(PASSWORD)
    await world.engine.runner.write(
        lambda connection: table.update_user(connection, user_id, password_hash=hashed)
    )


@asynccontextmanager
async def opened(folder: Path, code: str = DIRECTORY, *users: str, **environ: str) -> AsyncIterator[World]:
    """Run a server with the plugin, which compares passwords without a thread: virtual time waits for none."""
    async with plugged(folder, code, *users, **environ) as world:
        passwords = world.engine.logins.passwords

        async def matches(kept: str, password: str) -> bool:
            try:
                return CHEAP.verify(kept, password)
            except argon2.exceptions.VerificationError:
                return False

        passwords.matches = matches  # type: ignore[method-assign]
        passwords._decoy = CHEAP.hash("nobody's")
        yield world


async def test_who_is_known_elsewhere_gets_an_account_and_the_token_of_a_login(tmp_path: Path) -> None:
    async with opened(tmp_path, DIRECTORY, "alice") as world:
        until = world.engine.now() + 100
        directory().answers["Carol@x"] = claim(
            "carol", display_name="Carol C.", scopes={"notify"}, expires_at=until
        )
        answer = await log_in(world, "Carol@x")
        assert (answer.status, answer.body["user_id"], answer.body["expires_at"]) == (200, "carol", until)
        assert directory().asked == [("Carol@x", "theirs")]
        token = answer.body["token"]
        me = await world.rest("GET", "/api/users/me", token)
        assert (me.body["display_name"], me.body["admin"]) == ("Carol C.", False)
        identity = await world.engine.accounts.identify(token)
        assert (identity.scopes, identity.client_id) == (frozenset({"notify"}), "phone")
        (await world.connect(token, "phone")).ready  # noqa: B018 - it is let in
        await trio.sleep(101)
        assert (await world.rest("GET", "/api/users/me", token)).status == 401
        directory().answers["forever"] = claim("carol")
        again = await log_in(world, "forever")
        assert again.body["expires_at"] == pytest.approx(world.engine.now() + 365 * 86_400, abs=5)


async def test_relays_own_password_is_tried_first_and_either_lets_in(tmp_path: Path) -> None:
    async with opened(tmp_path, DIRECTORY, "alice") as world:
        await give_password(world, "alice")
        assert (await log_in(world, "alice", PASSWORD)).status == 200
        assert directory().asked == []
        directory().answers["alice"] = lambda password: claim("alice") if password == "theirs" else None
        assert (await log_in(world, "alice", "theirs")).status == 200
        assert (await log_in(world, "alice", "neither")).status == 403
        directory().answers["alice"] = claim("alice")
        assert (await log_in(world, "alice", "")).status == 403


async def test_whoever_is_refused_gets_the_same_answer_after_the_same_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, DIRECTORY, "alice", "tokenonly") as world:
        await give_password(world, "alice")
        directory().answers["off"] = claim("tokenonly")
        directory().answers["absent"] = claim("nobody", create=False)
        await world.engine.administration.set_disabled(OPERATOR, "tokenonly", True)
        compared: list[str] = []
        true = world.engine.logins.passwords.matches

        async def matches(kept: str, password: str) -> bool:
            compared.append(password)
            return await true(kept, password)

        monkeypatch.setattr(world.engine.logins.passwords, "matches", matches)
        seen = set()
        for name in ("alice", "tokenonly", "unknown", "off", "absent"):
            directory().asked.clear()
            compared.clear()
            answer = await log_in(world, name, "wrong")
            seen.add((answer.status, answer.body["detail"], len(directory().asked), len(compared)))
        assert seen == {(403, "the user or the password is wrong", 1, 1)}


async def test_wrong_passwords_are_bounded_and_right_ones_cost_nothing(tmp_path: Path) -> None:
    settings = {"RELAY_LIMITS__WRONG_PASSWORDS_PER_HOUR": "3", "RELAY_LIMITS__LOGINS_PER_MINUTE": "0"}
    async with opened(tmp_path, DIRECTORY, **settings) as world:
        directory().answers["carol"] = lambda password: claim("carol") if password == "theirs" else None
        for _ in range(9):
            assert (await log_in(world, "dave", "theirs")).status in (403, 429)
        for _ in range(5):
            assert (await log_in(world, "carol", "theirs")).status == 200
        statuses = [(await log_in(world, "unknown", f"guess {n}")).status for n in range(6)]
        assert 429 in statuses
        assert statuses == sorted(statuses)
        assert len([name for name, _ in directory().asked if name == "unknown"]) == statuses.count(403)


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        ("5", 502, "failed"),
        ("lambda password: 1 / 0", 502, "failed"),
        ("lambda password: Claim('carol', admin=True)", 502, "failed"),
        ("lambda password: Claim('carol', expires_at='soon')", 502, "failed"),
        ("lambda password: no()", 403, "not this"),
        ("Claim('not a name')", 403, "cannot be a user id"),
        ("Claim('group')", 403, "is taken"),
    ],
)
async def test_what_fails_knows_nobody_and_says_that_it_failed(
    tmp_path: Path, answer: str, status: int, detail: str
) -> None:
    async with opened(tmp_path, DIRECTORY, "alice") as world:
        await world.engine.groups.create("alice", "Team", [], "group")
        await give_password(world, "alice")
        directory().answers["carol"] = eval(answer, vars(directory()))  # the test's own
        refused = await log_in(world, "carol")
        assert (refused.status, detail in refused.body["detail"]) == (status, True), refused
        assert guard_of(world).failures == (status == 502)
        assert (await log_in(world, "alice", PASSWORD)).status == 200


async def test_a_plugin_that_cannot_be_asked_is_told_and_others_are_asked(tmp_path: Path) -> None:
    code = DIRECTORY.replace("return [", "return [PasswordAuthenticator(sign_in=fail, order=-1), ")
    async with opened(tmp_path, code, RELAY_PLUGINS__QUARANTINE_FAILURES="3") as world:
        directory().answers["carol"] = claim("carol")
        assert (await log_in(world, "carol")).status == 200
        assert (await log_in(world, "dave")).body["code"] == "plugin_failed"
        assert (await log_in(world, "dave")).body["code"] == "plugin_failed"
        assert guard_of(world).quarantined
        assert "set aside" in (await log_in(world, "carol")).body["detail"]


async def test_the_password_is_in_no_log_and_in_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cret-enough"
    code = (
        DIRECTORY
        + """
def tell(password):
    try:
        raise KeyError(password)
    except KeyError as fault:
        raise ValueError(f"cannot bind with {password}") from fault

def group(password):
    raise ExceptionGroup("both", [ValueError(password)])

def leave(password):
    raise SystemExit(password)

def refuse(password):
    raise RelayError(ErrorCode.FORBIDDEN, f"{password} is wrong")
"""
    )
    async with opened(tmp_path, code) as world:
        module = directory()
        module.answers |= {"tells": module.tell, "refuses": module.refuse, "junk": lambda password: [password]}
        module.answers |= {"groups": module.group, "leaves": module.leave}
        for name in ("tells", "refuses", "junk", "groups", "leaves", "nobody"):
            assert secret not in str(await log_in(world, name, secret))
        assert guard_of(world).failures == 4
    assert "cannot bind" not in caplog.text
    assert secret not in caplog.text
    with sqlite3.connect(tmp_path / "relay.db") as connection:
        assert secret not in "".join(connection.iterdump())


async def test_who_has_no_password_here_is_told_so_when_they_change_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        directory().answers["carol"] = claim("carol")
        token = (await log_in(world, "carol")).body["token"]
        body = {"password": "another horse", "current_password": "theirs"}
        answer = await world.rest("PATCH", "/api/users/me", token, json_body=body)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert "no password on this server" in answer.body["detail"]
