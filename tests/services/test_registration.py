"""Registration: who may create an account, and by which invite."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage import accounts as table
from relay.storage import invites
from tests.services.test_accounts import PASSWORD, people


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
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
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
            token, *_ = await world.engine.registration.register(
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
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, role="admin")
        )
        token, *_ = await world.engine.registration.register(
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
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
        )
        for name, code in (("alice", ErrorCode.CONFLICT), ("no spaces", ErrorCode.INVALID_PAYLOAD)):
            with pytest.raises(RelayError) as refused:
                await world.engine.registration.register(
                    name, PASSWORD, invite=invite, display_name=None, client_id=None
                )
            assert refused.value.code is code
        await world.engine.registration.register("bob", PASSWORD, invite=invite, display_name=None, client_id=None)
