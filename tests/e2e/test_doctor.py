"""`relay doctor` before real proxies that are set wrong: it names each fault, and what to write instead."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from relay.app.control_client import call, control_path
from relay.app.doctor.findings import Finding
from relay.app.doctor.way_in import Server as Known
from relay.app.doctor.way_in import WayIn
from relay.app.doctor.wire import read_address
from tests.e2e.proxies import HEADS, Proxies
from tests.e2e.server import ROOT, Server, environment
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

BEAT = 1.5
"""Seconds between heartbeats: the patience of proxies is tried in little time."""

BODY = 4 * 1024 * 1024
SETTINGS = {"heartbeat": {"interval_seconds": BEAT}, "attachments": {"max_bytes": BODY}}
TRUSTING = {**SETTINGS, "server": {"trusted_proxies": ["127.0.0.1/32"]}}
SET_RIGHT = "set right"


class Fault(NamedTuple):
    """What is spoilt in a proxy's configuration, which check finds it, and parts of what it says."""

    kind: str
    changes: dict[str, str]
    check: str
    said: str
    mended: str


FORGED = 'X-Forwarded-For "10.1.1.1, $http_x_forwarded_for"'
SMALL = "client_header_buffer_size 1k; large_client_header_buffers 2 1k; client_max_body"
HASTY = "transport http {\nread_timeout 1s\n}"
FAULTS = {
    "nginx without Upgrade": Fault(
        "nginx", {"Upgrade $http_upgrade": "X-No x"}, "upgrade", "takes the header Upgrade out", "$http_upgrade"
    ),
    "nginx without Connection": Fault(
        "nginx", {"Connection $connection_upgrade": "X-No x"}, "upgrade", "'Connection: Upgrade'", "Connection $c"
    ),
    "nginx without the port": Fault(
        "nginx", {"Host $http_host": "Host $host"}, "origin", "passes the Host on as 'localhost'", "$http_host"
    ),
    "nginx with small bodies": Fault(
        "nginx", {"size 100m": "size 1m"}, "body", "refuses a body of 4 MiB", "client_max_body_size 4m"
    ),
    "nginx in a hurry": Fault(
        "nginx",
        {"timeout 120s": "timeout 1s"},
        "idle",
        "cut an idle WebSocket after 1.",
        "proxy_read_timeout 120s",
    ),
    "nginx without addresses": Fault(
        "nginx", {"X-Forwarded-For $remote_addr": "X-No x"}, "forwarded", "does not say for whom", "$remote_addr"
    ),
    "nginx with anybody's address": Fault(
        "nginx", {"X-Forwarded-For $remote_addr": FORGED}, "forwarded", "that a client sends", "$remote_addr"
    ),
    "nginx with small heads": Fault(
        "nginx",
        {"client_max_body": SMALL},
        "head",
        "refuses 12000 bytes of headers",
        "large_client_header_buffers",
    ),
    "nginx that leads nowhere": Fault(
        "nginx",
        {"127.0.0.1:UPSTREAM": "127.0.0.1:9"},
        "reach",
        "answers 502: it does not",
        "proxy_pass http://127",
    ),
    "caddy without Upgrade": Fault(
        "caddy", {"X-Spoilt nothing": "-Upgrade"}, "upgrade", "takes the header Upgrade out", "reverse_proxy 127"
    ),
    "caddy with its own Host": Fault(
        "caddy",
        {"X-Spoilt nothing": "Host {upstream_hostport}"},
        "origin",
        "the Host on as '127.0",
        "header_up Host",
    ),
    "caddy with small bodies": Fault(
        "caddy", {"max_size 100MiB": "max_size 1MiB"}, "body", "refuses a body of 4 MiB", "max_size 4MiB"
    ),
    "caddy in a hurry": Fault(
        "caddy", {"header_up X-Spoilt nothing": HASTY}, "idle", "cut an idle WebSocket after", "read_timeout 120s"
    ),
    "caddy without addresses": Fault(
        "caddy", {"X-Spoilt nothing": "-X-Forwarded-For"}, "forwarded", "does not say for whom", "by itself"
    ),
    "caddy with anybody's address": Fault(
        "caddy",
        {"X-Spoilt nothing": "X-Forwarded-For {header.X-Forwarded-For}"},
        "forwarded",
        "that a client sends",
        "by itself",
    ),
    "caddy with small heads": Fault(
        "caddy", {HEADS: HEADS.replace("64KB", "4KB")}, "head", "refuses 12000 bytes", "max_header_size 64KB"
    ),
    "caddy that leads nowhere": Fault(
        "caddy", {"127.0.0.1:UPSTREAM": "127.0.0.1:9"}, "reach", "answers 502: it does not", "reverse_proxy 127"
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("examined"), TRUSTING)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxies(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Proxies]]:
    """Each proxy once, with a site for each of its faults."""
    running: dict[str, Proxies] = {}
    yield Started(running, server, tmp_path_factory)
    for proxy in running.values():
        proxy.end()


