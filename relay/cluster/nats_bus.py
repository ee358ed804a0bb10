"""The bus between nodes, on NATS' own subjects: what nobody hears is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import trio

from relay.cluster.nats_client import Connection, Message
from relay.cluster.stream import Unreachable

_SEND_SECONDS: Final = 1.0
_WAITING: Final = 256
"""How many messages wait for a listener before the oldest are dropped."""


class NatsBus:
    """A cluster's bus (`relay.cluster.stream.Bus`)."""

    def __init__(self, connection: Connection, cluster: str) -> None:
        self._connection = connection
        self._prefix = f"relay.{cluster}.bus."

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to all nodes that listen to `subject`, this one included; lost where the bus is away."""
        with suppress(Unreachable):
            await self._connection.loop.call(partial(self._publish, subject, data))

    async def _publish(self, subject: str, data: bytes) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SEND_SECONDS):
                await self._connection.publish(self._prefix + subject, data)

    @asynccontextmanager
    async def subscribe(self, subject: str) -> AsyncIterator[trio.MemoryReceiveChannel[bytes]]:
        """Return what comes to `subject`; the oldest are dropped where nobody takes them."""
        token = trio.lowlevel.current_trio_token()
        send, receive = trio.open_memory_channel[bytes](_WAITING)

        def put(data: bytes) -> None:
            with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
                try:
                    send.send_nowait(data)
                except trio.WouldBlock:
                    receive.receive_nowait()
                    send.send_nowait(data)

        def heard(message: Message) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(put, message.data)

        listen = partial(self._connection.listen, self._prefix + subject, heard)
        with send, receive:
            number = await self._connection.loop.call(listen)
            try:
                yield receive
            finally:
                with trio.CancelScope(shield=True), suppress(Unreachable):
                    await self._connection.loop.call(partial(self._connection.unlisten, number))
