"""Logging in and out, registering, and changing oneself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.protocol.errors import CloseCode
from relay.storage import accounts, invites, presence
from tests.actors import OPERATOR
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

LOGIN, REGISTER, ME = "/api/login", "/api/register", "/api/users/me"
PASSWORD = "correct horse"


async def with_password(world: World, who: str) -> None:
    hashed = await world.engine.logins.hash_password(PASSWORD)
    await world.engine.runner.write(lambda c: accounts.update_user(c, who, password_hash=hashed))


async def log_in(world: World, who: str, address: str = "192.0.2.1", **more: Any) -> str:
    answer = await world.post(None, LOGIN, {"user_id": who, "password": PASSWORD, **more}, address=address)
    return str(answer.ok()["token"])


async def invite(world: World, uses: int = 1) -> str:
    now = world.engine.now()
    return await world.engine.runner.write(
        lambda c: invites.create_invite(c, now, created_by=None, expires_at=None, uses=uses)
    )


async def test_a_password_is_exchanged_for_a_token_that_works(world: World):
    await with_password(world, "alice")
    answer = await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD, "client_id": "phone"})
    body = answer.ok()
    assert set(body) == {"token", "user_id", "expires_at"}
    assert body["user_id"] == "alice"
    assert body["expires_at"] == pytest.approx(world.engine.now() + 365 * 86400, abs=60)
    assert (await world.get(body["token"], ME)).ok()["user_id"] == "alice"
    await world.post(body["token"], "/api/messages", {
        "type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": "bob"},
    })  # fmt: skip
    sent = (await world.get("bob", "/api/messages/user/alice")).ok()["messages"][0]
    assert sent["meta"]["client_id"] == "phone", "the login's device sends, where the message names none"


async def test_every_wrong_login_gets_the_same_answer(world: World):
    await with_password(world, "alice")
    await with_password(world, "carol")
    await world.engine.administration.set_disabled(OPERATOR, "carol", True)
    problems = [
        (await world.post(None, LOGIN, {"user_id": who, "password": password})).refused(403, "forbidden")
        for who, password in (
            ("alice", "wrong"), ("bob", PASSWORD), ("nobody", PASSWORD), ("carol", PASSWORD), ("*", "x"),
        )
    ]  # fmt: skip
    assert all(problem == problems[0] for problem in problems)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"user_id": "alice"}, {"password": "x"}, {"user_id": "", "password": "x"},
        {"user_id": 1, "password": "x"}, {"user_id": "alice", "password": "x" * 1025},
        {"user_id": "alice", "password": "x", "admin": True}, [], None,
    ],
    ids=lambda body: str(body)[:50],
)  # fmt: skip
async def test_a_login_of_another_shape_is_refused(world: World, body: Any):
    (await world.post(None, LOGIN, body)).refused(400, "invalid_payload")


async def test_a_missing_field_is_named(world: World):
    problem = (await world.post(None, LOGIN, {"user_id": "alice"})).refused(400, "invalid_payload")
    assert problem["details"] == {"field": "password"}
    problem = (await world.post(None, LOGIN, {"user_id": 5, "password": "x"})).refused(400, "invalid_payload")
    assert problem["details"] == {"field": "user_id"}


async def test_too_many_attempts_from_an_address_are_stopped_before_hashing(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"logins_per_minute": 3}) as world:
        body = {"user_id": "nobody", "password": "x"}
        for _ in range(2):
            (await world.post(None, LOGIN, body)).refused(403, "forbidden")
        (await world.post(None, REGISTER, body | {"password": PASSWORD})).refused(403, "forbidden")
        for path in (LOGIN, REGISTER):
            answer = await world.post(None, path, body)
            answer.refused(429, "rate_limited")
            assert 1 <= int(answer.headers["Retry-After"]) <= 20
        spoofed = {"X-Forwarded-For": "198.51.100.7", "Remote-Addr": "198.51.100.7"}
        (await world.post(None, LOGIN, body, headers=spoofed)).refused(429, "rate_limited")
        (await world.post(None, LOGIN, body, address="192.0.2.2")).refused(403, "forbidden")


async def test_behind_a_trusted_proxy_attempts_are_counted_for_each_client(tmp_path: Path):
    sections = {"limits": {"logins_per_minute": 1}, "server": {"trusted_proxies": ["192.0.2.0/24"]}}
    async with open_world(tmp_path, **sections) as world:
        body = {"user_id": "nobody", "password": "x"}
        for client, status in (("198.51.100.1", 403), ("198.51.100.2", 403), ("198.51.100.1", 429)):
            through = {"X-Forwarded-For": f"203.0.113.9, {client}"}
            assert (await world.post(None, LOGIN, body, headers=through)).status == status
        (await world.post(None, LOGIN, body)).refused(403, "forbidden")
        (await world.post(None, LOGIN, body)).refused(429, "rate_limited")


async def test_a_logout_ends_the_token_and_its_connections_and_no_other(world: World):
    await with_password(world, "alice")
    world.tokens["alice at work"] = await log_in(world, "alice")
    device = await world.device("alice at work", "laptop")
    (await world.post("alice at work", "/api/logout")).done()
    (await world.get("alice at work", ME)).refused(401, "forbidden")
    assert device.ended is CloseCode.SESSION_REVOKED
    (await world.get("alice", ME)).ok()


async def test_an_invite_makes_one_account(world: World):
    code = await invite(world)
    body = {"user_id": "erin", "password": PASSWORD, "invite": code, "display_name": " Erin E. "}
    answer = (await world.post(None, REGISTER, body)).ok(201)
    assert set(answer) == {"token", "user_id", "expires_at"}
    assert (await world.get(answer["token"], ME)).ok()["display_name"] == "Erin E."
    (await world.post(None, REGISTER, body | {"user_id": "frank"})).refused(403, "forbidden")


async def test_without_a_good_invite_nobody_learns_which_names_are_taken(world: World):
    problems = [
        (await world.post(None, REGISTER, {"user_id": who, "password": PASSWORD, **more})).refused(
            403, "forbidden"
        )
        for who in ("alice", "newcomer")
        for more in ({}, {"invite": "wrong"})
    ]
    assert all(problem == problems[0] for problem in problems)


async def test_a_registration_that_fails_costs_no_invite(world: World):
    code = await invite(world)
    body = {"user_id": "alice", "password": PASSWORD, "invite": code}
    (await world.post(None, REGISTER, body)).refused(409, "conflict")
    for wrong in ({"user_id": "no spaces"}, {"user_id": "erin", "password": "short"}, {"display_name": "\n"}):
        (await world.post(None, REGISTER, body | wrong)).refused(400, "invalid_payload")
    (await world.post(None, REGISTER, body | {"user_id": "erin"})).ok(201)


@pytest.mark.parametrize(("registration", "status"), [("open", 201), ("closed", 403)])
async def test_the_configuration_says_who_may_register(tmp_path: Path, registration: str, status: int):
    async with open_world(tmp_path, accounts={"registration": registration}) as world:
        answer = await world.post(None, REGISTER, {"user_id": "erin", "password": PASSWORD})
        assert answer.status == status


async def test_one_sees_and_changes_ones_own_name(world: World):
    me = (await world.get("alice", ME)).ok()
    assert (me["user_id"], me["display_name"], me["admin"]) == ("alice", "alice", False)
    assert me["token_expires_at"] is None
    changed = (await world.call("alice", "PATCH", ME, {"display_name": " Alice A. "})).ok()
    assert changed == me | {"display_name": "Alice A."}
    assert (await world.get("bob", "/api/users/alice")).ok()["display_name"] == "Alice A."


@pytest.mark.parametrize(
    "body",
    [
        {}, {"display_name": ""}, {"display_name": "  "}, {"display_name": "a\x00b"}, {"display_name": "x" * 129},
        {"admin": True}, {"password": PASSWORD}, {"current_password": PASSWORD},
        {"password": "short", "current_password": PASSWORD}, {"user_id": "root"},
    ],
    ids=lambda body: str(body)[:50],
)  # fmt: skip
async def test_a_change_that_cannot_be_is_refused(world: World, body: Any):
    await with_password(world, "alice")
    (await world.call("alice", "PATCH", ME, body)).refused(400, "invalid_payload")


async def test_a_new_password_ends_all_other_logins(world: World):
    await with_password(world, "alice")
    for place in ("here", "there"):
        world.tokens[place] = await log_in(world, "alice")
    here, there = await world.device("here", "laptop"), await world.device("there", "phone")
    change = {"password": "battery staple", "current_password": PASSWORD}
    (await world.call("here", "PATCH", ME, change)).ok()
    (await world.get("there", ME)).refused(401, "forbidden")
    assert (here.ended, there.ended) == (None, CloseCode.SESSION_REVOKED)
    for who in ("here", "alice"):
        (await world.get(who, ME)).ok()
    (await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD})).refused(403, "forbidden")
    (await world.post(None, LOGIN, {"user_id": "alice", "password": "battery staple"})).ok()


async def test_a_stolen_token_does_not_change_the_password(world: World):
    await with_password(world, "alice")
    for who in ("alice", "bob"):  # bob has no password at all
        change = {"password": "battery staple", "current_password": "a guess", "display_name": "Mallory"}
        (await world.call(who, "PATCH", ME, change)).refused(403, "forbidden")
        assert (await world.get(who, ME)).ok()["display_name"] == who
    await log_in(world, "alice")


async def test_guessing_the_present_password_is_limited_like_a_login(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"logins_per_minute": 2}) as world:
        change = {"password": "battery staple", "current_password": "a guess"}
        for _ in range(2):
            (await world.call("alice", "PATCH", ME, change)).refused(403, "forbidden")
        (await world.call("alice", "PATCH", ME, change)).refused(429, "rate_limited")
        (await world.call("alice", "PATCH", ME, {"display_name": "Alice"})).ok()


async def test_one_chooses_who_sees_ones_presence_and_whether_receipts_are_told(world: World):
    await world.device("alice", "phone")
    changed = (
        await world.call("alice", "PATCH", "/api/users/me", {"presence_to": "nobody", "receipts": False})
    ).ok()
    assert (changed["presence_to"], changed["receipts"]) == ("nobody", False)
    assert (await world.get("alice", "/api/users/me")).ok() == changed
    assert (await world.get("bob", "/api/users/alice/status")).ok()["status"] == "unknown"
    assert (await world.get("alice", "/api/users/alice/status")).ok()["status"] == "offline"
    for body in ({"presence_to": "some"}, {"receipts": 1}):
        (await world.call("alice", "PATCH", "/api/users/me", body)).refused(400, "invalid_payload")
    (await world.call("alice", "PATCH", "/api/users/me", {"presence_to": "everyone"})).ok()
    assert (await world.get("bob", "/api/users/alice/status")).ok()["status"] == "offline"


async def test_one_sees_the_status_that_one_chose_and_others_do_not(world: World):
    def told(me: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(me[name] for name in ("status", "status_text", "status_until"))

    assert told((await world.get("alice", ME)).ok()) == ("online", None, None)
    until = world.engine.now() + 1000
    for chosen, expected in (
        ({"status": "busy", "text": "writing", "until": until}, ("busy", "writing", until)),
        ({"status": "offline"}, ("offline", None, None)),
    ):
        sent = {"type": "status_update", "payload": chosen, "meta": {}}
        (await world.post("alice", "/api/messages", sent)).ok(201)
        assert told((await world.get("alice", ME)).ok()) == expected
    assert (await world.get("bob", "/api/users/alice/status")).ok()["status"] == "offline"
    await world.engine.runner.write(lambda c: presence.choose_status(c, "alice", "busy", "over", 1.0))
    assert told((await world.get("alice", ME)).ok()) == ("online", None, None), "what was to end has ended"
