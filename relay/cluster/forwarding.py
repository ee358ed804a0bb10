"""The other end of a link: the clients of a node that does not lead, each passed on to the leader."""

from __future__ import annotations

from typing import Final

import trio

from relay.cluster.frames import (
    LAST_LANE,
    MOST_LANES,
    WINDOW_TO_CLIENT,
    WINDOW_TO_LEADER,
    BadFrame,
    Frame,
    Kind,
    credit,
    frame,
)
from relay.cluster.link import MOST_HELD, Link, LinkStatistics
from relay.transports.peer import PeerStream

_CHUNK: Final = 65536
_ADDRESS_CHARACTERS: Final = 200


class Forwarder:
    """Passes clients on over one link.

    Args:
        stream: the connection to the leader.
        silence: seconds without a byte of the leader's after which it is taken for dead.
    """

    def __init__(self, stream: trio.abc.Stream, silence: float) -> None:
        self.link = Link(stream, silence, self._take)
        self._stream = stream
        self._clients: dict[int, _Client] = {}
        self._newest = 0
        self._nursery: trio.Nursery | None = None

    async def run(self) -> str:
        """Carry until the link is over, and cut all its clients at once; return why."""
        async with self._stream, trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await self.link.run()
            finally:
                for client in list(self._clients.values()):
                    client.cut()
                nursery.cancel_scope.cancel()
        return self.link.broken

    async def serve(self, peer: PeerStream) -> None:
        """Pass a client on until the connection is over, and close it."""
        if self.link.broken or len(self._clients) >= MOST_LANES or self._newest >= LAST_LANE:
            await peer.abort()
            return
        number = self._newest = self._newest + 1
        client = self._clients[number] = _Client(self, peer, number)
        self.link.put(frame(Kind.OPEN, number, peer.address.encode("ascii", "replace")[:_ADDRESS_CHARACTERS]))
        try:
            with client.reading:
                await client.read()
                await trio.sleep_forever()  # until the leader closes
            await client.written()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            client.is_cut = True
        finally:
            if self._clients.pop(number, None) is not None:
                self.link.put(frame(Kind.CLOSE, number))
            client.forget()
        if client.is_cut:
            await peer.abort()
        else:
            await peer.aclose()

    def start(self, client: _Client) -> None:
        """Start a task that writes what a client did not take at once."""
        if self._nursery is not None:
            self._nursery.start_soon(client.write)

    def _take(self, one: Frame) -> None:
        if one.kind is Kind.OPEN:
            raise BadFrame("the leader opens no lanes")
        for number in one.lanes:
            client = self._clients.get(number)
            if client is not None:
                self._give(client, one)
            elif not 0 < number <= self._newest:
                raise BadFrame(f"lane {number} was never opened")

    def _give(self, client: _Client, one: Frame) -> None:
        match one.kind:
            case Kind.DATA | Kind.MANY:
                client.take(one.body)
            case Kind.CREDIT:
                client.take_credit(one.amount)
            case Kind.EOF:
                client.take_end()
            case _:
                del self._clients[client.number]
                client.reading.cancel()

    def statistics(self) -> LinkStatistics:
        """Return the figures of this moment."""
        return self.link.statistics(len(self._clients))


class _Client:
    """One client of this node.

    Attributes:
        reading: cancelled once nothing more is read of it.
        is_cut: whether it is closed without a word.
    """

    __slots__ = (
        "_allowed", "_credit", "_credited", "_ended", "_forwarder", "_held", "_owed", "_peer", "_queue",
        "_writing", "is_cut", "number", "reading",
    )  # fmt: skip

    def __init__(self, forwarder: Forwarder, peer: PeerStream, number: int) -> None:
        self.number = number
        self.reading = trio.CancelScope()
        self.is_cut = False
        self._forwarder = forwarder
        self._peer = peer
        self._credit = WINDOW_TO_LEADER
        self._credited: trio.Event | None = None
        self._allowed = WINDOW_TO_CLIENT
        self._owed = 0
        """Bytes that the client has taken, and that were not yet allowed anew."""
        self._queue: list[bytes] | None = None
        """The bytes that it has not taken yet; None mostly."""
        self._held = 0
        """Their number, with those that are being written."""
        self._writing: trio.Event | None = None
        """Set when the task that writes is done; None while there is none."""
        self._ended = False

    # To the leader.

    async def read(self) -> None:
        """Pass on what the client sends, up to its end.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the client is gone, or the link is.
        """
        link = self._forwarder.link
        while True:
            await self._wait_credit()
            data = await self._peer.receive_some(min(_CHUNK, self._credit))
            if not data:
                link.put(frame(Kind.EOF, self.number))
                return
            while data:  # what was read before it came here may be more than the credit
                await self._wait_credit()
                await link.wait_room()
                piece, data = data[: self._credit], data[self._credit :]
                self._credit -= len(piece)
                link.put_data(self.number, piece)

    async def _wait_credit(self) -> None:
        while not self._credit:
            self._credited = trio.Event()
            await self._credited.wait()
            self._credited = None

    def take_credit(self, amount: int) -> None:
        """Be allowed to send more.

        Raises:
            BadFrame: more than was ever sent.
        """
        self._credit += amount
        if self._credit > WINDOW_TO_LEADER:
            raise BadFrame("credit for more than was sent")
        if self._credited is not None:
            self._credited.set()

    # To the client.

    def take(self, data: bytes) -> None:
        """Write bytes of the leader's, now where the kernel takes them, else as soon as it does.

        Raises:
            BadFrame: more than were allowed.
        """
        self._allowed -= len(data)
        if self._allowed < 0:
            raise BadFrame("more bytes for a client than were allowed")
        if self.is_cut:
            return
        if self._writing is None:
            try:
                sent = self._peer.write_now(data)
            except OSError:
                self.cut()
                return
            if sent:
                self._give_back(sent)
            if sent == len(data):
                return
            data = data[sent:]
        if self._queue is None:
            self._queue = []
        self._queue.append(data)
        self._hold(len(data))
        if self._forwarder.link.held > MOST_HELD:
            self.cut()
        else:
            self._start()

    def take_end(self) -> None:
        """Say to the client that nothing follows, once it has everything."""
        self._ended = True
        self._start()

    def _start(self) -> None:
        if self._writing is None:
            self._writing = trio.Event()
            self._forwarder.start(self)

    async def write(self) -> None:
        """Write what waits, then whatever came to wait meanwhile."""
        try:
            while self._queue and not self.is_cut:
                data, self._queue = b"".join(self._queue), None
                for start in range(0, len(data), _CHUNK):
                    piece = memoryview(data)[start : start + _CHUNK]
                    await self._peer.send_all(piece)
                    self._hold(-len(piece))
                    self._give_back(len(piece))
            if self._ended:
                await self._peer.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()
        finally:
            if self._writing is not None:
                self._writing.set()
            self._writing = None

    async def written(self) -> None:
        """Return once the client has everything, or is cut."""
        if self._writing is not None and not self.is_cut:
            await self._writing.wait()

    def _hold(self, amount: int) -> None:
        self._held += amount
        self._forwarder.link.held += amount

    def forget(self) -> None:
        """Let go of what waits: the connection is over."""
        self._hold(-self._held)
        self._queue = None

    def _give_back(self, amount: int) -> None:
        self._owed += amount
        if self._owed >= WINDOW_TO_CLIENT // 2:
            self._forwarder.link.put(credit(self.number, self._owed))
            self._allowed += self._owed
            self._owed = 0

    def cut(self) -> None:
        """End it without a word."""
        self.is_cut = True
        self.reading.cancel()
        if self._writing is not None:
            self._writing.set()
