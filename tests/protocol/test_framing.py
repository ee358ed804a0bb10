"""Frames are what an independent reader of RFC 6455 says they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from relay.protocol.framing import PING_FRAME, close_frame, text_frame


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
