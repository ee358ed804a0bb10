"""Who may read the server's figures."""

from pathlib import Path

import pytest

from relay.storage import accounts
from tests.transports.rest.world import open_world

METRICS = "/metrics"


@pytest.mark.parametrize("trusted", [[], ["127.0.0.0/8"]])
async def test_this_machine_may_read_them_but_a_proxy_on_it_speaks_for_others(tmp_path: Path, trusted: list[str]):
    async with open_world(tmp_path, "alice", server={"trusted_proxies": trusted}) as world:
        assert (await world.call(None, "GET", METRICS, address="127.0.0.1")).status == 200
        for client in ("198.51.100.1", "127.0.0.1"):
            through = {"X-Forwarded-For": client}
            answer = await world.call(None, "GET", METRICS, address="127.0.0.1", headers=through)
            answer.refused(401, "forbidden")
        (await world.call(None, "GET", METRICS)).refused(401, "forbidden")
        (await world.get("alice", METRICS)).refused(403, "forbidden")


async def test_an_admin_and_a_token_for_it_may_read_them_from_anywhere(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        await world.add("root", admin=True)
        world.tokens["prometheus"] = await world.engine.runner.write(
            lambda connection: accounts.create_token(connection, "alice", 0, origin="cli", scopes=("metrics",))
        )
        for who in ("root", "prometheus"):
            assert "relay_connections 0.0" in (await world.get(who, METRICS)).raw.decode()
