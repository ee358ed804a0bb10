"""The leader's end of links: each lane is served as if its client had connected here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import reduce
from typing import Final

import trio

from relay.cluster.frames import (
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
from relay.transports.lobby import ThrottledLog
from relay.transports.peer import PassedOn

_log: Final = logging.getLogger("relay.cluster")
_CHUNK: Final = 65536
_CLOSED_HERE: Final = "this connection was closed here"


class Lane(PassedOn):
    """One client of another node, as a stream.

    Args:
        address: the client's, as the other node sees it.
        forget: called with its number once it is over here.
    """

    __slots__ = (
        "_allowed", "_arrived", "_credit", "_credited", "_ended", "_forget", "_link", "_number", "_owed",
        "_unread", "_why", "said_eof",
    )  # fmt: skip

    def __init__(self, link: Link, number: int, address: str, forget: Callable[[int], object]) -> None:
        self.address = address
        self._link = link
        self._number = number
        self._forget = forget
        self._credit = WINDOW_TO_CLIENT
        self._allowed = WINDOW_TO_LEADER
        self._owed = 0
        """Bytes that were received here, and not yet allowed anew."""
        self._unread = b""
        self._ended = False
        self._why = ""
        """Why it is over; "" while it is not."""
        self._arrived: trio.Event | None = None
        self._credited: trio.Event | None = None
        self.said_eof = False

    # What the link brings.

    def take(self, data: bytes) -> None:
        """Take bytes of the client.

        Raises:
            BadFrame: more than were allowed, or behind the end.
        """
        self._allowed -= len(data)
        if self._allowed < 0 or self._ended:
            raise BadFrame("more bytes of a client than it was allowed")
        self._unread += data
        self._link.held += len(data)
        if self._link.held > MOST_HELD:
            self._close("too much waits to be received here")
        self._wake(self._arrived)

    def take_end(self) -> None:
        """Note that the client sends no more."""
        self._ended = True
        self._wake(self._arrived)

    def take_credit(self, amount: int) -> None:
        """Be allowed to send more.

        Raises:
            BadFrame: more than was ever sent.
        """
        self._credit += amount
        if self._credit > WINDOW_TO_CLIENT:
            raise BadFrame("credit for more than was sent")
        self._wake(self._credited)

    def end(self, why: str) -> None:
        """Be over: the client is gone, or the other node is."""
        self._why = self._why or why
        self._link.held -= len(self._unread)
        self._unread = b""
        self._forget(self._number)
        self._wake(self._arrived)
        self._wake(self._credited)

    @staticmethod
    def _wake(event: trio.Event | None) -> None:
        if event is not None:
            event.set()

    # What the server does with it.

    def has_unread(self) -> bool:
        """Tell whether something has come that was not received yet."""
        return bool(self._unread) or self._ended

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive as trio's streams do.

        Raises:
            trio.BrokenResourceError: the client is gone, or the link is.
            trio.ClosedResourceError: it was closed here.
        """
        if self._arrived is not None:
            raise trio.BusyResourceError("another task receives from this connection")
        if self._unread or self._ended or self._why:
            await trio.lowlevel.checkpoint()
        while not (self._unread or self._ended or self._why):
            self._arrived = trio.Event()
            try:
                await self._arrived.wait()
            finally:
                self._arrived = None
        self._check_open()
        data = self._unread
        if max_bytes is not None and len(data) > max_bytes:
            data, self._unread = data[:max_bytes], data[max_bytes:]
        else:
            self._unread = b""
        self._link.held -= len(data)
        self._owed += len(data)
        if self._owed >= WINDOW_TO_LEADER // 2:
            self._link.put(credit(self._number, self._owed))
            self._allowed += self._owed
            self._owed = 0
        return data

    def _check_open(self) -> None:
        if self._why == _CLOSED_HERE:
            raise trio.ClosedResourceError(_CLOSED_HERE)
        if self._why:
            raise trio.BrokenResourceError(self._why)

    def write_now(self, data: bytes) -> int:
        """Send what the client's credit and the link take without a wait, and return how many bytes that is.

        Raises:
            BrokenPipeError: the connection is over, or its end was said.
        """
        if self._why or self.said_eof:
            raise BrokenPipeError(self._why or "the end of this connection was said")
        size = len(data)
        if size > self._credit:
            size = self._credit
            data = data[:size]
        if not size or not self._link.has_room:
            return 0
        self._credit -= size
        self._link.put_data(self._number, data)
        return size

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as trio's streams do.

        Raises:
            trio.BrokenResourceError: the client is gone, or the link is.
            trio.ClosedResourceError: it was closed here.
        """
        await trio.lowlevel.checkpoint()
        self._check_open()
        view, at = memoryview(data), 0
        while at < len(view):
            await self.wait_send_all_might_not_block()
            self._check_open()
            try:
                at += self.write_now(bytes(view[at : at + _CHUNK]))
            except BrokenPipeError as error:
                raise trio.ClosedResourceError(str(error)) from None

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for credit, and for room in the link."""
        while not self._credit and not self._why:
            if self._credited is None:
                self._credited = trio.Event()
            await self._credited.wait()
            self._credited = None
        if not self._why:
            await self._link.wait_room()

    async def send_eof(self) -> None:
        """Say that nothing follows."""
        self._check_open()
        if not self.said_eof:
            self.said_eof = True
            self._link.put(frame(Kind.EOF, self._number))
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close; what was sent before reaches the client all the same, as from a socket."""
        if not self._why:
            self._close(_CLOSED_HERE)
        await trio.lowlevel.checkpoint()

    def _close(self, why: str) -> None:
        self._link.put(frame(Kind.CLOSE, self._number))
        self.end(why)


class _Lanes:
    """The lanes of one link."""

    def __init__(self, stream: trio.abc.Stream, silence: float, start: Callable[[Lane], object]) -> None:
        self.link = Link(stream, silence, self._take)
        self.open: dict[int, Lane] = {}
        self._start = start
        self._newest = 0

    def _take(self, one: Frame) -> None:
        if one.kind is Kind.OPEN:
            self._open(one)
            return
        for number in one.lanes:
            lane = self.open.get(number)
            if lane is not None:
                self._give(lane, one)
            elif not 0 < number <= self._newest:
                raise BadFrame(f"lane {number} was never opened")

    def _open(self, one: Frame) -> None:
        [number] = one.lanes
        if number <= self._newest or len(self.open) >= MOST_LANES:
            raise BadFrame(f"lane {number} cannot be opened: the newest is {self._newest}, of {len(self.open)}")
        self._newest = number
        lane = Lane(self.link, number, one.body.decode("ascii", "replace"), self.open.pop)
        self.open[number] = lane
        self._start(lane)

    @staticmethod
    def _give(lane: Lane, one: Frame) -> None:
        match one.kind:
            case Kind.DATA | Kind.MANY:
                lane.take(one.body)
            case Kind.CREDIT:
                lane.take_credit(one.amount)
            case Kind.EOF:
                lane.take_end()
            case _:
                lane.end("the client is gone")

    def end(self, why: str) -> None:
        """End every lane: the link is over."""
        for lane in list(self.open.values()):
            lane.end(why)

    def statistics(self) -> LinkStatistics:
        """Return the figures of this moment."""
        return self.link.statistics(len(self.open))


class LinkServer:
    """Serves the links of other nodes.

    Args:
        serve: serves one client's stream until it is over, as the front door does; raises nothing.
        silence: seconds without a byte of a node after which it is taken for dead.
    """

    def __init__(self, serve: Callable[[PassedOn], Awaitable[object]], silence: float) -> None:
        self._serve = serve
        self._silence = silence
        self._links: dict[_Lanes, str] = {}
        self._log = ThrottledLog(_log)

    async def serve(self, stream: trio.abc.Stream, node: str) -> None:
        """Serve one link until it is over, and its clients until they have noticed.

        Args:
            node: the other node's name.
        """
        async with stream, trio.open_nursery() as nursery:
            lanes = _Lanes(stream, self._silence, lambda lane: nursery.start_soon(self._serve, lane))
            self._links[lanes] = node
            try:
                why = await lanes.link.run()
                self._log.warn(f"link {node}", f"the link of node {node} is over: {why}")
            finally:
                del self._links[lanes]
                lanes.end(lanes.link.broken)
            await trio.aclose_forcefully(stream)

    async def flush(self) -> None:
        """Return once all that was sent to clients has left this process, or their links are over."""
        for lanes in list(self._links):
            await lanes.link.flush()

    def statistics(self) -> dict[str, LinkStatistics]:
        """Return the figures of the open links by their nodes' names."""
        found: dict[str, LinkStatistics] = {}
        for lanes, node in self._links.items():
            found[node] = reduce(LinkStatistics.plus, [lanes.statistics()], found.get(node, LinkStatistics()))
        return found
