"""A proxy's word for who somebody is: believed from the proxy's own address, and from nowhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from relay.app.server import http_server
from relay.engine.engine import Engine
from relay.engine.loader import load_plugins
from relay.engine.opening import open_engine
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import load
from relay.testing import Closed, Device, settings_for
from relay.testing.checking import frames_of
from relay.transports.front_door import FrontDoor
from relay.transports.rest.app import own_paths


def settings(*networks: str, **options: Any) -> dict[str, str]:
    written = {f"RELAY_PLUGINS__PROXY_AUTH__{name.upper()}": json.dumps(value) for name, value in options.items()}
    return {
        "RELAY_PLUGINS__ALSO": "proxy_auth",
        "RELAY_PLUGINS__PROXY_AUTH__NETWORKS": json.dumps(networks),
    } | written


class Place:
    """A server on loopback, asked as a proxy would."""

    def __init__(self, port: int, engine: Engine) -> None:
        self.port = port
        self.described = frames_of(engine)

    async def me(self, *headers: tuple[str, str]) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}/api/users/me", headers=list(headers))

    async def hello(self, *headers: tuple[str, str]) -> Device:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        await stream.send_all(
            f"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(1)
        device = Device(stream, self.described)
        await device.send(
            {"type": "connection_event", "payload": {"event": "hello"}, "meta": {"client_id": "browser"}}
        )
        return device


@asynccontextmanager
async def serving(path: Path, **environ: str) -> AsyncIterator[Place]:
    with trio.fail_after(20):
        given = settings_for(path, **environ)
        async with open_engine(given, paths=own_paths(given)) as engine:
            http = http_server(engine)
            door = FrontDoor(engine, HeartbeatSupervisor(30), http.serve, "relay/test")
            async with http.lifespan(), trio.open_nursery() as nursery:
                serve = partial(trio.serve_tcp, door.serve, 0, host="127.0.0.1")
                listeners = await nursery.start(serve)
                yield Place(listeners[0].socket.getsockname()[1], engine)
                nursery.cancel_scope.cancel()


ALICE = ("Remote-User", "alice")


@pytest.mark.trio
@pytest.mark.real_time
async def test_the_proxys_word_lets_in_by_socket_and_by_rest(tmp_path: Path) -> None:
    async with serving(tmp_path, **settings("127.0.0.0/8")) as place:
        answer = await place.me(ALICE, ("Remote-Name", "Alice A."))
        assert (answer.status_code, answer.json()["user_id"], answer.json()["display_name"]) == (
            200,
            "alice",
            "Alice A.",
        )
        device = await place.hello(ALICE, ("X-Forwarded-For", "203.0.113.9"))
        assert (await device.next("ready"))["payload"]["user_id"] == "alice"
        await device.cut()


@pytest.mark.trio
@pytest.mark.real_time
@pytest.mark.parametrize("trusted", ["127.0.0.1", ""])
async def test_from_elsewhere_it_is_nothing(tmp_path: Path, trusted: str) -> None:
    """What a client forwards may say anything, and that limits believe a proxy's address does not help it."""
    more = {"RELAY_SERVER__TRUSTED_PROXIES": trusted} if trusted else {}
    async with serving(tmp_path, **settings("10.0.0.0/8", "fd00::/8"), **more) as place:
        for spoof in (
            (),
            (("X-Forwarded-For", "10.0.0.1"),),
            (("Forwarded", "for=10.0.0.1"), ("X-Real-IP", "10.0.0.1")),
        ):
            assert (await place.me(ALICE, *spoof)).status_code == 401
            device = await place.hello(ALICE, *spoof)
            assert (await device.closed()).code == 4501
            await device.cut()


