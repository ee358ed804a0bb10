"""Plays the frames of a documentation page against a server in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import trio

from relay.testing import Device, World

BLOCK = re.compile(r"^```(\S*)[ ]*(\S*)[ ]*(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OMITTED = "…"
NONE = "\u2013"
"""What a table says where there is nothing to say."""

PATIENCE = 60.0
"""Virtual seconds that a documented frame may take: longer than a heartbeat's interval."""

SETTLED = 0.5
"""Virtual seconds after which everything that a frame causes has happened."""


class Block(NamedTuple):
    """One fenced block: its language, who is to send or to receive it, and which device that is."""

    language: str
    role: str
    device: str
    text: str

    @property
    def frame(self) -> Any:
        """The block's JSON."""
        return json.loads(self.text)


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's fenced blocks, in their order."""
    for language, role, device, text in BLOCK.findall(page):
        yield Block(language, role, device or "client", text.strip())


def agrees(documented: Any, actual: Any) -> bool:
    """Tell whether an actual value is the documented one, where times and what is omitted may differ."""
    if isinstance(documented, dict):
        return (
            isinstance(actual, dict)
            and documented.keys() == actual.keys()
            and all(agrees(value, actual[name]) for name, value in documented.items())
        )
    if isinstance(documented, list):
        return (
            isinstance(actual, list)
            and len(documented) == len(actual)
            and all(agrees(one, other) for one, other in zip(documented, actual, strict=True))
        )
    if isinstance(documented, float) and documented > 1e9:
        return isinstance(actual, float) and actual > 1e9
    if isinstance(documented, str) and documented.endswith(OMITTED):
        return isinstance(actual, str) and actual.startswith(documented.removesuffix(OMITTED)) and actual != ""
    return type(documented) is type(actual) and bool(documented == actual)


class Conversation:
    """A page's devices: what the page says of the first one, `client`, is complete; of others it is a part."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.devices: dict[str, Device] = {}
        self.played = 0

    async def play(self, block: Block) -> None:
        """Send a client's frame, or receive the server's and compare it."""
        if block.role == "client":
            await self._send(block)
        elif block.role == "server":
            await self._expect(block)
        elif block.role == "close":
            await self._expect_close(block)
        else:
            return
        self.played += 1

    async def nothing_more(self) -> None:
        """Check that the client was sent nothing that the page does not tell of."""
        device = self.devices.get("client")
        if device is not None and device.end is None:
            await trio.sleep(SETTLED)
            extra = await device.drain()
            assert extra == [], f"the page does not tell of {extra}"

    async def _send(self, block: Block) -> None:
        if block.device == "client":
            await self.nothing_more()
        text = block.text
        if '"hello"' in text:
            frame = block.frame
            payload = frame["payload"]
            payload["token"] = self.world.tokens[payload["token"].removeprefix("rly_")]
            if payload.get("epoch") == OMITTED:
                payload["epoch"] = self.world.engine.epoch
            text = json.dumps(frame)
            self.devices[block.device] = await self.world.upgrade()
        await self.devices[block.device].send(text)
        if block.device != "client":
            await trio.sleep(SETTLED)

    async def _expect(self, block: Block) -> None:
        device, documented = self.devices[block.device], block.frame
        seen = []
        with trio.move_on_after(PATIENCE):
            while True:
                actual = await device.next()
                if agrees(documented, actual):
                    return
                seen.append(actual)
                if block.device == "client":
                    break
        raise AssertionError(
            f"documented:\n{json.dumps(documented)}\nreceived:\n" + "\n".join(map(json.dumps, seen))
        )

    async def _expect_close(self, block: Block) -> None:
        with trio.fail_after(PATIENCE):
            closed = await self.devices[block.device].closed()
        assert closed.code == int(block.text)
