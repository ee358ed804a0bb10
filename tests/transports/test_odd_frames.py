"""Reading frames: the short way for whole text frames and the library's own must never differ."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.protocol.outbox import Outbox
from relay.testing.clock import jumping_clock
from relay.testing.frames import FrameSplitter
from relay.transports.peer import PeerStream
from relay.transports.websocket import WebSocket

LIMIT = 1000
MASK = b"\x01\x80\xff\x37"


def masked(payload: bytes) -> bytes:
    return bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def client_frame(
    opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True, length: str = "right"
) -> bytes:
    """Return one frame; `length` may be "long" to use more bytes for it than are needed."""
    size = len(payload)
    flag = 0x80 if mask else 0
    first = (0x80 if fin else 0) | opcode
    if size < 126 and length == "right":
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536 and length != "longest":
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (MASK + masked(payload) if mask else payload)


class Ends:
    """A receiver that keeps the messages that came, and what the server answered."""

    server: WebSocket

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.sent = b""

    async def on_text(self, text: str) -> None:
        self.messages.append(text)

    def on_end(self) -> None:
        """Nothing is to be left here."""

    @property
    def close_code(self) -> int | None:
        """The code of the close that the server sent."""
        for frame in FrameSplitter().feed(self.sent):
            if frame.opcode == 8:
                return int.from_bytes(frame.payload[:2], "big") if frame.payload else None
        return None


@asynccontextmanager
async def socket(ends: Ends, *, short_way: bool = True, limit: int = LIMIT, small: int = 0) -> AsyncIterator[Any]:
    """Run a socket in memory; yield the peer's stream."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def collect() -> None:
        while data := await ours.receive_some():
            ends.sent += data

    with trio.move_on_after(30):
        async with trio.open_nursery() as nursery:
            peer = PeerStream(theirs, b"", write_seconds=5)
            server = WebSocket(
                peer, nursery, Outbox(0, 0), ends, max_bytes=limit, small_per_second=small, close_seconds=1
            )
            ends.server = server
            if not short_way:
                server._odd_frames.is_between_messages = lambda: False  # type: ignore[method-assign]
                server._library_reads = True
            nursery.start_soon(server.run)
            nursery.start_soon(collect)
            yield ours
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


def feed(pieces: list[bytes], *, short_way: bool) -> Ends:
    """Send pieces one after the other, and say what came of them."""
    ends = Ends()

    async def main() -> None:
        async with socket(ends, short_way=short_way) as stream:
            for piece in pieces:
                try:
                    await stream.send_all(piece)
                except trio.BrokenResourceError:
                    break
                await trio.testing.wait_all_tasks_blocked()

    trio.run(main, clock=jumping_clock())
    return ends


payloads = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.sampled_from(
        [b"", b"x", b"xy", b"{}", b"x" * 125, b"x" * 126, b"x" * 900, b"x" * LIMIT, b"x" * (LIMIT + 1)]
    ),
    st.sampled_from([b"\xff", b"ab\xc3", "ü".encode() * 70, b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]),
)
texts = st.builds(client_frame, st.just(1), payloads)
others = st.one_of(
    st.builds(client_frame, st.just(1), payloads, fin=st.just(False)),
    st.builds(client_frame, st.just(0), payloads, fin=st.booleans()),
    st.builds(client_frame, st.sampled_from([9, 10]), st.binary(max_size=20)),
    st.just(client_frame(2, b"binary")),
    st.just(client_frame(8, b"\x03\xe8bye")),
    st.just(client_frame(8, b"")),
    st.just(client_frame(8, b"\x00")),
    st.builds(client_frame, st.just(1), payloads, mask=st.just(False)),
    st.builds(client_frame, st.just(1), payloads, length=st.sampled_from(["long", "longest"])),
    st.builds(lambda payload: b"\xc1" + client_frame(1, payload)[1:], payloads),
    st.just(client_frame(3, b"reserved")),
    st.just(client_frame(9, b"x", fin=False)),
    st.binary(min_size=1, max_size=12),
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.one_of(texts, texts, texts, others), min_size=1, max_size=8),
    st.lists(st.integers(0, 5000), max_size=6),
)
def test_any_frames_cut_anywhere_are_read_as_the_library_alone_reads_them(
    frames: list[bytes], cuts: list[int]
) -> None:
    pieces = split(b"".join(frames), cuts)
    short, library = feed(pieces, short_way=True), feed(pieces, short_way=False)
    assert (short.messages, short.sent) == (library.messages, library.sent)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=20), st.lists(st.integers(0, 5000), max_size=10))
def test_texts_arrive_as_they_were_sent_however_they_are_cut(sent: list[str], cuts: list[int]) -> None:
    sent = [text for text in sent if len(text.encode()) <= LIMIT]
    data = b"".join(client_frame(1, text.encode()) for text in sent)
    assert feed(split(data, cuts), short_way=True).messages == sent


