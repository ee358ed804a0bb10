"""API tokens by REST: listed for their user, revoked by them."""

from __future__ import annotations

from typing import Any

from relay.storage import accounts, devices
from tests.transports.rest.world import World


async def make(world: World, user: str, label: str, origin: str = "cli", days: float | None = None) -> str:
    """Make a token and return its id."""
    now = world.engine.now()
    until = None if days is None else now + days * 86400
    token = await world.engine.runner.write(
        lambda connection: accounts.create_token(
            connection, user, now, origin=origin, label=label, scopes=("notify",), expires_at=until
        )
    )
    digest = accounts.hash_secret(token)
    found = await world.engine.runner.read(lambda connection: accounts.find_token(connection, digest))
    assert found is not None
    return found.token_id


async def listed(world: World, user: str) -> dict[str, Any]:
    """Return a user's tokens by their labels, but for the one that the call is made with."""
    tokens = (await world.get(user, "/api/tokens")).ok()["tokens"]
    return {one["label"]: one for one in tokens if not one["this"]}


async def test_ones_own_tokens_are_listed_but_for_those_of_logins(world: World):
    builds = await make(world, "alice", "builds", days=1)
    await make(world, "alice", "a login", origin="login")
    await make(world, "bob", "bob's")
    tokens = await listed(world, "alice")
    made = tokens["builds"]["created_at"]
    assert tokens == {
        "builds": {
            "token_id": builds, "label": "builds", "origin": "cli", "scopes": ["notify"], "created_at": made,
            "expires_at": made + 86400, "last_used_at": None, "this": False,
        }
    }  # fmt: skip
    await world.engine.runner.write(
        lambda connection: devices.attach_device(connection, "alice", "robot", builds, made + 5)
    )
    assert (await listed(world, "alice"))["builds"]["last_used_at"] == made + 5


async def test_tokens_come_in_pages(world: World):
    made = {await make(world, "alice", str(number)) for number in range(3)}
    found, cursor = set(), ""
    while True:
        page = (await world.get("alice", f"/api/tokens?limit=2{cursor}")).ok()
        found |= {one["token_id"] for one in page["tokens"]}
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert made <= found


async def test_a_user_revokes_their_own_tokens_and_no_others(world: World):
    builds, login = await make(world, "alice", "builds"), await make(world, "alice", "a login", origin="login")
    other = await make(world, "bob", "bob's")
    for token_id in (login, other, "tok_000000000000"):
        assert (await world.call("alice", "DELETE", f"/api/tokens/{token_id}")).status == 404
    assert (await world.call("alice", "DELETE", f"/api/tokens/{builds}")).status == 204
    assert await listed(world, "alice") == {}
    assert list(await listed(world, "bob")) == ["bob's"]
