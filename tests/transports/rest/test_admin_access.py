"""Every call for moderators, admins and owners is refused to everybody below; the calls are those of the route table."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from relay.http.endpoint import Access
from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import World
from relay.testing import world as open_world
from relay.transports.rest.app import all_calls
from relay.transports.rest.calls import Call

PLUGINS = '["webhooks", "bots", "retention", "notifications", "polls", "tasks", "remind", "mcp"]'
LEAST: dict[Access, ServerRole] = {
    "moderator": ServerRole.MODERATOR,
    "admin": ServerRole.ADMIN,
    "owner": ServerRole.OWNER,
}
REASONS = {"server_moderator", "server_admin", "server_owner"}


def guarded(world: World) -> list[Call]:
    """Return every call that takes a role on the server."""
    return [call for call in all_calls(world.engine.registry) if call.access in LEAST]


async def ask(world: World, call: Call, who: str | None) -> Any:
    path = re.sub(r"{\w+}", "1", call.path)
    return await world.rest(call.method, path, who)


async def give(world: World, user_id: str, **changes: Any) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id=user_id, **changes))
    world.engine.accounts.forget()


async def test_a_call_for_a_role_is_refused_to_everybody_below_it(tmp_path: Path) -> None:
    names = [*map(str, ServerRole), "gone"]
    async with open_world(tmp_path, *names, RELAY_PLUGINS__ALSO=PLUGINS) as world:
        for role in ServerRole:
            await give(world, str(role), role=role)
        await give(world, "gone", role=ServerRole.OWNER, disabled=1)
        world.tokens["scoped"] = await world.engine.runner.write(
            lambda c: accounts.create_token(
                c, "member", 0.0, origin="cli", scopes=("admin", "owner", "notify", "metrics")
            )
        )
        calls = guarded(world)
        assert len(calls) > 35
        for call in calls:
            assert (await ask(world, call, None)).status == 401, call
            assert (await ask(world, call, "gone")).status == 403, call
            for who in (*map(str, ServerRole), "scoped"):
                role = ServerRole.MEMBER if who == "scoped" else ServerRole(who)
                if role.reaches(LEAST[call.access]):
                    continue
                answer = await ask(world, call, who)
                assert (answer.status, answer.body["details"]["reason"]) == (
                    403,
                    f"server_{LEAST[call.access]}",
                ), call


async def test_a_call_for_a_role_is_not_refused_to_that_role(tmp_path: Path) -> None:
    async with open_world(tmp_path, *map(str, ServerRole), RELAY_PLUGINS__ALSO=PLUGINS) as world:
        for role in ServerRole:
            await give(world, str(role), role=role)
        for call in guarded(world):
            answer = await ask(world, call, LEAST[call.access])
            details = (answer.body.get("details") or {}) if isinstance(answer.body, dict) else {}
            assert details.get("reason") not in REASONS, call


async def test_no_call_below_api_admin_is_for_everybody(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", RELAY_PLUGINS__ALSO=PLUGINS) as world:
        loose = [
            call.path
            for call in all_calls(world.engine.registry)
            if call.path.startswith("/api/admin") and call.access not in LEAST
        ]
        assert loose == []
