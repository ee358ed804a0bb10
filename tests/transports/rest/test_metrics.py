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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8484", 200),
        ("LOCALHOST", 200),
        ("relay.localhost", 200),
        ("127.0.0.1:8484", 200),
        ("[::1]:8484", 200),
        ("[::1", 200),
        ("evil.example:8484", 401),
        ("127.0.0.1.evil.example", 401),
        ("localhost.evil.example", 401),
        ("[evil.example]", 401),
        ("", 401),
    ],
)
async def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(tmp_path: Path, host: str, status: int):
    async with open_world(tmp_path) as world:
        headers = {"Host": host or "."}
        answer = await world.call(None, "GET", METRICS, address="127.0.0.1", headers=headers)
        assert answer.status == status
