"""Frames of a link between two nodes: made, and cut out of the bytes that come, within bounds.

A frame has a head of nine bytes (its kind, its lane, the length of its body) and a body. A lane is one client's
connection within a link. MANY is one body for many lanes: it has their number where others have their lane.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

WINDOW_TO_CLIENT: Final = 128 << 10
"""How many bytes may be on their way to a client of another node, in each lane."""

WINDOW_TO_LEADER: Final = 64 << 10
"""How many bytes of a client may wait at the leader to be received, in each lane."""

MOST_AT_ONCE: Final = 16_384
"""The most lanes that one frame names."""

_MOST_BODY: Final = WINDOW_TO_CLIENT + 4 * MOST_AT_ONCE
_MOST_ADDRESS: Final = 200
"""Bytes of a client's address."""

MOST_LANES: Final = 200_000
"""The most clients of one node."""

LAST_LANE: Final = (1 << 32) - 1
"""The last number of a lane in one link: none is used twice."""

_HEAD: Final = struct.Struct(">BII")
_AMOUNT: Final = struct.Struct(">I")
HEAD_BYTES: Final = _HEAD.size


class BadFrame(Exception):
    """Bytes that no node of this protocol sends; the text says what is wrong with them."""


class Kind(IntEnum):
    """The purpose of a frame."""

    OPEN = 1
    """A lane begins; the body is the client's address."""

    DATA = 2
    """Bytes of a lane."""

    MANY = 3
    """The same bytes for many lanes; the body begins with these."""

    CREDIT = 4
    """So many more bytes may be sent in a lane."""

    EOF = 5
    """No more bytes come this way."""

    CLOSE = 6
    """The lane is over: the leader's, once what came before is written; the other node's, at once."""

    BEAT = 7
    """The node lives."""


_BODIES: Final[dict[int, tuple[int, int]]] = {
    Kind.OPEN: (0, _MOST_ADDRESS),
    Kind.DATA: (1, WINDOW_TO_CLIENT),
    Kind.MANY: (5, _MOST_BODY),
    Kind.CREDIT: (4, 4),
    Kind.EOF: (0, 0),
    Kind.CLOSE: (0, 0),
    Kind.BEAT: (0, 0),
}
"""The least and the most bytes of each kind's body."""


class Frame(NamedTuple):
    """One frame that came.

    Attributes:
        lanes: whom it is for; of a BEAT (0,).
    """

    kind: Kind
    lanes: Sequence[int]
    body: bytes

    @property
    def amount(self) -> int:
        """How many bytes a CREDIT is for."""
        return int(_AMOUNT.unpack(self.body)[0])


def frame(kind: Kind, lane: int, body: bytes = b"") -> bytes:
    """Return a frame of one lane."""
    return _HEAD.pack(kind, lane, len(body)) + body


def credit(lane: int, amount: int) -> bytes:
    """Return the frame that allows so many more bytes."""
    return _HEAD.pack(Kind.CREDIT, lane, 4) + _AMOUNT.pack(amount)


def data_head(lanes: Sequence[int], size: int) -> bytes:
    """Return what goes before `size` bytes for one lane, or for up to `MOST_AT_ONCE`."""
    if len(lanes) == 1:
        return _HEAD.pack(Kind.DATA, lanes[0], size)
    return _HEAD.pack(Kind.MANY, len(lanes), 4 * len(lanes) + size) + struct.pack(f">{len(lanes)}I", *lanes)


class Splitter:
    """Cuts what comes into frames; it holds less than one frame back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = HEAD_BYTES

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole by now.

        Raises:
            BadFrame: as soon as it is sure.
        """
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return  # joined once, however small the parts are
        data, at = b"".join(self._parts), 0
        self._parts.clear()
        self._needed = HEAD_BYTES
        while len(data) - at >= HEAD_BYTES:
            number, lane, size = _HEAD.unpack_from(data, at)
            _check(number, lane, size)
            start = at + HEAD_BYTES
            if len(data) - start < size:
                self._needed = HEAD_BYTES + size
                break
            at = start + size
            if number == Kind.MANY:
                lanes = struct.unpack_from(f">{lane}I", data, start)
                yield Frame(Kind.MANY, lanes, data[start + 4 * lane : at])
            else:
                yield Frame(Kind(number), (lane,), data[start:at])
        self._parts.append(data[at:])
        self._size = len(data) - at


def _check(number: int, lane: int, size: int) -> None:
    """Raise `BadFrame` for a head that cannot be one."""
    bounds = _BODIES.get(number)
    if bounds is None:
        raise BadFrame(f"there is no frame of kind {number}")
    if not bounds[0] <= size <= bounds[1]:
        raise BadFrame(f"a frame of kind {Kind(number).name} has no body of {size} bytes")
    if number == Kind.MANY and not (1 <= lane <= MOST_AT_ONCE and 0 < size - 4 * lane <= WINDOW_TO_CLIENT):
        raise BadFrame(f"a frame for {lane} lanes has no body of {size} bytes")