@pytest.mark.parametrize("short_way", [True, False])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(1, b"x" * (LIMIT + 1)), 1009),
        (client_frame(1, b"x" * 60_000), 1009),
        (client_frame(1, b"x" * 600, fin=False) + client_frame(0, b"x" * 600), 1009),
        (client_frame(1, b"x" * 70_000)[:14], 1009),
        (struct.pack("!BBQ", 0x81, 0xFF, 1 << 62) + MASK, 1009),
        (client_frame(1, "ü".encode() * (LIMIT // 2) + b"x"), 1009),
        (client_frame(1, b"\xff\xfe"), 1007),
        (client_frame(1, b"ab\xc3"), 1007),
        (client_frame(2, b"binary"), 1003),
        (client_frame(2, b"bin", fin=False), 1003),
        (client_frame(1, b"x", mask=False), 1002),
        (client_frame(3, b""), 1002),
        (client_frame(0, b"nothing before"), 1002),
        (client_frame(1, b"a", fin=False) + client_frame(1, b"b"), 1002),
        (client_frame(9, b"x" * 126), 1002),
        (client_frame(8, b"\x03\xe8"), 1000),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{len(value)} bytes",
)
def test_what_a_peer_must_not_send_closes_with_its_code(data: bytes, code: int, short_way: bool) -> None:
    ends = feed([client_frame(1, b"before"), data], short_way=short_way)
    assert ends.messages == ["before"]
    assert ends.close_code == code


@pytest.mark.parametrize("short_way", [True, False])
def test_a_message_of_exactly_the_limit_is_taken(short_way: bool) -> None:
    ends = feed(
        [
            client_frame(1, b"x" * LIMIT),
            client_frame(1, b"y" * 500, fin=False),
            client_frame(0, b"y" * 500),
            client_frame(1, b"z"),
        ],
        short_way=short_way,
    )
    assert ends.messages == ["x" * LIMIT, "y" * LIMIT, "z"]
    assert ends.close_code is None


def test_a_ping_between_fragments_is_answered_and_the_message_is_whole() -> None:
    ends = feed(
        [client_frame(1, b"one ", fin=False) + client_frame(9, b"?") + client_frame(0, b"two")], short_way=True
    )
    assert ends.messages == ["one two"]
    assert ends.sent == b"\x8a\x01?"


def test_nothing_is_read_after_a_close() -> None:
    ends = feed(
        [client_frame(1, b"a") + client_frame(8, b"\x03\xe8") + client_frame(1, b"b"), client_frame(1, b"c")],
        short_way=True,
    )
    assert ends.messages == ["a"]
    assert ends.close_code == 1000


def test_nothing_is_read_after_a_fault() -> None:
    ends = feed([client_frame(2, b"") + client_frame(1, b"b"), client_frame(1, b"c")], short_way=True)
    assert ends.messages == []
    assert ends.close_code == 1003


EMPTY_FRAGMENT = client_frame(0, b"", fin=False)


class Steps(trio.abc.Instrument):
    """Counts how often the tasks of one name were given their turn."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += self.name in task.name


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (client_frame(0x8A, b"") * 8000, 8000),
        (client_frame(0x8A, b"x" * 125) * 480, 480),
        (client_frame(1, b"", fin=False) + EMPTY_FRAGMENT * 10_000, 10_000),
        (client_frame(1, b"{}") * 7000, 7000),
    ],
)
def test_a_read_full_of_frames_is_taken_in_many_turns(data: bytes, frames: int) -> None:
    steps = Steps("WebSocket.run")

    async def main() -> None:
        async with socket(Ends()) as stream:
            trio.lowlevel.add_instrument(steps)
            await stream.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.remove_instrument(steps)

    trio.run(main)
    assert steps.count >= frames // 32


@pytest.mark.parametrize(
    "one",
    [client_frame(0x8A, b""), client_frame(0x89, b"x"), EMPTY_FRAGMENT, client_frame(0, b"x" * 127, fin=False)],
)
def test_more_small_frames_than_may_come_close_with_4505(one: bytes) -> None:
    begins = client_frame(1, b"", fin=False) if one[0] & 0x8F == 0 else b""
    allowed = 100 - bool(begins)
    assert closed_after(begins + one * allowed) is None
    assert closed_after(begins + one * (allowed + 1)) == 4505


def test_fragments_that_are_worth_their_frame_are_not_counted() -> None:
    assert (
        closed_after(client_frame(1, b"x" * 128, fin=False) + client_frame(0, b"x" * 128, fin=False) * 500) is None
    )


def closed_after(data: bytes) -> int | None:
    """Return the code that a connection is closed with after these frames at once, of 10 small ones a second."""
    ends = Ends()

    async def main() -> None:
        async with socket(ends, limit=1_000_000, small=10) as stream:
            await stream.send_all(data)
            await trio.testing.wait_all_tasks_blocked()

    trio.run(main, clock=jumping_clock())
    return ends.close_code


async def test_the_library_is_made_when_something_comes_that_is_not_a_whole_text() -> None:
    ends = Ends()
    async with socket(ends) as stream:
        await stream.send_all(client_frame(1, b"one") + client_frame(1, b"two"))
        await trio.testing.wait_all_tasks_blocked()
        assert ends.messages == ["one", "two"]
        assert ends.server._made is None
        await stream.send_all(client_frame(1, b"three") + client_frame(9, b"well?") + client_frame(1, b"four"))
        await trio.testing.wait_all_tasks_blocked()
        assert ends.messages == ["one", "two", "three", "four"]
        assert ends.server._made is not None
    assert [(frame.opcode, frame.payload) for frame in FrameSplitter().feed(ends.sent)] == [(10, b"well?")]
