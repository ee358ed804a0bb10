"""Accounts: who a token speaks for, passwords, and what is remembered no longer than it is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import argon2
import pytest
import trio

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.logins import Logins
from relay.services.passwords import MAX_PASSWORD
from relay.storage import accounts as table
from relay.testing import World
from relay.testing import world as open_world
from relay.transports import greeting
from tests.services.recorder import attach

PASSWORD = "correct horse"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@asynccontextmanager
async def people(folder: Path, *names: str, **environ: str) -> AsyncIterator[World]:
    """Run a server whose passwords cost nothing to hash; alice has one."""
    async with open_world(folder, *names, **environ) as world:
        world.engine.logins.passwords.hasher = CHEAP
        hashed = await world.engine.logins.hash_password(PASSWORD)
        if "alice" in names:
            await world.engine.runner.write(lambda c: table.update_user(c, "alice", password_hash=hashed))
        yield world


def hashes_checked(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every hash that a password is compared with."""
    checked: list[str] = []
    true = logins.passwords.matches

    async def matches(kept: str, password: str) -> bool:
        checked.append(kept)
        return await true(kept, password)

    monkeypatch.setattr(logins.passwords, "matches", matches)
    return checked


async def test_a_token_is_looked_up_once_and_remembered(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts, token = world.engine.accounts, world.tokens["alice"]
        first = await accounts.identify(token)
        await world.engine.runner.write(lambda c: table.update_user(c, "alice", admin=1))
        assert await accounts.identify(token) is first
        accounts.forget()
        assert (await accounts.identify(token)).admin is True


@pytest.mark.parametrize("wrong", ["", "rly_nonsense", "\0", "ü" * 300])
async def test_a_wrong_token_is_nobodys(tmp_path: Path, wrong: str) -> None:
    async with people(tmp_path, "alice") as world:
        with pytest.raises(Disconnect) as refused:
            await world.engine.accounts.identify(wrong)
        assert refused.value.code is CloseCode.BAD_TOKEN


async def test_a_token_expires_to_the_second_though_it_is_remembered(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", RELAY_ACCOUNTS__TOKEN_DAYS="2") as world:
        accounts = world.engine.accounts
        token, expires_at, _ = await world.engine.logins.login("alice", PASSWORD, "phone")
        assert expires_at == pytest.approx(world.engine.now() + 2 * 86_400)
        await trio.sleep(2 * 86_400 - 1)
        assert (await accounts.identify(token)).client_id == "phone"
        await trio.sleep(1)
        with pytest.raises(Disconnect, match="expired") as refused:
            await accounts.identify(token)
        assert refused.value.code is CloseCode.BAD_TOKEN


async def test_no_days_are_for_ever(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", RELAY_ACCOUNTS__TOKEN_DAYS="0") as world:
        token, expires_at, _ = await world.engine.logins.login("alice", PASSWORD, None)
        assert expires_at is None
        await trio.sleep(100 * 365 * 86_400)
        await world.engine.accounts.identify(token)


async def test_a_wrong_password_nobody_and_no_password_are_refused_alike_at_the_same_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, "alice", "bob") as world:
        checked = hashes_checked(world.engine.logins, monkeypatch)
        said = set()
        for user_id in ("alice", "bob", "nobody", "nobody"):
            before = len(checked)
            with pytest.raises(RelayError) as refused:
                await world.engine.logins.login(user_id, "wrong", None)
            said.add((refused.value.code, refused.value.message))
            assert len(checked) == before + 1
        assert len(said) == 1
        assert said.pop()[0] is ErrorCode.FORBIDDEN
        assert len(set(checked)) == 2, "one decoy serves all who are not there"


async def test_a_disabled_account_is_out_at_once_and_cannot_log_in(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", "bob") as world:
        accounts, token = world.engine.accounts, world.tokens["alice"]
        _, alice = attach(world.engine.connections, "alice")
        _, bob = attach(world.engine.connections, "bob")
        await accounts.identify(token)
        await accounts.set_disabled("alice", True)
        assert (alice.ended, bob.ended) == ([CloseCode.ACCOUNT_DISABLED], [])
        with pytest.raises(Disconnect) as refused:
            await accounts.identify(token)
        assert refused.value.code is CloseCode.ACCOUNT_DISABLED
        with pytest.raises(RelayError) as denied:
            await world.engine.logins.login("alice", PASSWORD, None)
        assert denied.value.code is ErrorCode.FORBIDDEN
        await accounts.set_disabled("alice", False)
        await accounts.identify(token)
        with pytest.raises(RelayError) as missing:
            await accounts.set_disabled("nobody", True)
        assert missing.value.code is ErrorCode.NOT_FOUND


async def test_a_revoked_token_is_forgotten_and_its_connections_end(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts, token = world.engine.accounts, world.tokens["alice"]
        token_id = (await accounts.identify(token)).token_id
        _, using = attach(world.engine.connections, "alice", "one", token_id=token_id)
        _, other = attach(world.engine.connections, "alice", "two", token_id="another")
        await accounts.revoke_token(token_id)
        assert (using.ended, other.ended) == ([CloseCode.SESSION_REVOKED], [])
        with pytest.raises(Disconnect):
            await accounts.identify(token)
        with pytest.raises(RelayError):
            await accounts.revoke_token(token_id)


async def test_a_revoked_device_ends_with_the_login_it_came_with(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        token, _, _ = await world.engine.logins.login("alice", PASSWORD, "phone")
        token_id = (await accounts.identify(token)).token_id
        await world.engine.runner.write(lambda c: table.attach_device(c, "alice", "phone", token_id, 1.0))
        _, phone = attach(world.engine.connections, "alice", "phone", token_id=token_id)
        await accounts.revoke_device("alice", "phone")
        assert phone.ended == [CloseCode.SESSION_REVOKED]
        with pytest.raises(Disconnect):
            await accounts.identify(token)


async def test_every_socket_of_a_revoked_devices_login_ends_whichever_device_it_said_it_is(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        world.tokens["login"], _, _ = await world.engine.logins.login("alice", PASSWORD, "phone")
        phone = await world.connect("login", "phone")
        other = await world.connect("login", "another")
        by_hand = await world.connect("alice", "desk")
        await accounts.revoke_device("alice", "phone")
        assert [(await device.closed()).code for device in (phone, other)] == [4503, 4503]
        await by_hand.say("alice", "still here", "1")
        assert (await by_hand.next("ack", "error"))["type"] == "ack"


async def test_a_device_that_is_revoked_while_it_says_hello_stays_out(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        first = await world.connect("alice", "phone")
        await first.cut()
        identity = await accounts.identify(world.tokens["alice"])
        seen = await world.engine.runner.read(lambda c: table.get_device(c, "alice", "phone"))
        assert seen is not None
        await trio.sleep(2 * 3600)  # so that it is noted anew
        await accounts.revoke_device("alice", "phone")
        with pytest.raises(Disconnect) as refused:
            await greeting.attach_device(world.engine, identity, "phone", seen)
        assert refused.value.code is CloseCode.SESSION_REVOKED
        kept = await world.engine.runner.read(lambda c: table.get_device(c, "alice", "phone"))
        assert kept is not None
        assert kept.revoked_at is not None


@pytest.mark.parametrize("seconds", [3, 100])
async def test_a_connection_ends_with_its_token_to_the_second(tmp_path: Path, seconds: int) -> None:
    async with people(tmp_path, "alice") as world:
        began = world.engine.now()
        world.tokens["short"] = await world.engine.runner.write(
            lambda c: table.create_token(c, "alice", began, origin="cli", expires_at=began + seconds)
        )
        device = await world.connect("short")
        assert (await device.closed()).code == 4501
        assert world.engine.now() - began == pytest.approx(seconds, abs=0.1)


async def test_a_hash_of_older_parameters_is_renewed_at_the_next_login(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        kept = await world.engine.runner.read(lambda c: table.password_hash(c, "alice"))
        world.engine.logins.passwords.hasher = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
        with pytest.raises(RelayError):
            await world.engine.logins.login("alice", "wrong", None)
        assert await world.engine.runner.read(lambda c: table.password_hash(c, "alice")) == kept
        await world.engine.logins.login("alice", PASSWORD, None)
        renewed = await world.engine.runner.read(lambda c: table.password_hash(c, "alice"))
        assert renewed is not None
        assert renewed != kept
        assert "t=2" in renewed
        await world.engine.logins.login("alice", PASSWORD, None)
        assert await world.engine.runner.read(lambda c: table.password_hash(c, "alice")) == renewed


@pytest.mark.parametrize(
    ("registration", "invited", "code"),
    [
        ("open", False, None),
        ("invite", True, None),
        ("invite", False, ErrorCode.FORBIDDEN),
        ("closed", True, ErrorCode.FORBIDDEN),
    ],
)
async def test_who_may_register(tmp_path: Path, registration: str, invited: bool, code: ErrorCode | None) -> None:
    async with people(tmp_path, RELAY_ACCOUNTS__REGISTRATION=registration) as world:
        invite = await world.engine.runner.write(
            lambda c: table.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
        )

        async def register(name: str) -> str:
            made = await world.engine.registration.register(
                name, PASSWORD, invite=invite if invited else None, display_name="N", client_id=None
            )
            return made[0]

        if code is None:
            assert (await world.engine.accounts.identify(await register("new"))).user_id == "new"
        else:
            with pytest.raises(RelayError) as refused:
                await register("new")
            assert refused.value.code is code
            assert await world.engine.runner.read(table.count_users) == 0


@pytest.mark.parametrize("registration", ["invite", "open", "closed"])
async def test_the_first_users_invite_makes_an_admin_of_the_first_and_of_nobody_else(
    tmp_path: Path, registration: str
) -> None:
    async with people(tmp_path, RELAY_ACCOUNTS__REGISTRATION=registration) as world:
        accounts = world.engine.accounts
        replaced, code = (
            await world.engine.registration.invite_first(),
            await world.engine.registration.invite_first(),
        )
        assert code

        async def register(name: str, invite: str | None) -> bool:
            token, _, _ = await world.engine.registration.register(
                name, PASSWORD, invite=invite, display_name=None, client_id=None
            )
            return (await accounts.identify(token)).admin

        with pytest.raises(RelayError, match="wrong, used up or expired"):
            await register("late", replaced)
        assert await register("first", code) is True
        with pytest.raises(RelayError):
            await register("second", code)
        assert await world.engine.registration.invite_first() is None


async def test_the_first_users_invite_is_void_once_there_is_somebody_or_a_day_has_gone(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        code = await world.engine.registration.invite_first()
        await trio.sleep(86_400)
        with pytest.raises(RelayError, match="expired"):
            await world.engine.registration.register(
                "late", PASSWORD, invite=code, display_name=None, client_id=None
            )
        code = await world.engine.registration.invite_first()
        await world.user("by-command")
        with pytest.raises(RelayError, match="used up"):
            await world.engine.registration.register(
                "late", PASSWORD, invite=code, display_name=None, client_id=None
            )


async def test_an_admins_invite_makes_an_admin_where_none_is_needed_too(tmp_path: Path) -> None:
    async with people(tmp_path, RELAY_ACCOUNTS__REGISTRATION="open") as world:
        accounts = world.engine.accounts
        invite = await world.engine.runner.write(
            lambda c: table.create_invite(c, 1.0, created_by=None, expires_at=None, role="admin")
        )
        token, _, _ = await world.engine.registration.register(
            "new", PASSWORD, invite=invite, display_name=None, client_id=None
        )
        assert (await accounts.identify(token)).admin
        with pytest.raises(RelayError, match="used up"):
            await world.engine.registration.register(
                "newer", PASSWORD, invite=invite, display_name=None, client_id=None
            )


async def test_a_registration_that_fails_leaves_the_invite_good(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        invite = await world.engine.runner.write(
            lambda c: table.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
        )
        for name, code in (("alice", ErrorCode.CONFLICT), ("no spaces", ErrorCode.INVALID_PAYLOAD)):
            with pytest.raises(RelayError) as refused:
                await world.engine.registration.register(
                    name, PASSWORD, invite=invite, display_name=None, client_id=None
                )
            assert refused.value.code is code
        await world.engine.registration.register("bob", PASSWORD, invite=invite, display_name=None, client_id=None)


@pytest.mark.parametrize(("length", "good"), [(0, False), (7, False), (8, True), (1024, True), (1025, False)])
async def test_a_password_has_its_bounds(tmp_path: Path, length: int, good: bool) -> None:
    assert MAX_PASSWORD == 1024
    async with people(tmp_path) as world:
        if good:
            world.engine.logins.check_password("x" * length)
        else:
            with pytest.raises(RelayError, match="8 to 1024 characters"):
                world.engine.logins.check_password("x" * length)


async def test_a_new_password_ends_the_other_logins_and_needs_the_old_one(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        mine, theirs = [(await world.engine.logins.login("alice", PASSWORD, None))[0] for _ in range(2)]
        identity, other = await accounts.identify(mine), await accounts.identify(theirs)
        _, their_end = attach(world.engine.connections, "alice", "x", token_id=other.token_id)
        for current in (None, "", "wrong"):
            with pytest.raises(RelayError) as refused:
                await world.engine.logins.change(identity, {}, "another horse", current)
            assert refused.value.code is ErrorCode.FORBIDDEN
        await world.engine.logins.change(identity, {"display_name": "Alice A."}, "another horse", PASSWORD)
        assert their_end.ended == [CloseCode.SESSION_REVOKED]
        with pytest.raises(Disconnect):
            await accounts.identify(theirs)
        await accounts.identify(mine)
        await accounts.identify(world.tokens["alice"])
        with pytest.raises(RelayError):
            await world.engine.logins.login("alice", PASSWORD, None)
        await world.engine.logins.login("alice", "another horse", None)


async def test_a_new_name_ends_nothing(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        token, _, _ = await world.engine.logins.login("alice", PASSWORD, None)
        identity = await accounts.identify(world.tokens["alice"])
        await world.engine.logins.change(identity, {"display_name": "Alice A."})
        await accounts.identify(token)
        user = await world.engine.runner.read(lambda c: table.get_user(c, "alice"))
        assert user is not None
        assert user.display_name == "Alice A."


async def test_two_are_hashed_at_once_and_no_more(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        assert world.engine.logins.passwords.threads.total_tokens == 2
