"""The bundled plugins' acts of admins: each leaves an entry that says who did it, by REST and by the command line."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from relay.app.admin import perform
from relay.protocol.kinds import ServerRole
from relay.services.audit import Actor
from relay.storage import accounts, audit
from relay.storage.audit import Wanted
from relay.testing import World

ALSO = '["webhooks", "bots", "retention"]'


async def entries(world: World) -> list[dict[str, Any]]:
    found = await world.engine.runner.read(lambda connection: audit.find(connection, Wanted(after=0), 100))
    return [one.payload for one in found]


async def command(world: World, name: str, /, **arguments: Any) -> Any:
    given = {"name": name, "arguments": arguments}
    return await perform(world.engine, "plugin.command", given, Actor.operator(7))


@pytest.mark.world("alice", "root", RELAY_PLUGINS__ALSO=ALSO, RELAY_PLUGINS__RETENTION__RULES__OLD__DAYS="1")
async def test_commands_of_plugins_leave_entries_of_the_operator(world: World) -> None:
    await command(world, "retention hold add", kind="user", name="alice", who="counsel", why="a case")
    await command(world, "retention hold remove", kind="user", name="alice", who="counsel", why="it is over")
    await command(world, "retention run")
    await command(world, "bot add", name="dice")
    await command(world, "bot token", name="dice")
    await command(world, "bot remove", name="dice")
    secret = await command(world, "webhook add", url="https://hooks.example.org/a-secret")
    found = await entries(world)
    assert [one["act"] for one in found if one["way"] == "command line"] == [
        "hold.added", "hold.removed", "retention.run", "bot.added", "bot.token_created", "bot.removed",
        "webhook.added",
    ]  # fmt: skip
    assert {one["client"] for one in found if one["way"] == "command line"} == {"command line, uid 7"}
    assert found[0]["details"] == {"who": "counsel", "reason": "a case"}
    assert "a-secret" not in str(found)
    assert secret["secret"] not in str(found)


@pytest.mark.world("alice", "root", RELAY_PLUGINS__ALSO=ALSO)
async def test_acts_on_webhooks_by_rest_leave_entries_of_the_admin(world: World) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=ServerRole.ADMIN))

    async def call(method: str, path: str, **body: Any) -> Any:
        answer = await world.rest(method, path, "root", **({"json_body": body} if body else {}))
        assert answer.status < 300, answer.body
        return answer.body

    made = await call("POST", "/api/webhooks", url="https://hooks.example.org/a-secret")
    hook = f"/api/webhooks/{made['hook_id']}"
    for step in ("pause", "resume", "rotate", "replay"):
        await call("POST", f"{hook}/{step}")
    await call("DELETE", hook)
    await call("POST", "/api/webhooks/incoming", name="ci", user_id="alice", target_id="root")
    await call("DELETE", "/api/webhooks/incoming/ci")
    found = await entries(world)
    assert [one["act"].removeprefix("webhook.") for one in found] == [
        "added", "paused", "resumed", "rotated", "replayed", "removed", "incoming_added", "incoming_removed",
    ]  # fmt: skip
    assert {(one["by"], one["role"], one["way"]) for one in found} == {("root", "admin", "rest")}
    assert "a-secret" not in str(found)


@pytest.mark.world("alice", "bob")
async def test_what_a_plugin_does_by_itself_or_for_somebody_has_its_name(world: World) -> None:
    server = world.engine.server_of("pin")
    await server.users.set_disabled("bob", True)
    await server.users.set_role("alice", ServerRole.MODERATOR)
    assert [(one["act"], one["by"], one["client"], one["way"]) for one in await entries(world)] == [
        ("user.disabled", None, "plugin pin", "plugin"),
        ("user.role_changed", None, "plugin pin", "plugin"),
    ]
