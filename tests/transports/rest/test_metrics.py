"""Who may read the server's figures, and which those are."""

import json
import platform
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from relay import __version__
from relay.storage import accounts
from tests.cluster.office import FixedOffice
from tests.transports.rest.world import World, open_world

METRICS = "/metrics"
ROOT = Path(__file__).parents[3]


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


async def scraped(world: World) -> str:
    return (await world.call(None, "GET", METRICS, address="127.0.0.1")).raw.decode()


def value(text: str, series: str) -> float:
    """Return the value of one series of the text."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found is not None, (series, text)
    return float(found[1])


async def families(world: World) -> dict[str, str]:
    """Return the type of each metric that a server tells, by its name."""
    return dict(re.findall(r"^# TYPE (\S+) (\w+)$", await scraped(world), re.MULTILINE))


def names_in(queries: Iterable[str]) -> set[str]:
    """Return the metrics that queries name, without what Prometheus adds to a histogram's."""
    found = {name for query in queries for name in re.findall(r"\b(?:relay|process)_\w+\b", query)}
    return {re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", name) for name in found}


async def test_what_the_dashboard_the_rules_and_the_documentation_name_is_told(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        told = await families(world)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/operate/metrics.md").read_text(), re.MULTILINE)
    assert dict(rows) == told
    rules = re.findall(r"^ +expr: (.*)$", (ROOT / "config/alerts.yml").read_text(), re.MULTILINE)
    panels = json.loads((ROOT / "config/grafana.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert rules
    assert queries
    assert names_in([*rules, *queries]) - told.keys() == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's package prometheus")
async def test_promtool_has_nothing_to_say(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        text = await scraped(world)
    for command, given in ((["metrics"], text), (["rules", str(ROOT / "config/alerts.yml")], "")):
        done = subprocess.run(["promtool", "check", *command], input=given, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


async def test_requests_errors_and_refusals_are_counted(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        before = await scraped(world)
        (await world.get("alice", "/api/users/me")).ok()
        (await world.get("alice", "/api/users/nobody")).refused(404, "not_found")
        world.tokens["stranger"] = "rt_wrong"
        (await world.get("stranger", "/api/users/me")).refused(401, "forbidden")
        login = {"user_id": "alice", "password": "wrong"}
        (await world.call(None, "POST", "/api/login", login)).refused(403, "forbidden")
        after = await scraped(world)
    counted = {
        'relay_http_requests_total{status="2xx"}': 2,  # the first scrape is one of them
        'relay_http_requests_total{status="4xx"}': 3,
        'relay_errors_total{code="not_found",way="rest"}': 1,
        'relay_errors_total{code="forbidden",way="rest"}': 2,
        "relay_tokens_refused_total": 1,
        "relay_logins_refused_total": 1,
    }
    assert {series: value(after, series) - value(before, series) for series in counted} == counted
    assert value(after, "process_open_fds") > 0
    labels = f'python="{platform.python_version()}",sqlite="{sqlite3.sqlite_version}",version="{__version__}"'
    assert value(after, f"relay_build_info{{{labels}}}") == 1


async def test_a_scrape_answers_while_the_disk_does_not(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        runner = world.engine.runner
        runner.health.note(sqlite3.OperationalError("disk I/O error"))

        async def never(_job: Any) -> None:
            await trio.sleep_forever()

        runner.write = never
        text = await scraped(world)
    assert value(text, "relay_storage_failing") == 1
    assert value(text, "relay_commits_failed_total") == 1
    assert "relay_writer_lag_seconds" not in text
    assert value(text, "relay_database_bytes") > 0


async def test_the_certificate_that_is_served_has_its_end(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        assert "\nrelay_tls_certificate_expires_timestamp_seconds " not in await scraped(world)
        world.engine.live.certificate_ends = 2e9
        assert value(await scraped(world), "relay_tls_certificate_expires_timestamp_seconds") == 2e9


async def test_how_long_requests_take_is_told_by_route_and_never_by_path(tmp_path: Path):
    async with open_world(tmp_path, "alice") as world:
        for path in ("/api/users/alice", "/api/users/bob", "/secret", "/x/../secret"):
            await world.get("alice", path)
        await world.call("alice", "BREW", "/secret")
        text = await scraped(world)
    name = "relay_http_request_duration_seconds"
    of_users = 'method="GET",route="/api/users/{user_id}"'
    assert value(text, f'{name}_count{{{of_users},status="2xx"}}') == 1
    assert value(text, f'{name}_bucket{{le="+Inf",{of_users},status="4xx"}}') == 1
    assert value(text, f'{name}_count{{method="",route="",status="4xx"}}') == 3
    assert "secret" not in text
    assert "BREW" not in text


async def test_a_clusters_nodes_are_told_by_its_leader(tmp_path: Path):
    async with open_world(tmp_path) as world:
        assert re.search(r"^relay_cluster_\w+", await scraped(world), re.MULTILINE) is None
        world.engine.cluster = FixedOffice(world.engine.runner)
        text = await scraped(world)
    told = {
        "relay_cluster_term": 3,
        'relay_cluster_leader{node="first"}': 1,
        'relay_cluster_leader{node="second"}': 0,
        'relay_cluster_connections{node="second"}': 7,
    }
    assert {series: value(text, series) for series in told} == told
