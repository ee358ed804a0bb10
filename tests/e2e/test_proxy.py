"""Behind nginx with kept-alive upstream connections: an upgrade may follow a plain request on one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import free_port
from tests.e2e.wire import PATIENCE, Address, Wire, request
from tests.e2e.world import Device, World, message, unique

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx-light)"),
]

ALTERNATIONS = 40

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # An empty Connection header keeps the upstream connection for the next request.
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream relay {{ server 127.0.0.1:{upstream}; keepalive {keepalive}; }}
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://relay/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""


class Proxy:
    """One nginx before a server; it takes the prefix off."""

    def __init__(self, folder: Path, upstream: int, keepalive: int, prefix: str = "") -> None:
        assert NGINX is not None
        self.folder = folder
        self.address: Address = ("127.0.0.1", free_port())
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                folder=folder, upstream=upstream, port=self.address[1], keepalive=keepalive, prefix=prefix
            )
        )
        self.process = subprocess.Popen(
            [NGINX, "-c", str(config), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(self.address, timeout=1).close()
            except OSError:
                assert self.process.poll() is None, self.errors()
                assert time.monotonic() < deadline, self.errors()
                time.sleep(0.02)
            else:
                return

    def errors(self) -> str:
        file = self.folder / "error.log"
        return file.read_text() if file.exists() else ""

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("proxied"), ("alice", "bob"))
    yield world
    world.end()


@pytest.fixture(params=[1, 4], ids=["one kept alive", "four kept alive"])
def proxy(shared: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, shared.server.port, request.param)
    yield proxy
    shared.forget()
    proxy.end()


def connect(world: World, proxy: Proxy, user: str) -> Device:
    wire = world.opened.enter_context(Wire(proxy.address, world.server.described))
    wire.upgrade()
    device = Device(wire, world.tokens[user], f"{user}-{unique('proxied')}")
    device.hello()
    device.sync()
    return device


def test_messages_and_rest_pass_through_the_proxy(shared: World, proxy: Proxy) -> None:
    alice, bob = connect(shared, proxy, "alice"), connect(shared, proxy, "bob")
    content = unique("proxied")
    alice.say("bob", content)
    bob.wait_content(content)
    headers = {"Authorization": f"Bearer {shared.tokens['bob']}"}
    url = f"http://127.0.0.1:{proxy.address[1]}"
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as rest:
        body = message("alice", unique("by rest"), id=unique())
        assert rest.post("/api/messages", json=body).status_code == 201
        newest = rest.get("/api/messages/user/alice").json()["messages"][-1]
        assert newest["payload"] == body["payload"]
    alice.wait_content(body["payload"]["content"])
    assert "[error]" not in proxy.errors()


def test_upgrades_after_plain_requests_on_a_kept_connection_work(shared: World, proxy: Proxy) -> None:
    plain = request("/healthz", upgrade=False)
    with Wire(proxy.address, shared.server.described) as kept:
        for turn in range(ALTERNATIONS):
            kept.send_bytes(plain)
            assert kept.read_response().status == 200
            with Wire(proxy.address, shared.server.described) as wire:
                wire.upgrade()
                assert wire.hello(shared.tokens["alice"], "alternating")["user_id"] == "alice", turn
    assert "[error]" not in proxy.errors()


def test_requests_after_an_upgrade_was_refused_work(shared: World, proxy: Proxy) -> None:
    refused = request(headers={"Sec-WebSocket-Version": "8"})
    for _ in range(10):
        with Wire(proxy.address, shared.server.described) as wire:
            wire.send_bytes(refused)
            assert wire.read_response().status == 426
            wire.send_bytes(request("/healthz", upgrade=False))
            assert wire.read_response().status == 200


def test_an_upgrade_after_plain_requests_on_one_connection_works_or_is_refused_plainly(shared: World) -> None:
    with shared.wire() as wire:
        for _ in range(3):
            wire.send_bytes(request("/healthz", upgrade=False))
            assert wire.read_response().status == 200
        wire.send_bytes(request())
        response = wire.read_response()
        if response.status == 101:
            assert wire.hello(shared.tokens["alice"], "reused")["user_id"] == "alice"
        else:
            assert response.status in (400, 421, 426, 503)
