"""Logins: passwords and the tokens that they are exchanged for, and changes of one's own account."""

from __future__ import annotations

from pathlib import Path

import argon2
import pytest
import trio

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.logins import Logins
from relay.services.passwords import MAX_PASSWORD
from relay.storage import accounts as table
from tests.services.recorder import attach
from tests.services.test_accounts import PASSWORD, people


def hashes_checked(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every hash that a password is compared with."""
    checked: list[str] = []
    true = logins.passwords.matches

    async def matches(kept: str, password: str) -> bool:
        checked.append(kept)
        return await true(kept, password)

    monkeypatch.setattr(logins.passwords, "matches", matches)
    return checked


async def test_no_days_are_for_ever(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", RELAY_ACCOUNTS__TOKEN_DAYS="0") as world:
        token, expires_at, *_ = await world.engine.logins.login("alice", PASSWORD, None)
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


async def test_one_login_too_many_ends_the_one_used_longest_ago(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", RELAY_LIMITS__LOGINS_PER_USER="2") as world:
        accounts, logins = world.engine.accounts, world.engine.logins
        first, second = [(await logins.login("alice", PASSWORD, None))[0] for _ in range(2)]
        idle = await accounts.identify(second)
        _, end = attach(world.engine.connections, "alice", "x", token_id=idle.token_id)
        await trio.sleep(60)
        await accounts.identify(first)
        await accounts.save_uses()
        await trio.sleep(60)
        third = (await logins.login("alice", PASSWORD, None))[0]
        assert end.ended == [CloseCode.SESSION_REVOKED]
        with pytest.raises(Disconnect):
            await accounts.identify(second)
        for token in (first, third, world.tokens["alice"]):
            await accounts.identify(token)


async def test_logins_that_ended_long_ago_are_forgotten(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", RELAY_ACCOUNTS__TOKEN_DAYS="1") as world:
        for days in (0, 2, 31):
            await trio.sleep(days * 86_400)
            await world.engine.logins.login("alice", PASSWORD, None)
        # Of the second one it is still said that it has ended.
        assert [one["origin"] for one in await world.engine.access.tokens("alice")].count("login") == 2


async def test_a_new_name_ends_nothing(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        token, *_ = await world.engine.logins.login("alice", PASSWORD, None)
        identity = await accounts.identify(world.tokens["alice"])
        await world.engine.logins.change(identity, {"display_name": "Alice A."})
        await accounts.identify(token)
        user = await world.engine.runner.read(lambda c: table.get_user(c, "alice"))
        assert user is not None
        assert user.display_name == "Alice A."


async def test_two_are_hashed_at_once_and_no_more(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        assert world.engine.logins.passwords.threads.total_tokens == 2
