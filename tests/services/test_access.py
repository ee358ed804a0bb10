"""Tokens and connections of others: who may make and end them, and for how long they are good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ServerRole
from relay.services.audit import Actor
from relay.storage import accounts
from relay.storage.accounts import Identity
from relay.testing import Closed, World

pytestmark = pytest.mark.world("adam", "anna", "gina", "bob")
OPERATOR = Actor.operator(0)
DAY = 86_400


async def roles(world: World) -> Actor:
    """Make adam and anna admins and gina a guest; return adam as the one who acts."""
    for name, role in (("adam", ServerRole.ADMIN), ("anna", ServerRole.ADMIN), ("gina", ServerRole.GUEST)):
        await world.engine.runner.write(partial(accounts.update_user, user_id=name, role=role))
    world.engine.accounts.forget()
    return Actor.of(Identity(user_id="adam", role=ServerRole.ADMIN), "rest")


async def code(call: Callable[[], Awaitable[Any]]) -> ErrorCode | None:
    """Return the code that a call is refused with; None where it is not."""
    try:
        await call()
    except RelayError as refused:
        return refused.code
    return None


async def token_id(world: World, user: str) -> str:
    return str((await world.engine.access.tokens(user))[0]["token_id"])


async def test_nobody_touches_the_access_of_who_is_as_high_as_they_are(world: World) -> None:
    adam, access = await roles(world), world.engine.access
    for user, expected in (("anna", ErrorCode.FORBIDDEN), ("bob", None)):
        device = await world.connect(user)
        assert await code(lambda: access.create_token(adam, user)) is expected  # noqa: B023
        assert await code(lambda: access.end_connection(adam, user, f"{user}-1")) is expected  # noqa: B023
        one = await token_id(world, user)
        assert await code(lambda: access.revoke_token(adam, one)) is expected  # noqa: B023
        await device.cut()


async def test_a_guest_gets_no_token(world: World) -> None:
    await roles(world)
    assert await code(lambda: world.engine.access.create_token(OPERATOR, "gina")) is ErrorCode.FORBIDDEN


async def test_a_token_is_good_for_its_days(world: World) -> None:
    world.tokens["bob"] = await world.engine.access.create_token(OPERATOR, "bob", days=1)
    await (await world.connect("bob")).cut()
    await trio.sleep(1.001 * DAY)
    with pytest.raises(Closed):
        await world.connect("bob")


async def test_a_token_is_not_revoked_under_the_name_of_another_user(world: World) -> None:
    access, one = world.engine.access, await token_id(world, "bob")
    assert await code(lambda: access.revoke_token(OPERATOR, one, "adam")) is ErrorCode.NOT_FOUND
    assert await code(lambda: access.revoke_token(OPERATOR, one, "bob")) is None
