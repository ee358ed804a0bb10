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


ABOUT_ACCOUNTS: dict[str, Any] = {
    "DELETE /api/admin/restrictions/{kind}/{user_id}": None,
    "DELETE /api/admin/users/{user_id}": None,
    "DELETE /api/admin/users/{user_id}/devices": None,
    "DELETE /api/admin/users/{user_id}/second-factor": None,
    "DELETE /api/admin/users/{user_id}/tokens/{token_id}": None,
    "PATCH /api/admin/users/{user_id}": {"display_name": "x"},
    "POST /api/admin/users/{user_id}/erase": None,
    "POST /api/admin/users/{user_id}/reset-link": {},
    "POST /api/admin/users/{user_id}/tokens": {},
    "PUT /api/admin/restrictions/{kind}/{user_id}": {"seconds": 60},
    "PUT /api/admin/users/{user_id}/password": {"password": "correct horse battery"},
}
"""Every call that changes something of an account, with its body."""

ABOUT_OTHERS = {
    "/api/admin/bots/{user_id}",
    "/api/admin/bots/{user_id}/tokens",
    "/api/admin/groups/{group_id}/members/{user_id}",
}
"""Calls about bots, which have tests of their own, and about who is in a group, where nobody is special."""


async def test_nobody_changes_an_account_that_is_as_high_as_their_own(tmp_path: Path) -> None:
    names = ("chief", "anna", "root", "mod", "mona")
    async with open_world(tmp_path, *names, RELAY_PLUGINS__ALSO=PLUGINS) as world:
        for name, role in zip(names, ("admin", "admin", "owner", "moderator", "moderator"), strict=True):
            await give(world, name, role=ServerRole(role))
        changing = [
            call
            for call in guarded(world)
            if "{user_id}" in call.path and call.method != "GET" and call.path not in ABOUT_OTHERS
        ]
        assert {f"{call.method} {call.path}" for call in changing} == ABOUT_ACCOUNTS.keys()
        before = await world.engine.runner.read(lambda connection: accounts.list_users(connection))
        for call in changing:
            pairs = [("chief", "anna"), ("chief", "root")]
            pairs += [("mod", "mona"), ("mod", "chief"), ("mod", "root")] if call.access == "moderator" else []
            for who, whom in pairs:
                (token,) = await world.engine.access.tokens(whom)
                names_of = {"user_id": whom, "kind": "timeout", "token_id": token["token_id"]}
                await world.connect(whom, f"{whom}-{call.name}")
                query = f"?client_id={whom}-{call.name}" if call.path.endswith("devices") else ""
                body = ABOUT_ACCOUNTS[f"{call.method} {call.path}"]
                answer = await world.rest(call.method, call.path.format_map(names_of) + query, who, json_body=body)
                reason = "outranked" if "/restrictions/" in call.path else "role_too_high"
                assert (answer.status, answer.body["details"]["reason"]) == (403, reason), (call.path, who, whom)
        assert await world.engine.runner.read(lambda connection: accounts.list_users(connection)) == before