@pytest.mark.trio
@pytest.mark.real_time
async def test_a_proxy_that_limits_believe_is_still_the_one_that_speaks(tmp_path: Path) -> None:
    more = {"RELAY_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    async with serving(tmp_path, **settings("127.0.0.1/32"), **more) as place:
        device = await place.hello(ALICE, ("X-Forwarded-For", "203.0.113.9"))
        assert (await device.next("ready"))["payload"]["user_id"] == "alice"
        await device.cut()


@pytest.mark.trio
@pytest.mark.parametrize(
    "headers",
    [
        [("Remote-User", "")], [("Remote-User", "no such name!")], [("Remote-User", "bob"), ALICE],
        [("Remote_User", "alice")], [("X-Remote-User", "alice")], [ALICE, ("Sec-Fetch-Site", "cross-site")],
        [ALICE, ("Authorization", "Bearer wrong")], [("Remote-User", "team")],
    ],
    ids=["empty", "no name", "twice", "underscore", "another header", "another site", "a wrong token", "a group"],
)  # fmt: skip
@pytest.mark.real_time
async def test_what_is_no_clear_word_lets_nobody_in(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    async with serving(tmp_path, **settings("127.0.0.1")) as place:
        assert (await place.me(("Remote-User", "owner"))).status_code == 200
        async with httpx.AsyncClient(trust_env=False, headers={"Remote-User": "owner"}) as client:
            made = await client.post(
                f"http://127.0.0.1:{place.port}/api/groups",
                json={"name": "Team", "group_id": "team", "members": []},
            )
            assert made.status_code == 201
        assert (await place.me(*headers)).status_code == 401
        device = await place.hello(*headers)
        with pytest.raises(Closed, match="4501"):
            await device.next("ready")
        await device.cut()
        assert (await place.me(ALICE)).status_code == 200


@pytest.mark.trio
@pytest.mark.real_time
async def test_strangers_are_created_only_where_that_is_wanted(tmp_path: Path) -> None:
    async with serving(tmp_path, **settings("127.0.0.1", user_header="X-User", create_users=False)) as place:
        assert (await place.me(("X-User", "alice"))).status_code == 401


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        (None, "[plugins.proxy_auth] needs networks"),
        ([], "length >= 1"),
        (["0.0.0.0/0"], "anybody could be anybody"),
        (["::/0"], "anybody could be anybody"),
        (["10.0.0.1/8"], "host bits set"),
        (["proxy.example.org"], "does not appear to be"),
    ],
)
def test_it_is_left_out_without_networks_of_its_own(networks: Any, told: str) -> None:
    environ = {"RELAY_PLUGINS__ALSO": "proxy_auth"}
    if networks is not None:
        environ["RELAY_PLUGINS__PROXY_AUTH__NETWORKS"] = json.dumps(networks)
    (broken,) = load_plugins(load(None, environ), {}).broken
    assert told in broken.reason


@pytest.mark.trio
@pytest.mark.real_time
async def test_a_name_that_differs_in_case_only_from_a_users_is_nobodys(tmp_path: Path) -> None:
    async with serving(tmp_path, **settings("127.0.0.0/8")) as place:
        assert (await place.me(ALICE)).status_code == 200
        answer = await place.me(("Remote-User", "Alice"))
        assert (answer.status_code, answer.json()["detail"]) == (
            401,
            "the name 'Alice' is taken: 'alice' differs in case only",
        )


OTHER, OWN = ("Origin", "https://wiki.example.org"), ("Origin", "https://chat.example.org")
HOST = ("Host", "chat.example.org")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([OWN], 200),
        ([("Origin", "https://CHAT.example.org:443")], 200),
        ([("Origin", "https://listed.example.org")], 200),
        ([("Origin", "https://listed.example.org"), ("Sec-Fetch-Site", "same-site")], 200),
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([("Sec-Fetch-Site", "same-origin"), ("Origin", "null")], 200),
        ([("Sec-Fetch-Site", "none")], 200),
        ([("Referer", "https://chat.example.org/")], 200),
        ([OTHER], 401),
        ([("Origin", "null")], 401),
        ([("Origin", "")], 401),
        ([OTHER, ("Sec-Fetch-Site", "same-site")], 401),
        ([("Sec-Fetch-Site", "same-site")], 401),
        ([("Sec-Fetch-Site", "cross-site")], 401),
        ([OWN, ("Sec-Fetch-Site", "cross-site")], 401),
        ([("Sec-Fetch-Site", "something new")], 401),
        ([("Referer", "https://wiki.example.org/page")], 401),
        ([("Referer", "http://[::1")], 401),
    ],
    ids=str,
)
@pytest.mark.real_time
async def test_what_a_page_of_another_origin_makes_a_browser_ask_is_refused(
    tmp_path: Path, headers: list[tuple[str, str]], status: int
) -> None:
    more = {"RELAY_SERVER__ALLOWED_ORIGINS": "https://listed.example.org"}
    async with serving(tmp_path, **settings("127.0.0.1"), **more) as place:
        assert (await place.me(ALICE, HOST, *headers)).status_code == status
        async with httpx.AsyncClient(trust_env=False) as client:
            made = await client.post(
                f"http://127.0.0.1:{place.port}/api/groups",
                json={"name": "Team", "group_id": "team", "members": []},
                headers=[ALICE, HOST, *headers],
            )
        assert made.status_code == (201 if status == 200 else status)
