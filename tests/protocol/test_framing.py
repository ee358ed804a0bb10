"""Frames are what an independent reader and writer of RFC 6455 says they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from relay.protocol.framing import PING_FRAME, close_frame, read_text_frame, text_frame


def read(data: bytes) -> list[object]:
    reader = Connection(ConnectionType.CLIENT)
    reader.receive_data(data)
    return list(reader.events())


@given(st.text())
def test_a_text_frame_reads_back(text: str) -> None:
    (event,) = read(text_frame(text.encode()))
    assert isinstance(event, TextMessage)
    assert event.data == text
    assert event.message_finished


@pytest.mark.parametrize("size", [0, 125, 126, 127, 65535, 65536, 70000])
def test_every_length_form_reads_back(size: int) -> None:
    (event,) = read(text_frame(b"x" * size))
    assert isinstance(event, TextMessage)
    assert len(event.data) == size


def test_a_ping_reads_back() -> None:
    (event,) = read(PING_FRAME)
    assert isinstance(event, Ping)


@given(st.integers(3000, 4999), st.text(max_size=200))
def test_a_close_frame_reads_back_with_its_reason_cut_at_a_character(code: int, reason: str) -> None:
    (event,) = read(close_frame(code, reason))
    assert isinstance(event, CloseConnection)
    assert event.code == code
    assert reason.startswith(event.reason or "")
    assert len(reason.encode()) <= 123 or len((event.reason or "").encode()) > 119


def client_frame(text: str) -> bytes:
    return bytes(Connection(ConnectionType.CLIENT).send(TextMessage(data=text)))


@given(st.lists(st.text(max_size=200), max_size=5), st.binary(max_size=20))
def test_texts_of_a_client_are_read_one_after_the_other(texts: list[str], rest: bytes) -> None:
    data = b"".join(map(client_frame, texts)) + b"\x00" + rest  # a fragment, which is not for this reader
    start, found = 0, []
    while (frame := read_text_frame(data, start, 1000)) is not None:
        text, start = frame
        found.append(text)
    # A frame of fewer than eight bytes at the very end is left to the library: it is in no hurry.
    assert found == texts[: len(found)]
    assert len(data) - start < 8 or found == texts


@pytest.mark.parametrize("size", [0, 125, 126, 127, 1000])
def test_a_text_is_read_at_every_length_up_to_the_limit(size: int) -> None:
    data = client_frame("x" * size) + b"next one"
    assert read_text_frame(data, 0, 1000) == ("x" * size, len(data) - 8)


@pytest.mark.parametrize(
    "data",
    [
        client_frame("x" * 1001),
        client_frame("x" * 70_000),
        client_frame("half of it")[:-1],
        client_frame("x" * 200)[:8],
        text_frame(b"not masked"),
        text_frame(b"x" * 200),
        b"\x81\xfe\x00\x7d" + bytes(4 + 125),
        b"\x81\xff" + bytes(7) + b"\x05" + bytes(4 + 5),
        b"\x81\x84" + bytes(4) + b"ab\xc3\xff",
        b"\x01" + client_frame("a fragment")[1:],
        b"\xc1" + client_frame("a reserved bit")[1:],
        b"\x82" + client_frame("binary")[1:],
        b"\x89" + client_frame("a ping")[1:],
        b"",
    ],
    ids=lambda data: f"{data[:2].hex()}-{len(data)}",  # a frame's mask is random
)
def test_anything_but_a_whole_text_is_left_to_a_real_parser(data: bytes) -> None:
    assert read_text_frame(data, 0, 1000) is None
