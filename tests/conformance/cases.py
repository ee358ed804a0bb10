"""A case of the conformance run: what is sent, what must come back, and the verdict."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.conformance.peer import Fault, Frame, Peer
from tests.e2e.frames import BINARY, CONTINUATION, TEXT, encode_frame

QUIET_SECONDS: Final = 0.3
"""After so long without a word a server is taken to have nothing to say."""

MASK: Final = b"\x37\xfa\x21\x3d"
"""One mask for all frames: the cases are the same bytes in every run."""


class Verdict(enum.Enum):
    """How a case ended."""

    OK = "OK"
    NON_STRICT = "non-strict"
    FAILED = "failed"


class Chop(enum.Enum):
    """The pieces that the bytes of a case are sent in: all in one, one for each frame, or one for each byte."""

    WHOLE = "in one piece"
    FRAMES = "frame by frame"
    BYTES = "byte by byte"

    def cut(self, frames: Sequence[bytes]) -> Iterable[bytes]:
        """Return the pieces."""
        if self is Chop.FRAMES:
            return frames
        data = b"".join(frames)
        return [data] if self is Chop.WHOLE else (data[at : at + 1] for at in range(len(data)))


Play = Callable[[Peer], Verdict]


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        number: its group and its place in there, as "6.4.1".
        play: plays it to the end of the connection; raises `Fault` or `TimeoutError` where it failed.
        slow: whether it is left out of a quick run.
    """

    number: str
    title: str
    play: Play
    slow: bool = False

    @property
    def group(self) -> int:
        """The number of its group."""
        return int(self.number.partition(".")[0])


def frame(payload: bytes | str, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return a client's frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    return encode_frame(data, opcode, fin=fin, mask=MASK, rsv=rsv)


def fragments(payload: bytes, sizes: int, opcode: int = TEXT) -> list[bytes]:
    """Return a message in fragments of so many bytes."""
    parts = [payload[at : at + sizes] for at in range(0, len(payload), sizes)] or [b""]
    last = len(parts) - 1
    return [frame(part, CONTINUATION if at else opcode, fin=at == last) for at, part in enumerate(parts)]


def text(payload: str | bytes) -> Frame:
    """Return the echo of a text."""
    return Frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def binary(payload: bytes) -> Frame:
    """Return the echo of a binary message."""
    return Frame(BINARY, payload)


def finish(peer: Peer, *codes: int) -> None:
    """Read to the end of the connection, which must bring a close with one of these codes, and nothing else.

    Raises:
        Fault: it brings something else.
    """
    while (came := peer.next()) is not None:
        if peer.closed is None:
            raise Fault(f"instead of the end came {came}")
    if peer.closed not in codes:
        raise Fault(f"closed with {peer.closed} instead of {' or '.join(map(str, codes))}")


def expect(peer: Peer, *wanted: Frame) -> None:
    """Read these frames.

    Raises:
        Fault: something else came.
    """
    for one in wanted:
        if (came := peer.next()) != one:
            raise Fault(f"instead of {one} came {came if came is not None else 'the end of the connection'}")


def echoed(frames: Sequence[bytes], *wanted: Frame, chop: Chop = Chop.WHOLE) -> Play:
    """Return a case in which everything is right: these frames come back, and our close is answered."""

    def play(peer: Peer) -> Verdict:
        peer.exchange(chop.cut(frames))
        expect(peer, *wanted)
        peer.close()
        finish(peer, 1000)
        return Verdict.OK

    return play


def refused(frames: Sequence[bytes], *before: Frame, code: int = 1002, chop: Chop = Chop.WHOLE) -> Play:
    """Return a case that the server must end with a code, after the echoes of what was right before.

    A server that ends without those echoes is not strict: RFC 6455 says nothing of what waits when a connection fails.
    """

    def play(peer: Peer) -> Verdict:
        peer.send(chop.cut(frames))
        came = list(_to_the_end(peer))
        if peer.closed != code:
            raise Fault(f"closed with {peer.closed} instead of {code}")
        if came == list(before):
            return Verdict.OK
        if came == list(before[: len(came)]):
            return Verdict.NON_STRICT
        raise Fault(f"before the close came {', '.join(map(str, came))}")

    return play


def _to_the_end(peer: Peer) -> Iterator[Frame]:
    while (came := peer.next()) is not None:
        if peer.closed is None:
            yield came


def is_quiet(peer: Peer) -> bool:
    """Tell whether nothing comes, not even the end of the connection."""
    try:
        peer.next(QUIET_SECONDS)
    except TimeoutError:
        return True
    return False
