"""The splitter of frames: whole ones only, of both sides and all lengths, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from relay.protocol.framing import PING_FRAME, close_frame, text_frame
from relay.testing.frames import FrameSplitter


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(0, 1800), max_size=6))
def test_frames_come_out_as_they_went_in(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(text_frame, payloads))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    splitter = FrameSplitter()
    found = [frame for start, end in pairwise(places) for frame in splitter.feed(data[start:end])]
    assert [frame.payload for frame in found] == payloads
    assert [frame.raw for frame in found] == [text_frame(payload) for payload in payloads]
    assert splitter.rest == b""


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_is_read(size: int) -> None:
    (frame,) = FrameSplitter().feed(text_frame(b"x" * size))
    assert (frame.opcode, frame.final, len(frame.payload)) == (1, True, size)


def test_other_kinds_and_masked_frames_are_cut_as_well() -> None:
    masked = bytes(Connection(ConnectionType.CLIENT).send(TextMessage(data="hi", message_finished=False)))
    splitter = FrameSplitter()
    found = list(splitter.feed(PING_FRAME + close_frame(4404, "bye") + masked + b"\x81"))
    assert [(frame.opcode, frame.final) for frame in found] == [(9, True), (8, True), (1, False)]
    assert found[1].payload == b"\x11\x34bye"
    assert found[2].raw == masked
    assert splitter.rest == b"\x81"
