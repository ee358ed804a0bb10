"""The inbox of a connection: its messages on their way to the router, in their order and bounded.

What needs no wait, nearly everything, goes to the router where it is read. What does, a plugin's handler or a
conversation that is not in memory, goes to a worker task together with all that follows it, so that a
connection's messages keep their order and its pings are still answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from relay.engine.engine import Engine
from relay.protocol.envelope import Envelope, encode_error
from relay.protocol.errors import RelayError, not_saved
from relay.services.connections import Connection
from relay.storage.errors import StorageError
from relay.transports.websocket import WebSocket

_FULL: Final = 256
"""With so many messages waiting for the worker nothing more is read, until half of them are done."""


class Inbox:
    """The messages of one connection that are not answered yet.

    Args:
        nursery: the connection's own; the worker runs there.
        answer: sends an answer's JSON.
        pace: waits as long as the sender of a refused message has to.
    """

    __slots__ = (
        "_answer", "_connection", "_engine", "_most_in_flight", "_nursery", "_pace", "_settled", "_socket",
        "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        socket: WebSocket,
        nursery: trio.Nursery,
        answer: Callable[[bytes], None],
        pace: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._socket = socket
        self._nursery = nursery
        self._answer = answer
        self._pace = pace
        self._most_in_flight = engine.settings.limits.in_flight or 1 << 62
        self._connection: Connection | None = None
        self._waiting: list[Envelope] = []
        self._settled: trio.Event | None = None

    def open(self, connection: Connection) -> None:
        """Begin with what came during the greeting, now that it is known who sends."""
        self._connection = connection
        if self._waiting:
            self._nursery.start_soon(self._work, connection)

    def put(self, envelope: Envelope) -> bool:
        """Take a message; return whether to wait for room before any more is read.

        Raises:
            RelayError: it is refused.
        """
        connection = self._connection
        # Where one message waits, those after it wait as well: a connection's messages keep their order.
        if connection is None or self._waiting:
            self._waiting.append(envelope)
            return self._is_full(_FULL)
        submission = self._engine.dispatcher.draft_nowait(connection, envelope)
        if submission is None:
            self._waiting.append(envelope)
            self._nursery.start_soon(self._work, connection)
            return self._is_full(_FULL)
        self._engine.router.submit_nowait(submission)
        connection.in_flight += 1
        return connection.in_flight >= self._most_in_flight

    async def _work(self, connection: Connection) -> None:
        """Do what had to wait, one after the other, until nothing does."""
        async with self._socket.closing_on_faults():
            while self._waiting:
                envelope = self._waiting[0]
                try:
                    submission = await self._engine.dispatcher.draft(connection, envelope)
                    self._engine.router.submit_nowait(submission)
                    connection.in_flight += 1
                except RelayError as error:
                    self._engine.tally.refuse(error.code)
                    self._answer(encode_error(error, envelope.meta.id))
                    await self._pace()
                except StorageError:
                    self._answer(encode_error(not_saved(), envelope.meta.id))
                # Only now, as a message that comes meanwhile must see that one before it is not done.
                del self._waiting[0]
                self.on_settled()

    def _is_full(self, most: int) -> bool:
        """Tell whether so many messages wait, or are in flight, that no more should be read."""
        connection = self._connection
        return len(self._waiting) >= most or (
            connection is not None and connection.in_flight >= self._most_in_flight
        )

    async def wait_for_room(self) -> None:
        """Return once enough of the messages are answered, or the connection ends."""
        while self._socket.ending is None and not self._socket.closed.is_set() and self._is_full(_FULL // 2):
            self._settled = trio.Event()
            await self._settled.wait()

    def on_settled(self) -> None:
        """Note that a message was answered."""
        if self._settled is not None:
            self._settled.set()
