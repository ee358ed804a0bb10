"""The network between a device and the server in a test: with a delay, a break, a silence, or doubled frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio
import trio.testing

from relay.testing.frames import FrameSplitter


@dataclass(frozen=True)
class Weather:
    """The conditions of one connection; see `Network`."""

    delay: float = 0.0
    cut_after_bytes: int | None = None
    cut_after_frames: int | None = None
    half_open_after_frames: int | None = None
    copies: int = 1


class Network:
    """Makes connections in memory. What is set holds for connections made from then on.

    Attributes:
        delay: seconds that whatever is sent takes, each way.
        cut_after_bytes: the connection breaks once the server has sent so many, its answer to the upgrade as well.
        cut_after_frames: the same, in WebSocket frames; the answer to the upgrade is none.
        half_open_after_frames: after so many frames of the server's nothing passes either way, and nobody is told.
        copies: how often each frame of a device arrives, after its hello: as from a client that sends again.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.calm()

    def calm(self) -> None:
        """Let nothing happen to connections that are made from now on."""
        self.delay, self.copies = 0.0, 1
        self.cut_after_bytes: int | None = None
        self.cut_after_frames: int | None = None
        self.half_open_after_frames: int | None = None

    def pair(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        """Return the two ends of a new connection."""
        ours, theirs = trio.testing.memory_stream_pair()
        weather = Weather(
            self.delay, self.cut_after_bytes, self.cut_after_frames, self.half_open_after_frames, self.copies
        )
        if weather == Weather():
            return ours, theirs
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(_Wire(weather, theirs, near).carry)
        return ours, far


class _Frames:
    """Cuts the bytes of a WebSocket connection into an HTTP head, which comes first, and frames."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._splitter = FrameSplitter()

    def take(self, data: bytes) -> Iterator[bytes]:
        """Yield what is whole by now."""
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head = None
            yield head + end
        for frame in self._splitter.feed(data):
            yield frame.raw


class _Wire:
    """One connection through the network; `device` and `server` are its ends that face them."""

    def __init__(self, weather: Weather, device: trio.abc.Stream, server: trio.abc.Stream) -> None:
        self._weather = weather
        self._device, self._server = device, server
        self._sent, self._received = _Frames(), _Frames()
        self._bytes, self._frames = 0, -1  # the server's answer to the upgrade is no frame
        self._from_device_frames = 0
        self._cut = self._silent = False

    async def carry(self) -> None:
        """Carry bytes both ways, each after the delay and in order, until an end is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, self._device, self._server, self._to_server)
            nursery.start_soon(self._carry, self._server, self._device, self._to_device)

    async def _carry(
        self, source: trio.abc.Stream, sink: trio.abc.Stream, passing: Callable[[bytes], Iterator[bytes]]
    ) -> None:
        """Carry bytes one way; an end and a cut are carried as well."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)

        async def deliver() -> None:
            async for due, data in receive:
                await trio.sleep_until(due)
                try:
                    for part in passing(data):
                        await sink.send_all(part)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
                if self._cut:
                    await trio.aclose_forcefully(source)
                    break
            if not self._silent:
                await trio.aclose_forcefully(sink)

        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(deliver)
            try:
                while data := await source.receive_some(65536):
                    send.send_nowait((trio.current_time() + self._weather.delay, bytes(data)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    def _to_device(self, data: bytes) -> Iterator[bytes]:
        """Yield what of the server's bytes gets through, up to where it breaks or falls silent."""
        weather = self._weather
        if weather.cut_after_bytes is not None:
            data = data[: weather.cut_after_bytes - self._bytes]
            self._bytes += len(data)
            self._cut = self._bytes >= weather.cut_after_bytes
            yield data
        elif weather.cut_after_frames is None and weather.half_open_after_frames is None:
            yield data
        else:
            for frame in self._received.take(data):
                if self._cut or self._silent:
                    return
                yield frame
                self._frames += 1
                self._cut = self._frames == weather.cut_after_frames
                self._silent = self._frames == weather.half_open_after_frames

    def _to_server(self, data: bytes) -> Iterator[bytes]:
        """Yield what of a device's bytes gets through, as often as it arrives."""
        if self._silent:
            return
        if self._weather.copies == 1:
            yield data
            return
        for frame in self._sent.take(data):
            self._from_device_frames += 1
            head_or_hello = self._from_device_frames <= 2
            yield frame if head_or_hello else frame * self._weather.copies
