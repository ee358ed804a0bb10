"""What lies between a device and the server in a test: nothing, or a delay in each direction."""

from __future__ import annotations

import math

import trio
import trio.testing


class Network:
    """Makes connections in memory.

    Attributes:
        delay: seconds that whatever is sent takes, each way, on connections made from now on.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.delay = 0.0

    def pair(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        """Return the two ends of a new connection."""
        ours, theirs = trio.testing.memory_stream_pair()
        if not self.delay:
            return ours, theirs
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._carry, theirs, near, self.delay)
        self._nursery.start_soon(self._carry, near, theirs, self.delay)
        return ours, far

    async def _carry(self, source: trio.abc.Stream, sink: trio.abc.Stream, delay: float) -> None:
        """Carry bytes one way, each after the delay and in order; an end and a cut are carried as well."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)

        async def deliver() -> None:
            async for due, data in receive:
                await trio.sleep_until(due)
                try:
                    await sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
            await trio.aclose_forcefully(sink)

        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(deliver)
            try:
                while data := await source.receive_some(65536):
                    send.send_nowait((trio.current_time() + delay, bytes(data)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
