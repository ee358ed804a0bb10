"""The link between a node that follows and the leader: one connection, and in it a lane for each client.

What is to be sent is gathered, and goes out once in a turn of the event loop: a message to a group is written to
one lane after the other without a wait, and so its bytes go over the link once, behind a list of the lanes. Bytes
of a lane need credit of the other end. So what waits is bounded in each lane, and a client that does not read
holds up nobody else. In all it is bounded as well: where the other node takes nothing, nothing more is gathered,
and where too many clients let what has come wait, the next one that does is ended.

Each end sends a beat a few times in the time of silence after which the other takes it for dead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import trio

from relay.cluster.frames import HEAD_BYTES, MOST_AT_ONCE, BadFrame, Frame, Kind, Splitter, data_head, frame
from relay.protocol.errors import said
from relay.wakeup import Wakeup

_MOST_WAITING: Final = 16 << 20
"""Bytes that may wait in a link for the other node."""

MOST_HELD: Final = 256 << 20
"""Bytes that have come, and that may wait for those they are for: two thousand clients can hold so much."""

_READ_BYTES: Final = 256 << 10
_PIECE_BYTES: Final = 1 << 20
_BEATS_PER_SILENCE: Final = 4
_SHORT_BYTES: Final = 4096
"""Up to here bytes are looked for among all that go out together; longer ones are compared with the newest."""

_NO_LANES: Final[list[int]] = []
DELIVERIES_BETWEEN_PAUSES: Final = 500
"""After so many the task that takes what comes lets others run."""

_GONE: Final = "the other node is gone"
_OVER: Final = "the link is over"


class LinkBroken(Exception):
    """The link is over; the text says why."""


class LinkStatistics(NamedTuple):
    """The figures of a link, from its beginning on; of several links their sums.

    Attributes:
        lanes: those that are open now.
        shared: deliveries whose bytes went in a frame for many.
    """

    lanes: int = 0
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    shared: int = 0

    def plus(self, other: LinkStatistics) -> LinkStatistics:
        """Return the sums of two."""
        return LinkStatistics(*map(sum, zip(self, other, strict=True)))


class Link:
    """One end of a link.

    Args:
        stream: the connection to the other node.
        silence: seconds without a byte of the other node after which it is taken for dead.
        take: takes a frame that came; raises `BadFrame` for one that must not be.

    Attributes:
        held: bytes that have come, and wait for those they are for.
        broken: why the link is over; "" while it is not.
    """

    def __init__(self, stream: trio.abc.Stream, silence: float, take: Callable[[Frame], None]) -> None:
        self._stream = stream
        self._silence = silence
        self._take = take
        self._heard_at = trio.current_time()
        self._waiting: list[bytes] = []
        self._size = 0
        """Bytes that wait, and those that are being sent."""
        self._groups: list[tuple[bytes, list[int]]] = []
        """Bytes that were put in last, and the lanes that they are for; each lane is named once."""
        self._named: set[int] = set()
        self._newest: tuple[bytes | None, list[int]] = (None, [])
        self._short: dict[bytes, list[int]] = {}
        """Those of the groups that are short, to be found again behind others."""
        self._busy = False
        self._filled = Wakeup()
        self._room: trio.Event | None = None
        self._empty: trio.Event | None = None
        self._figures = [0, 0, 0, 0, 0]
        self.held = 0
        self.broken = ""

    # Sending.

    @property
    def has_room(self) -> bool:
        """Whether more bytes may be put in; small frames always may."""
        return self._size < _MOST_WAITING

    async def wait_room(self) -> None:
        """Wait until more bytes may be put in.

        Raises:
            trio.BrokenResourceError: the link is over.
        """
        while not self.has_room and not self.broken:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()
        if self.broken:
            raise trio.BrokenResourceError(self.broken)

    def put_data(self, lane: int, data: bytes) -> None:
        """Send bytes of a lane, soon; they are not empty, and no more than a window."""
        # As no lane is named twice, it does not matter in which order the groups go out.
        if lane in self._named:
            self._end_groups()
        self._named.add(lane)
        newest, lanes = self._newest
        if data != newest:
            lanes = self._short.get(data, _NO_LANES) if len(data) <= _SHORT_BYTES else _NO_LANES
        if not 0 < len(lanes) < MOST_AT_ONCE:
            lanes = self._add_group(data)
        lanes.append(lane)
        self._size += 4
        if not self._busy:
            self._busy = True
            self._filled.set()

    def put(self, made: bytes) -> None:
        """Send a frame, soon; on a link that is over nothing happens."""
        if self.broken:
            return
        self._end_groups()
        self._waiting.append(made)
        self._size += len(made)
        self._figures[1] += 1
        if not self._busy:
            self._busy = True
            self._filled.set()

    def _add_group(self, data: bytes) -> list[int]:
        lanes: list[int] = []
        self._groups.append((data, lanes))
        self._newest = (data, lanes)
        if len(data) <= _SHORT_BYTES:
            self._short[data] = lanes
        self._size += HEAD_BYTES + len(data)
        return lanes

    def _end_groups(self) -> None:
        """Make a frame of each group."""
        if not self._groups:
            return
        for data, lanes in self._groups:
            self._waiting += (data_head(lanes, len(data)), data)
            if len(lanes) > 1:
                self._figures[4] += len(lanes)
        self._figures[1] += len(self._groups)
        self._groups.clear()
        self._named.clear()
        self._short.clear()
        self._newest = (None, [])

    async def flush(self) -> None:
        """Return once all that was put in was given to the kernel, or the link is over."""
        while self._size and not self.broken:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            while self._size:
                self._end_groups()
                data = b"".join(self._waiting)
                self._waiting.clear()
                self._size = len(data)
                for start in range(0, len(data), _PIECE_BYTES):
                    piece = memoryview(data)[start : start + _PIECE_BYTES]
                    await self._stream.send_all(piece)
                    self._size -= len(piece)
                    self._figures[3] += len(piece)
                    if self._room is not None and self.has_room:
                        self._room.set()
                        self._room = None
            self._busy = False
            if self._empty is not None:
                self._empty.set()
                self._empty = None

    # Receiving.

    async def _receive(self) -> None:
        splitter, taken = Splitter(), 0
        while data := await self._stream.receive_some(_READ_BYTES):
            self._heard_at = trio.current_time()
            self._figures[2] += len(data)
            for one in splitter.feed(bytes(data)):
                self._figures[0] += 1
                if one.kind is not Kind.BEAT:
                    self._take(one)
                taken += len(one.lanes)
                if taken >= DELIVERIES_BETWEEN_PAUSES:
                    taken = 0
                    await trio.lowlevel.checkpoint()
        raise LinkBroken(_GONE)

    async def _beat(self) -> None:
        while True:
            await trio.sleep(self._silence / _BEATS_PER_SILENCE)
            silent = trio.current_time() - self._heard_at
            if silent >= self._silence:
                raise LinkBroken(f"the other node has said nothing for {silent:.1f} s")
            if not self._busy:
                self.put(frame(Kind.BEAT, 0))

    # The whole.

    async def run(self) -> str:
        """Carry until the link is over; return why."""
        tasks: tuple[Callable[[], Awaitable[None]], ...] = (self._send, self._receive, self._beat)
        try:
            async with trio.open_nursery() as nursery:
                for task in tasks:
                    nursery.start_soon(task)
        except* LinkBroken as broken:
            self.broken = said(broken.exceptions[0])
        except* BadFrame as bad:
            self.broken = f"the other node sends what is not of a link: {said(bad.exceptions[0])}"
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as broken:
            self.broken = f"the connection between the nodes broke: {said(broken.exceptions[0])}"
        finally:
            self._end()
        return self.broken

    def _end(self) -> None:
        self.broken = self.broken or _OVER
        self._waiting.clear()
        for event in (self._room, self._empty):
            if event is not None:
                event.set()
        self._room = self._empty = None

    def statistics(self, lanes: int) -> LinkStatistics:
        """Return the figures of this moment, of a link with so many lanes."""
        return LinkStatistics(lanes, *self._figures)
