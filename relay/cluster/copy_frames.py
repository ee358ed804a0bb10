"""The frames in which a copy of the database goes from the leader to another node: a kind, a length, a body."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

import trio

from relay.storage.errors import BackupFailed

PIECE: Final = 1 << 18
"""The most bytes of a frame's body."""

STALLED_SECONDS: Final = 30.0
"""Seconds in which a frame must come, or be taken."""

DIGEST: Final = 32
"""Bytes of the digest."""

LONGEST_TEXT: Final = 2000
_HEAD: Final = struct.Struct(">BI")
_SIZES: Final = struct.Struct(">QQ")


class Frame(IntEnum):
    """The kinds of frames."""

    MAKING = 1
    """The copy is being made: how many bytes of it there are, and about how many there will be."""

    SIZE = 2
    """All of it comes now: its bytes, and the same once more."""

    BYTES = 3
    """A piece of it."""

    END = 4
    """All of it has come; the digest."""

    REFUSED = 5
    """There is no copy; the text says why."""


async def send_frame(stream: trio.abc.SendStream, kind: Frame, body: bytes) -> None:
    """Send one frame.

    Raises:
        trio.TooSlowError: nobody took it in time.
        trio.BrokenResourceError: nobody will.
    """
    with trio.fail_after(STALLED_SECONDS):
        await stream.send_all(_HEAD.pack(kind, len(body)) + body)


class FrameReader:
    """Reads frames from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._read = bytearray()

    async def next(self) -> tuple[int, bytes]:
        """Return the kind and the body of the next frame.

        Raises:
            BackupFailed: none came, or what came is none.
        """
        try:
            with trio.fail_after(STALLED_SECONDS):
                kind, size = _HEAD.unpack(await self._take(_HEAD.size))
                if size > PIECE:
                    raise BackupFailed(f"what came from the leader is no copy: a frame of {size:,} bytes")
                return kind, await self._take(size)
        except trio.TooSlowError:
            raise BackupFailed(f"nothing came from the leader for {STALLED_SECONDS:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise BackupFailed("the connection to the leader broke off") from None

    async def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            piece = await self._stream.receive_some(PIECE)
            if not piece:
                raise BackupFailed("the leader has ended the connection before the copy was whole")
            self._read += piece
        found = bytes(self._read[:count])
        del self._read[:count]
        return found


def pack_sizes(done: int, total: int) -> bytes:
    """Return the body of a frame that says how far something is."""
    return _SIZES.pack(done, total)


def read_sizes(body: bytes) -> tuple[int, int]:
    """Return what `pack_sizes` was given.

    Raises:
        BackupFailed: the body is another one.
    """
    try:
        done, total = _SIZES.unpack(body)
    except struct.error:
        raise BackupFailed("what came from the leader is no copy: its size cannot be read") from None
    return done, total
