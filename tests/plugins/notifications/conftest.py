"""Servers with `notifications`, on virtual time, and what stands outside of them."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
import trio

from relay.engine.discovery import bundled_directory, in_directory
from relay.testing import RelayWorld, World
from relay.testing.world import EPOCH
from tests.plugins.notifications.receivers import Browser, Gotify, Ntfy, PushService, Receiver

MODULES = "relay_plugin_notifications"
PUBLIC = "93.184.215.14"


class Outside(trio.abc.HostnameResolver):
    """Everything that the server can reach: names, and what answers there.

    Attributes:
        addresses: by host; changed by tests that let a name lead elsewhere.
        letters: the mails that were sent.
        delays: how long a host takes before it does its work, seconds.
        lags: how long its answer takes.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.receivers: dict[str, Receiver] = {}
        self.delays: dict[str, float] = {}
        self.lags: dict[str, float] = {}
        self.letters: list[EmailMessage] = []
        self.connected: list[str] = []
        self.mail_fails: Exception | None = None
        self.carried = self.carry
        self.ntfy = self.add(Ntfy("https://ntfy.example"))
        self.gotify = self.add(Gotify("https://gotify.example"))
        self.push = self.add(PushService("https://push.example", lambda: EPOCH + trio.current_time()))

    def add(self, receiver: Any) -> Any:
        host = httpx.URL(receiver.origin).host
        self.receivers[host] = receiver
        self.addresses[host] = [PUBLIC]
        return receiver

    async def getaddrinfo(self, host: Any, port: Any, *_more: Any, **_named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in self.addresses[name]
        ]

    async def getnameinfo(self, *_arguments: Any) -> Any:
        raise NotImplementedError

    async def carry(self, request: httpx.Request) -> httpx.Response:
        """Answer a request that goes to an address, as the host that it names."""
        self.connected.append(request.url.host)
        host = request.headers["host"].partition(":")[0]
        assert request.extensions["sni_hostname"] == host
        await trio.sleep(self.delays.get(host, 0.01))
        receiver = self.receivers.get(host)
        if receiver is None:
            raise httpx.ConnectError("refused")
        reply = receiver.answer(
            request.method, request.url.raw_path.decode(), request.headers, await request.aread()
        )

        await trio.sleep(self.lags.get(host, 0))

        async def body() -> AsyncIterator[bytes]:
            yield reply.body

        return httpx.Response(reply.status, content=body(), headers=dict(reply.headers))

    async def post(self, _email: Any, letter: EmailMessage) -> None:
        await trio.sleep(0.01)
        if self.mail_fails is not None:
            raise self.mail_fails
        self.letters.append(letter)


@pytest.fixture
def plugin() -> Callable[[str], Any]:
    """Return the plugin's modules by name, as the server loads them."""
    in_directory(bundled_directory(), "bundled")["notifications"].load()
    return lambda name: sys.modules[f"{MODULES}.{name}"]


@pytest.fixture
def outside(plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    made = Outside()
    monkeypatch.setattr(
        plugin("outward"), "make_transport", lambda: httpx.MockTransport(lambda request: made.carried(request))
    )
    monkeypatch.setattr(plugin("mail"), "send", made.post)
    yield made
    assert [problem for receiver in made.receivers.values() for problem in receiver.problems] == []


Notifying = Callable[..., AbstractAsyncContextManager["Town"]]

SOON = 8
"""Seconds after which a message that nobody reads is out."""


class Town:
    """A server with `notifications`, what stands outside, and short ways to what tests do."""

    def __init__(self, world: World, outside: Outside) -> None:
        self.world = world
        self.outside = outside

    async def target(self, user: str, **address: Any) -> str:
        """Add a target and return its id."""
        answer = await self.world.rest("POST", "/api/push/targets", user, json_body=address)
        assert answer.status in (200, 201), answer.body
        return str(answer.body["target_id"])

    async def ntfy(self, user: str, topic: str | None = None, **more: Any) -> str:
        return await self.target(user, kind="ntfy", url=f"https://ntfy.example/{topic or user}", **more)

    async def gotify(self, user: str, **more: Any) -> str:
        tokens = {"app_token": "app-token", "client_token": "client-token", **more}
        return await self.target(user, kind="gotify", url="https://gotify.example", **tokens)

    async def browser(self, user: str, **more: Any) -> Browser:
        key = (await self.world.rest("GET", "/api/push/key", user)).body["public_key"]
        browser = self.outside.push.subscribe(key)
        await self.target(user, **browser.target(), **more)
        return browser

    async def say(self, sender: str, target: str, content: str, **more: Any) -> dict[str, Any]:
        """Send a message by REST, so that nobody is at a device for it; return the ack's payload."""
        group = target in ("team", "ops")
        envelope = {
            "type": "group_message" if group else "chat_message",
            "payload": {"content": content, **more},
            "meta": {"target_id": target},
        }
        answer = await self.world.rest("POST", "/api/messages", sender, json_body=envelope)
        assert answer.status == 201, answer.body
        payload: dict[str, Any] = answer.body
        return payload

    async def group(self, owner: str, *members: str, group_id: str = "team") -> None:
        body = {"name": group_id.title(), "members": list(members), "group_id": group_id}
        await self.rest("POST", "/api/groups", owner, 201, **body)

    async def read(self, user: str, target: str, up_to_seq: int) -> None:
        body = {"target_id": target, "up_to_seq": up_to_seq}
        answer = await self.world.rest("POST", "/api/messages/read", user, json_body=body)
        assert answer.status == 200, answer.body

    async def targets(self, user: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.world.rest("GET", "/api/push/targets", user)).body["targets"]
        return found

    async def rest(self, method: str, path: str, user: str, status: int = 200, **body: Any) -> Any:
        answer = await self.world.rest(method, path, user, **({"json_body": body} if body else {}))
        assert answer.status == status, answer.body
        return answer.body

    @property
    def failures(self) -> int:
        guard = self.world.engine.registry.guard("notifications")
        assert guard is not None
        return guard.failures


@pytest.fixture
def notifying(relay_world: RelayWorld, outside: Outside) -> Notifying:
    """Give a test servers with `notifications`; its options are keyword arguments, as TOML or as they are."""

    @asynccontextmanager
    async def run(*users: str, **options: Any) -> AsyncIterator[Town]:
        environ = {
            f"RELAY_PLUGINS__NOTIFICATIONS__{name.upper()}": str(value).lower()
            if isinstance(value, bool)
            else str(value)
            for name, value in options.items()
        }
        trio.socket.set_custom_hostname_resolver(outside)
        names = users or ("alice", "bob", "carol")
        async with relay_world(None, *names, **{"RELAY_PLUGINS__ALSO": "notifications", **environ}) as world:
            await trio.sleep(10)
            town = Town(world, outside)
            yield town
            assert town.failures == 0

    return run
