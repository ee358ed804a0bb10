"""The simulated network: connections that delay, split, stall, break and fall silent, each by the seed.

A connection has no tasks of its own: what is sent waits at the other end until it is due. Whatever passes goes into
the trace, by which two runs are compared.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable

import trio

WINDOW = 65_536
"""Bytes on their way in one direction; who sends more waits, as with TCP."""

DELAYS = (0.0, 0.0, 0.0005, 0.003, 0.02, 0.15)


class Trace:
    """A hash of all that happened, with its virtual times.

    Attributes:
        count: how many things did.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.count = 0

    def note(self, what: str, data: bytes = b"") -> None:
        """Add something that happened now."""
        self.count += 1
        self._hash.update(b"%s %r %d\n" % (what.encode(), trio.current_time(), len(data)))
        self._hash.update(data)

    def digest(self) -> str:
        """Return the hash of what happened up to now."""
        return self._hash.hexdigest()


class End(trio.abc.Stream):
    """One end of a connection."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self._arriving: deque[tuple[float, bytes]] = deque()
        self._changed = trio.lowlevel.ParkingLot()
        self._last_due = 0.0
        self.peer: End
        self.waiting = 0
        self.closed = self.over = self.broken = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; wait while too much is on its way."""
        await trio.lowlevel.checkpoint()
        self._check()
        self._wire.trace.note(self._name, bytes(data))
        if not self._wire.silent:
            self.peer._arrives(bytes(data))
            while self.peer.waiting > WINDOW and not self.closed and not self.broken:
                await self._changed.park()
            self._check()

    def _check(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this end is closed")
        if self.broken or self.peer.closed:
            raise trio.BrokenResourceError("the connection is broken")

    def _arrives(self, data: bytes) -> None:
        rng, now = self._wire.rng, trio.current_time()
        parts = [data]
        if len(data) > 2 and rng.random() < 0.05:
            at = rng.randrange(1, len(data))
            parts = [data[:at], data[at:]]
        for part in parts:
            self._last_due = max(self._last_due, now + rng.choice(DELAYS) * self._wire.slowness)
            self._arriving.append((self._last_due, part))
            self.waiting += len(part)
        self._changed.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has arrived; b"" once the other end is closed."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.closed:
                raise trio.ClosedResourceError("this end is closed")
            if self.broken:
                raise trio.BrokenResourceError("the connection is broken")
            due = self._arriving[0][0] if self._arriving else float("inf")
            if due <= trio.current_time():
                return self._take(max_bytes)
            if self.over and not self._arriving:
                return b""
            with trio.move_on_at(due):
                await self._changed.park()

    def _take(self, max_bytes: int | None) -> bytes:
        due, data = self._arriving.popleft()
        if max_bytes is not None and len(data) > max_bytes:
            self._arriving.appendleft((due, data[max_bytes:]))
            data = data[:max_bytes]
        self.waiting -= len(data)
        self.peer._changed.unpark_all()
        return data

    async def aclose(self) -> None:
        """Close; the other end learns of it once it has read the rest, unless the network is silent."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close without waiting."""
        if not self.closed:
            self.closed = True
            self._wire.trace.note(f"{self._name} closes")
            if not self._wire.silent:
                self.peer.over = True
            self._changed.unpark_all()
            self.peer._changed.unpark_all()

    def breaks(self) -> None:
        """Fail from now on; what was on its way is lost."""
        self.broken = True
        self._arriving.clear()
        self._changed.unpark_all()


class Wire:
    """One connection, from a device's end to the server's.

    Attributes:
        silent: whether everything that is sent is lost, and neither end is told.
        slowness: what delays are multiplied by.
    """

    def __init__(self, name: str, rng: random.Random, trace: Trace, slowness: float) -> None:
        self.rng, self.trace, self.slowness = rng, trace, slowness
        self.silent = False
        self.device, self.server = End(self, f"{name} >"), End(self, f"{name} <")
        self.device.peer, self.server.peer = self.server, self.device

    def cut(self) -> None:
        """Break it at both ends."""
        self.device.breaks()
        self.server.breaks()

    def fall_silent(self) -> None:
        """Lose all that is sent from now on, and what is on its way."""
        self.silent = True
        self.device._arriving.clear()
        self.server._arriving.clear()

    def server_dies(self) -> None:
        """Break it for the device; what the dead process still does reaches nobody."""
        self.device.breaks()
        self.fall_silent()


class Network:
    """Connects devices to whichever server lives.

    Attributes:
        slowness: what delays of new connections are multiplied by.
        wires: the newest connection of each device.
    """

    def __init__(self, rng: random.Random, trace: Trace) -> None:
        self._rng = rng
        self._trace = trace
        self._accept: Callable[[End], None] | None = None
        self._count = 0
        self._open: list[Wire] = []
        self.slowness = 1.0
        self.wires: dict[str, Wire] = {}

    def listen(self, accept: Callable[[End], None]) -> None:
        """Have connections accepted from now on."""
        self._accept = accept

    def server_stops(self, *, at_once: bool) -> None:
        """Refuse connections; with `at_once` those that are open break, as their process is gone."""
        self._accept = None
        if at_once:
            for wire in self._open:
                wire.server_dies()

    def calm(self) -> None:
        """Be quick from now on, on open connections as well; those that swallow everything break."""
        self.slowness = 1.0
        for wire in self._open:
            wire.slowness = 1.0
            if wire.silent:
                wire.cut()

    async def dial(self, device: str) -> End:
        """Open a connection.

        Raises:
            OSError: no server listens.
        """
        await trio.sleep(self._rng.choice(DELAYS))
        if self._accept is None:
            raise ConnectionRefusedError("connection refused")
        self._count += 1
        wire = Wire(f"{device}/{self._count}", self._rng, self._trace, self.slowness)
        self._open = [one for one in self._open if not (one.device.closed and one.server.closed)]
        self._open.append(wire)
        self.wires[device] = wire
        self._accept(wire.server)
        return wire.device
