"""An engine with the application on top, in memory, its users, and what they get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.protocol.errors import CloseCode
from relay.protocol.outbox import Outbox
from relay.services.connections import Connection
from relay.settings import Settings
from relay.storage import accounts, devices
from relay.testing.checking import answers_of
from relay.testing.frames import FrameSplitter
from relay.testing.world import make_database
from relay.transports.rest.app import make_app

UNSENT: Any = object()
JSON = {"application/json", "application/problem+json"}


@dataclass
class Answer:
    """What came back of one call."""

    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON of the answer."""
        assert self.headers["Content-Type"] in JSON, self.headers
        return json.loads(self.raw)

    def ok(self, status: int = 200) -> Any:
        """Return the JSON of what must have gone well."""
        assert self.status == status, self.raw
        return self.body

    def done(self) -> None:
        """Insist on 204 and nothing else."""
        assert (self.status, self.raw) == (204, b"")

    def refused(self, status: int, code: str) -> dict[str, Any]:
        """Return the problem that the call must have met."""
        assert self.headers["Content-Type"] == "application/problem+json", (self.status, self.raw)
        body: dict[str, Any] = self.body
        assert (self.status, body["code"]) == (status, code), body
        assert body["status"] == status
        assert isinstance(body["retry"], bool)
        assert body["type"] == "about:blank"
        assert body["title"]
        assert body["detail"]
        return body


class Device:
    """The far end of a connection that takes everything at once."""

    def __init__(self) -> None:
        self.outbox = Outbox(0, 0)
        self.open = True
        self._splitter = FrameSplitter()
        self.frames: list[dict[str, Any]] = []
        self.ended: CloseCode | None = None

    def flush(self) -> None:
        self.frames.extend(json.loads(frame.payload) for frame in self._splitter.feed(self.outbox.take()))

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        self.ended = code


class World:
    """Users by name, each with a token of their own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.app = make_app(engine)
        self.client = self.app.test_client(use_cookies=False)
        self.answers = answers_of(engine)
        self.tokens: dict[str, str] = {}

    async def add(self, *names: str, origin: str = "cli", **user: Any) -> None:
        """Create users, and a token for each."""
        for name in names:

            def create(connection: Any, name: str = name) -> str:
                accounts.create_user(connection, name, self.engine.now(), **user)
                return accounts.create_token(connection, name, self.engine.now(), origin=origin)

            self.tokens[name] = await self.engine.runner.write(create)

    async def call(
        self,
        who: str | None,
        method: str,
        path: str,
        body: Any = UNSENT,
        *,
        headers: dict[str, str] | None = None,
        address: str = "192.0.2.1",
        **query: Any,
    ) -> Answer:
        """Make a call as a user; `body` is sent as JSON, or as it is when it is bytes."""
        sent = dict(headers or {})
        if who is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens.get(who, who)}")
        data = None
        if body is not UNSENT:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        response = await self.client.open(
            path,
            method=method,
            headers={name: value for name, value in sent.items() if value},
            data=data,
            query_string=query or None,
            scope_base={"relay": {"address": address}, "client": ("127.0.0.1", 4000)},
        )
        raw = await response.get_data(as_text=False)
        told = {name.lower(): value for name, value in response.headers.items()}
        self.answers.check(method, path, response.status_code, told, raw)
        return Answer(response.status_code, response.headers, raw)

    async def get(self, who: str | None, path: str, **query: Any) -> Answer:
        return await self.call(who, "GET", path, **query)

    async def post(self, who: str | None, path: str, body: Any = UNSENT, **more: Any) -> Answer:
        return await self.call(who, "POST", path, body, **more)

    async def say(
        self, who: str, target: str, content: str, *, group: bool = False, **meta: Any
    ) -> dict[str, Any]:
        """Send a message that must be stored, and return its ack."""
        ack: dict[str, Any] = (await self.post(who, "/api/messages", message(target, content, group, **meta))).ok(
            201
        )
        return ack

    async def group(self, owner: str, *members: str, group_id: str = "team", **more: Any) -> str:
        """Create a group and return its id."""
        body = {"name": "The team", "members": list(members), "group_id": group_id, **more}
        return str((await self.post(owner, "/api/groups", body)).ok(201)["group_id"])

    async def device(self, who: str, client_id: str) -> Device:
        """Connect a device that records what it gets."""
        device = Device()
        identity = await self.engine.accounts.identify(self.tokens[who])
        connection = Connection(self.engine.connections, identity, client_id, device, "192.0.2.9")
        self.engine.connections.register(connection)
        now = self.engine.now()
        await self.engine.runner.write(lambda c: devices.attach_device(c, who, client_id, identity.token_id, now))
        return device


def message(target: str, content: str, group: bool = False, **meta: Any) -> dict[str, Any]:
    kind = "group_message" if group else "chat_message"
    return {"type": kind, "payload": {"content": content}, "meta": {"target_id": target, **meta}}


@asynccontextmanager
async def open_world(folder: Path, *users: str, now: Any = None, **sections: Any) -> AsyncIterator[World]:
    """Open a server in memory with some users; `sections` are as in relay.toml."""
    storage = {"path": str(folder / "relay.db"), "durability": "normal"}
    limits = {"messages_per_second": 0, "logins_per_minute": 0} | sections.pop("limits", {})
    settings = msgspec.convert({"storage": storage, "limits": limits, **sections}, Settings)
    clock = {} if now is None else {"now": now}
    make_database(Path(settings.storage.path), plugins=True)
    async with open_engine(settings, inline=True, **clock) as engine:
        world = World(engine)
        await world.add(*users)
        yield world
