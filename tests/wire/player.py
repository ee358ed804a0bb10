"""Plays a scenario's client to a server in memory."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import trio
from wsproto.events import CloseConnection

from relay.protocol.errors import CloseCode
from relay.storage import accounts
from relay.testing.device import Closed, Device
from relay.testing.world import World
from tests.actors import OPERATOR
from tests.wire.scenario import Names, Step

CLIENT_ID = "alice-laptop"
SETTLED = 0.2
"""Virtual seconds after which everything that a frame causes has happened."""

PATIENCE = 60.0
"""Virtual seconds that an expected frame may take: longer than a heartbeat's interval."""


class Player:
    """One scenario on its way: the client's connection, the others', and what is known of names."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names = Names(token=world.tokens["alice"])
        self.client: Device | None = None
        self.others: dict[str, Device] = {}
        self.answer: Any = None

    async def play(self, step: Step) -> list[str]:
        """Do one step, and tell what is not as it says."""
        who = step["from"]
        if who == "application":
            return []
        if who == "server":
            return await self._expect(step)
        if who == "client":
            await self._act(step)
            return []
        unexpected = await self._unexpected(step.get("unheard", 0))
        if who == "network":
            assert self.client is not None
            await self.client.cut()
            self.client = None
        elif who == "time":
            await trio.sleep(step["seconds"])
        else:
            await self._other(who, step)
        return unexpected

    async def finish(self) -> list[str]:
        return await self._unexpected()

    async def _act(self, step: Step) -> None:
        if "open" in step:
            self.client = await self.world.upgrade()
        elif "get" in step:
            self.answer = await self.world.rest("GET", step["get"], "alice")
        elif "close" in step:
            assert self.client is not None
            if self.client.end is None:
                data = self.client.frames.send(CloseConnection(code=step["close"]["code"]))
                await self.client.stream.send_all(data)
        else:
            assert self.client is not None
            await self.client.send(self.names.fill(step["frame"], self.world.engine.now()))

    async def _expect(self, step: Step) -> list[str]:
        if "answer" in step:
            return self.names.differences(step["answer"], self.answer.body, "answer")
        assert self.client is not None
        if "close" in step:
            await self._cause(step.get("cause"))
            closed = await self._closed()
            return self.names.differences(
                step["close"], {"code": int(closed.code or 0), "reason": closed.reason}, "close"
            )
        with trio.fail_after(PATIENCE):
            frame = await self.client.next()
        return self.names.differences(step["frame"], frame)

    async def _closed(self) -> Closed:
        assert self.client is not None
        with trio.fail_after(PATIENCE):
            closed = await self.client.closed()
        assert self.client.waiting == [], self.client.waiting
        self.client = None
        return closed

    async def _cause(self, cause: str | None) -> None:
        if cause == "drain":
            for websocket in list(self.world.door.websockets):
                websocket.end(CloseCode.DRAINING, "server is draining; retry_after=2")  # type: ignore[attr-defined]
        elif cause == "takeover":
            self.others["alice again"] = await self.world.connect("alice", CLIENT_ID)
        elif cause == "disable":
            await self.world.engine.administration.set_disabled(OPERATOR, "alice", True)
        elif cause == "revoke":
            await self.world.engine.accounts.revoke_device("alice", CLIENT_ID)
        else:
            assert cause is None, f"nobody knows how to bring about {cause}"

    async def _other(self, who: str, step: Step) -> None:
        user = who.split()[0]
        if "admin" in step:
            await self.world.engine.runner.write(partial(accounts.update_user, user_id=user, admin=True))
            return
        if "call" in step:
            method, path, *body = step["call"]
            answer = await self.world.rest(method, path, user, **({"json_body": body[0]} if body else {}))
            assert answer.status < 300, answer
            return
        if who not in self.others:
            self.others[who] = await self.world.connect(user, who.replace(" ", "-"))
        if "frame" in step:
            await self.others[who].send(step["frame"])
        if "disconnect" in step:
            await self.others.pop(who).event("goodbye")

    async def heard(self) -> list[dict[str, Any]]:
        """Return what the server has said to the client by now."""
        assert self.client is not None
        frames: list[dict[str, Any]] = []
        with trio.move_on_after(SETTLED), suppress(Closed):
            while True:
                frames.append(await self.client.next())
        return frames

    async def _unexpected(self, unheard: int = 0) -> list[str]:
        if self.client is None:
            return []
        frames = await self.heard()
        if len(frames) < unheard:
            return [f"the server said {frames}, and {unheard} were to be lost"]
        return [f"the server said as well: {frame}" for frame in frames[unheard:]]
