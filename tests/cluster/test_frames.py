"""Frames of a link: they come out as they went in, however they are cut, and nothing else does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cluster.frames import (
    HEAD_BYTES,
    LAST_LANE,
    MOST_AT_ONCE,
    WINDOW_TO_CLIENT,
    BadFrame,
    Frame,
    Kind,
    Splitter,
    credit,
    data_head,
    frame,
)

LANES = st.integers(1, LAST_LANE)
BODIES = st.binary(min_size=1, max_size=300)


def shared(lanes: list[int], body: bytes) -> bytes:
    return data_head(lanes, len(body)) + body


FRAMES = st.one_of(
    st.tuples(LANES, st.binary(max_size=200)).map(lambda of: (Kind.OPEN, (of[0],), of[1], frame(Kind.OPEN, *of))),
    st.tuples(LANES, BODIES).map(lambda of: (Kind.DATA, (of[0],), of[1], frame(Kind.DATA, *of))),
    st.tuples(st.lists(LANES, min_size=2, max_size=20), BODIES).map(
        lambda of: (Kind.MANY, tuple(of[0]), of[1], shared(*of))
    ),
    st.tuples(LANES, st.integers(0, (1 << 32) - 1)).map(
        lambda of: (Kind.CREDIT, (of[0],), of[1].to_bytes(4, "big"), credit(*of))
    ),
    LANES.map(lambda lane: (Kind.EOF, (lane,), b"", frame(Kind.EOF, lane))),
    LANES.map(lambda lane: (Kind.CLOSE, (lane,), b"", frame(Kind.CLOSE, lane))),
    st.just((Kind.BEAT, (0,), b"", frame(Kind.BEAT, 0))),
)


@given(st.lists(FRAMES, max_size=30), st.lists(st.integers(1, 90)))
def test_what_went_in_comes_out_however_it_is_cut(
    frames: list[tuple[Kind, tuple[int, ...], bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(raw for *_, raw in frames)
    splitter, found = Splitter(), list[Frame]()
    for size in cuts:
        found += splitter.feed(data[:size])
        data = data[size:]
    found += splitter.feed(data)
    assert found == [Frame(kind, lanes, body) for kind, lanes, body, _ in frames]


@given(st.lists(st.binary(max_size=60)))
def test_of_any_bytes_come_frames_or_the_one_error(pieces: list[bytes]) -> None:
    splitter = Splitter()
    try:
        for piece in pieces:
            for one in splitter.feed(piece):
                assert 1 <= len(one.lanes) <= MOST_AT_ONCE
                assert len(one.body) <= WINDOW_TO_CLIENT
    except BadFrame:
        pass


def test_an_amount_is_read_from_a_credit() -> None:
    assert [one.amount for one in Splitter().feed(credit(7, 70_000))] == [70_000]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ((0, 1, 0), "no frame of kind 0"),
        ((99, 1, 0), "no frame of kind 99"),
        ((Kind.DATA, 1, 0), "DATA has no body of 0"),
        ((Kind.DATA, 1, WINDOW_TO_CLIENT + 1), "DATA has no body of"),
        ((Kind.OPEN, 1, 201), "OPEN has no body of 201"),
        ((Kind.CREDIT, 1, 3), "CREDIT has no body of 3"),
        ((Kind.EOF, 1, 1), "EOF has no body of 1"),
        ((Kind.MANY, 0, 100), "for 0 lanes"),
        ((Kind.MANY, 25, 100), "for 25 lanes has no body of 100"),
        ((Kind.MANY, MOST_AT_ONCE + 1, 4 * MOST_AT_ONCE + 9), "for 16385 lanes"),
        ((Kind.MANY, 2, WINDOW_TO_CLIENT + 9), "for 2 lanes has no body of"),
        ((Kind.BEAT, 0, 1 << 31), "BEAT has no body of 2147483648"),
    ],
)
def test_a_head_that_cannot_be_one_is_refused_before_its_body_comes(head: tuple[int, int, int], why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        list(Splitter().feed(struct.pack(">BII", *head)))


def test_the_largest_frame_for_many_is_read_in_small_parts() -> None:
    lanes, body = list(range(1, MOST_AT_ONCE + 1)), b"x" * WINDOW_TO_CLIENT
    data, splitter, found = shared(lanes, body), Splitter(), list[Frame]()
    for start in range(0, len(data), 100):
        found += splitter.feed(data[start : start + 100])
    assert found == [Frame(Kind.MANY, tuple(lanes), body)]
    assert len(data) == HEAD_BYTES + 4 * MOST_AT_ONCE + WINDOW_TO_CLIENT
