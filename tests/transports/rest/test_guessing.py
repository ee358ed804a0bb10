"""Guessing passwords: by account as well as by address, and neither the owner nor anybody else is kept out by it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import argon2
import pytest
import trio
from trio.testing import MockClock

from relay.app import admin
from relay.protocol.errors import ErrorCode, RelayError
from relay.storage import accounts
from tests.actors import OPERATOR
from tests.transports.rest.test_accounts import LOGIN, ME, PASSWORD, REGISTER, invite, log_in, with_password
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

HOME = "198.51.100.1"


async def guess(world: World, who: str, address: str, password: str = "a guess") -> Any:
    return await world.post(None, LOGIN, {"user_id": who, "password": password}, address=address)


async def test_guesses_at_one_account_are_counted_wherever_they_come_from(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"wrong_passwords_per_hour": 5}) as world:
        await with_password(world, "alice")
        await with_password(world, "bob")
        await log_in(world, "alice", address=HOME)
        for who in ("alice", "nobody"):
            for number in range(5):
                (await guess(world, who, f"203.0.113.{number}")).refused(403, "forbidden")
            for number in range(5, 8):
                (await guess(world, who, f"203.0.113.{number}")).refused(429, "rate_limited")
            (await guess(world, who.upper(), "203.0.113.9")).refused(429, "rate_limited")
        assert (await guess(world, "alice", "203.0.113.10", PASSWORD)).status == 429, (
            "its answer must tell nothing"
        )
        await log_in(world, "alice", address=HOME)
        await log_in(world, "bob", address="203.0.113.1")


async def test_guesses_from_a_place_the_owner_uses_are_counted_there_alone(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"wrong_passwords_per_hour": 3}) as world:
        await with_password(world, "alice")
        for address in (HOME, "198.51.100.2"):
            await log_in(world, "alice", address=address)
        for _ in range(3):
            (await guess(world, "alice", HOME)).refused(403, "forbidden")
        (await guess(world, "alice", HOME)).refused(429, "rate_limited")
        await log_in(world, "alice", address="198.51.100.2")
        await log_in(world, "alice", address="203.0.113.7")


async def test_right_passwords_use_nothing_up_and_the_budget_comes_back(autojump_clock: MockClock, tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"wrong_passwords_per_hour": 2}) as world:
        await with_password(world, "alice")
        for number in range(6):
            await log_in(world, "alice", address=f"203.0.113.{number}")
        for number in range(20, 22):
            await guess(world, "alice", f"203.0.113.{number}")
        waits = (await guess(world, "alice", "203.0.113.30", PASSWORD)).refused(429, "rate_limited")
        assert 0 < waits["retry_after"] <= 1800
        await trio.sleep(1801)
        await log_in(world, "alice", address="203.0.113.30")


async def test_the_addresses_of_one_ipv6_network_are_one(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"logins_per_minute": 3}) as world:
        for number in range(3):
            (await guess(world, f"u{number}", f"2001:db8::{number}")).refused(403, "forbidden")
        (await guess(world, "u9", "2001:db8::ffff:1")).refused(429, "rate_limited")
        (await guess(world, "u9", "2001:db8:0:1::1")).refused(403, "forbidden")


async def test_who_stole_a_token_has_few_tries_at_the_password_and_keeps_no_login_out(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"wrong_passwords_per_hour": 3}) as world:
        await with_password(world, "alice")
        change = {"password": "another horse", "current_password": "a guess"}
        for number in range(3):
            answer = await world.call("alice", "PATCH", ME, change, address=f"203.0.113.{number}")
            answer.refused(403, "forbidden")
        answer = await world.call("alice", "PATCH", ME, change, address="203.0.113.4")
        answer.refused(429, "rate_limited")
        await log_in(world, "alice", address="203.0.113.5")


async def test_a_flood_of_guesses_is_refused_while_others_log_in_and_talk(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob") as world:
        passwords = world.engine.logins.passwords
        await with_password(world, "alice")
        await log_in(world, "alice", address=HOME)
        gate, true = threading.Event(), passwords.hasher.verify
        statuses: list[int] = []

        class Slow(argon2.PasswordHasher):
            def verify(self, hash: str | bytes, password: str | bytes) -> Any:
                gate.wait(20)
                return true(hash, password)

        passwords.hasher = Slow(time_cost=1, memory_cost=8, parallelism=1)

        async def one(number: int) -> None:
            statuses.append((await guess(world, f"u{number}", f"203.0.{number // 250}.{number % 250}")).status)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(300):
                    nursery.start_soon(one, number)
                while len(statuses) < 300 - 42:
                    await trio.sleep(0.01)
                assert set(statuses) == {503}, "two are looked at, forty wait, the others are told to come back"
                device = await world.device("bob", "phone")
                await world.say("alice", "bob", "meanwhile")
                assert any(frame["type"] == "chat_message" for frame in device.frames)
                login = trio.Event()

                async def come_home() -> None:
                    await log_in(world, "alice", address=HOME)
                    login.set()

                nursery.start_soon(come_home)
                await trio.testing.wait_all_tasks_blocked(0.05)
                gate.set()
                await login.wait()
                assert statuses.count(403) <= 6, "whose place is known went before those who waited"


@pytest.mark.parametrize("by", ["owner", "operator"])
async def test_a_login_with_the_old_password_does_not_outlive_its_change(tmp_path: Path, by: str):
    async with open_world(tmp_path, "alice") as world:
        passwords = world.engine.logins.passwords
        await with_password(world, "alice")
        true, identity = passwords.matches, await world.engine.accounts.identify(world.tokens["alice"])

        async def matches(kept: str, password: str) -> bool:
            right = await true(kept, password)
            passwords.matches = true  # type: ignore[method-assign]
            if by == "owner":
                await world.engine.logins.change(identity, {}, "another horse", PASSWORD)
            else:
                await admin.perform(world.engine, "user.passwd", {"user_id": "alice", "password": "another horse"})
            return right

        passwords.matches = matches  # type: ignore[method-assign]
        (await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD})).refused(403, "forbidden")
        left = await world.engine.runner.read(lambda c: accounts.list_tokens(c, "alice"))
        assert [one["origin"] for one in left].count("login") == 0
        (await world.post(None, LOGIN, {"user_id": "alice", "password": "another horse"})).ok()


async def test_a_password_is_not_changed_by_a_token_or_a_password_that_ended_meanwhile(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        passwords, services = world.engine.logins.passwords, world.engine.accounts
        await with_password(world, "alice")
        token = await log_in(world, "alice")
        identity, true = await services.identify(token), passwords.matches

        async def matches(kept: str, password: str) -> bool:
            passwords.matches = true  # type: ignore[method-assign]
            right = await true(kept, password)
            await services.revoke_token(identity.token_id)
            return right

        passwords.matches = matches  # type: ignore[method-assign]
        change = {"password": "a thief's own", "current_password": PASSWORD}
        assert (await world.call(token, "PATCH", ME, change)).status == 401
        await log_in(world, "alice")


async def test_an_account_that_is_disabled_while_it_logs_in_gets_no_token(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        passwords = world.engine.logins.passwords
        await with_password(world, "alice")
        true = passwords.matches

        async def matches(kept: str, password: str) -> bool:
            await world.engine.administration.set_disabled(OPERATOR, "alice", True)
            return await true(kept, password)

        passwords.matches = matches  # type: ignore[method-assign]
        (await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD})).refused(403, "forbidden")


async def test_no_password_is_hashed_for_an_invite_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with open_world(tmp_path) as world:
        monkeypatch.setattr(world.engine.logins.passwords, "hash", None)
        body = {"user_id": "mallory", "password": PASSWORD, "invite": "none"}
        (await world.post(None, REGISTER, body)).refused(403, ErrorCode.FORBIDDEN)


async def test_who_types_their_name_in_another_case_is_let_in_as_themself(world: World):
    await with_password(world, "alice")
    body = (await world.post(None, LOGIN, {"user_id": "ALice", "password": PASSWORD})).ok()
    assert body["user_id"] == "alice"
    assert (await world.get(body["token"], ME)).ok()["user_id"] == "alice"


async def test_two_of_before_whose_names_are_alike_log_in_by_their_own(world: World):
    await with_password(world, "alice")
    await world.engine.runner.write(lambda c: _beside(c, "Alice"))
    await with_password(world, "Alice")
    for who in ("alice", "Alice"):
        assert (await world.post(None, LOGIN, {"user_id": who, "password": PASSWORD})).ok()["user_id"] == who
    (await world.post(None, LOGIN, {"user_id": "ALICE", "password": PASSWORD})).refused(403, "forbidden")


def _beside(connection: Any, name: str) -> None:
    """Make a user as a server of before did, beside one whose name differs in case only."""
    accounts.create_user(connection, "other", 1.0)
    connection.execute("UPDATE names SET name = ? WHERE name = 'other'", (name,))
    connection.execute("UPDATE users SET user_id = ? WHERE user_id = 'other'", (name,))


async def test_a_name_that_differs_in_case_only_is_taken_at_every_way_in(world: World):
    engine = world.engine
    body = {"user_id": "Alice", "password": PASSWORD, "invite": await invite(world)}
    (await world.post(None, REGISTER, body)).refused(409, "conflict")
    (await world.post("bob", "/api/groups", {"name": "x", "group_id": "ALICE", "members": []})).refused(
        409, "conflict"
    )
    line = '{"type": "chat_message", "payload": {"content": "x"},'
    line += ' "meta": {"id": "1", "sender_id": "Alice", "target_id": "bob", "timestamp": 1}}'
    asked = {
        "user.add": {"user_id": "Alice"},
        "user.import": {"user_ids": ["aLice"]},
        "group.create": {"group_id": "Alice", "name": "x", "owner": "bob"},
    }
    for operation, arguments in asked.items():
        with pytest.raises(RelayError, match="differs in case only"):
            await admin.perform(engine, operation, arguments)
    done = await admin.perform(engine, "import", {"lines": [line], "create_users": True})
    assert done["problems"][0]["code"] == "not_found"
    found = await engine.runner.read(lambda c: [one.user_id for one in accounts.list_users(c)])
    assert [name for name in found if name.lower() == "alice"] == ["alice"]
