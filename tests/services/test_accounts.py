"""Accounts: who a token speaks for, and what is remembered no longer than it is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.storage import accounts as table
from relay.storage import devices
from relay.testing import World
from relay.testing import world as open_world
from relay.transports import greeting
from tests.actors import OPERATOR
from tests.services.recorder import attach

PASSWORD = "correct horse"


@asynccontextmanager
async def people(folder: Path, *names: str, **environ: str) -> AsyncIterator[World]:
    """Run a server whose passwords cost nothing to hash; alice has one."""
    async with open_world(folder, *names, **environ) as world:
        hashed = await world.engine.logins.hash_password(PASSWORD)
        if "alice" in names:
            await world.engine.runner.write(lambda c: table.update_user(c, "alice", password_hash=hashed))
        yield world


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
        token, expires_at, *_ = await world.engine.logins.login("alice", PASSWORD, "phone")
        assert expires_at == pytest.approx(world.engine.now() + 2 * 86_400)
        await trio.sleep(2 * 86_400 - 1)
        assert (await accounts.identify(token)).client_id == "phone"
        await trio.sleep(1)
        with pytest.raises(Disconnect, match="expired") as refused:
            await accounts.identify(token)
        assert refused.value.code is CloseCode.BAD_TOKEN


async def test_a_disabled_account_is_out_at_once_and_cannot_log_in(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", "bob") as world:
        accounts, token = world.engine.accounts, world.tokens["alice"]
        _, alice = attach(world.engine.connections, "alice")
        _, bob = attach(world.engine.connections, "bob")
        await accounts.identify(token)
        await world.engine.administration.set_disabled(OPERATOR, "alice", True)
        assert (alice.ended, bob.ended) == ([CloseCode.ACCOUNT_DISABLED], [])
        with pytest.raises(Disconnect) as refused:
            await accounts.identify(token)
        assert refused.value.code is CloseCode.ACCOUNT_DISABLED
        with pytest.raises(RelayError) as denied:
            await world.engine.logins.login("alice", PASSWORD, None)
        assert denied.value.code is ErrorCode.FORBIDDEN
        await world.engine.administration.set_disabled(OPERATOR, "alice", False)
        await accounts.identify(token)
        with pytest.raises(RelayError) as missing:
            await world.engine.administration.set_disabled(OPERATOR, "nobody", True)
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
        token, *_ = await world.engine.logins.login("alice", PASSWORD, "phone")
        token_id = (await accounts.identify(token)).token_id
        await world.engine.runner.write(lambda c: devices.attach_device(c, "alice", "phone", token_id, 1.0))
        _, phone = attach(world.engine.connections, "alice", "phone", token_id=token_id)
        await accounts.revoke_device("alice", "phone")
        assert phone.ended == [CloseCode.SESSION_REVOKED]
        with pytest.raises(Disconnect):
            await accounts.identify(token)


async def test_every_socket_of_a_revoked_devices_login_ends_whichever_device_it_said_it_is(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        accounts = world.engine.accounts
        world.tokens["login"], *_ = await world.engine.logins.login("alice", PASSWORD, "phone")
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
        seen = await world.engine.runner.read(lambda c: devices.get_device(c, "alice", "phone"))
        assert seen is not None
        await trio.sleep(2 * 3600)  # so that it is noted anew
        await accounts.revoke_device("alice", "phone")
        with pytest.raises(Disconnect) as refused:
            await greeting.attach_device(world.engine, identity, "phone", seen)
        assert refused.value.code is CloseCode.SESSION_REVOKED
        kept = await world.engine.runner.read(lambda c: devices.get_device(c, "alice", "phone"))
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