class Started(dict[str, Proxies]):
    """Proxies that are started when they are first asked for; one that is not installed skips the test."""

    def __init__(self, running: dict[str, Proxies], server: Server, folders: pytest.TempPathFactory) -> None:
        self._running, self._server, self._folders = running, server, folders

    def __missing__(self, kind: str) -> Proxies:
        if kind not in self._running:
            sites = {name: fault.changes for name, fault in FAULTS.items() if fault.kind == kind}
            made = Proxies(kind, self._folders.mktemp(kind), self._server.port, {SET_RIGHT: {}, **sites})
            self._running[kind] = made
        return self._running[kind]


def examine(server: Server, url: str, *, idle: float = 0.0) -> list[Finding]:
    known = Known(
        upstream=f"127.0.0.1:{server.port}",
        probe_id=call(control_path(server.database), "probe.begin", {})["probe_id"],
        heartbeat_seconds=BEAT,
        head_bytes=16_384,
        body_bytes=BODY,
        idle_seconds=idle,
    )
    return list(WayIn(read_address(url), known).findings())


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_proxy_that_is_set_right_is_well(kind: str, server: Server, proxies: dict[str, Proxies]) -> None:
    found = examine(server, proxies[kind].url(SET_RIGHT), idle=2 * BEAT + 0.5)
    assert {one.check: one.state for one in found} == dict.fromkeys(
        ("reach", "forwarded", "upgrade", "origin", "head", "body", "idle"), "good"
    ), found
    assert kind in found[0].text.lower()


@pytest.mark.parametrize(("kind", "name"), [("nginx", "nginx.conf"), ("caddy", "Caddyfile")])
def test_the_samples_are_set_right(kind: str, name: str, server: Server, tmp_path: Path) -> None:
    proxy = Proxies.sample(kind, tmp_path, server.port, (ROOT / "config" / name).read_text(encoding="utf-8"))
    try:
        found = examine(server, proxy.url("sample"))
    finally:
        proxy.end()
    assert [one for one in found if one.state in ("bad", "warning")] == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_proxy_is_named_and_mended(name: str, server: Server, proxies: dict[str, Proxies]) -> None:
    fault = FAULTS[name]
    idle = BEAT + 0.5 if fault.check == "idle" else 0.0
    found = examine(server, proxies[fault.kind].url(name), idle=idle)
    wrong = {one.check: one for one in found if one.state == "bad"}
    assert list(wrong) == [fault.check], found
    assert fault.said in wrong[fault.check].text
    assert [name.lower() for name in wrong[fault.check].mend] == [fault.kind]
    assert fault.mended in "".join(wrong[fault.check].mend.values())


def doctor(server: Server, url: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its status and its findings by their checks."""
    command = [sys.executable, "-m", "relay", "doctor", "--json", "--url", url, "--idle", "0"]
    done = subprocess.run(
        [*command, "--config", str(server.config)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    findings = map(json.loads, done.stdout.splitlines())
    return done.returncode, {found["check"]: found for found in findings}


def test_a_proxy_that_is_not_trusted_is_named_by_the_doctor_and_once_in_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder, SETTINGS)
    server.start()
    proxy = None
    try:
        proxy = Proxies("nginx", tmp_path, server.port, {SET_RIGHT: {}})
        for _ in range(2):
            status, found = doctor(server, proxy.url(SET_RIGHT))
            assert status == 1
            assert [one for one, said in found.items() if said["state"] == "bad"] == ["trusted"]
            lines = '[server]\ntrusted_proxies = ["127.0.0.1/32"]'
            assert found["trusted"]["mend"] == {"relay.toml": lines}
    finally:
        server.stop()
        if proxy is not None:
            proxy.end()
    assert server.log.read_text().count("127.0.0.1 sends X-Forwarded-For, and is not believed") == 1


def test_without_a_proxy_nothing_is_said_of_one_and_without_a_server_what_is_not_known(tmp_path: Path) -> None:
    server = Server(tmp_path, TRUSTING)
    server.start()
    try:
        status, found = doctor(server, server.url)
        assert status == 0
        assert "forwarded" not in found
        assert found["port"]["text"].startswith(f"the server runs (process {server.pid})")
    finally:
        server.stop()
    status, found = doctor(server, server.url)
    assert status == 1
    assert [one for one, said in found.items() if said["state"] == "bad"] == ["reach"]
    assert "Connection refused" in found["reach"]["text"]
    assert found["port"]["text"].endswith("is free; no server runs on this database")
