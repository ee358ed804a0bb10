"""Frames that break RFC 6455 or a limit: the right close code, promptly, and nobody else notices."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import FRAME_BYTES
from tests.e2e.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, encode_frame
from tests.e2e.wire import Wire
from tests.e2e.world import World, message, unique

pytestmark = pytest.mark.e2e

PROMPTLY = 10.0  # less than any time-out of a server that waits for more
BAD_UTF8 = b'{"type":"\xff\xfe"}'

PROTOCOL_ERRORS = {
    "unmasked text": encode_frame(b"{}", masked=False),
    "unmasked ping": encode_frame(b"", PING, masked=False),
    **{f"reserved opcode {code}": encode_frame(b"", code) for code in (3, 7, 11, 15)},
    **{f"reserved bit {bit}": encode_frame(b"{}", rsv=bit) for bit in (1, 2, 4)},
    "reserved bit on a ping": encode_frame(b"", PING, rsv=4),
    "fragmented ping": encode_frame(b"", PING, fin=False),
    "fragmented close": encode_frame(close_payload(1000), CLOSE, fin=False),
    "ping of 126 bytes": encode_frame(b"p" * 126, PING),
    "close of 126 bytes": encode_frame(close_payload(1000, b"r" * 124), CLOSE),
    "continuation of nothing": encode_frame(b"{}", CONTINUATION),
    "text inside a text": encode_frame(b"{", fin=False) + encode_frame(b"{}"),
    "close of one byte": encode_frame(b"\x03", CLOSE),
    "close with a code below 1000": encode_frame(close_payload(999), CLOSE),
    "close with a code never sent": encode_frame(close_payload(1006), CLOSE),
    "length in more bytes than needed": b"\x81\xfe\x00\x02\x00\x00\x00\x00{}",
    "length with the top bit set": b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
}


def ready(world: World) -> Wire:
    return world.device("mallory").wire


def padded(size: int, ref: str) -> bytes:
    """Make a valid message of exactly `size` bytes: spaces around JSON mean nothing."""
    return json.dumps(message("ann", "exact", id=ref)).encode().ljust(size)


@pytest.mark.parametrize("before_hello", [False, True], ids=["after hello", "before hello"])
def test_a_binary_frame_is_closed_with_1003(world: World, before_hello: bool) -> None:
    wire = world.upgraded() if before_hello else ready(world)
    wire.send_frame(b"\0\1", BINARY)
    assert wire.wait_closed(PROMPTLY) == 1003


@pytest.mark.parametrize("before_hello", [False, True], ids=["after hello", "before hello"])
def test_bad_utf8_is_closed_with_1007(world: World, before_hello: bool) -> None:
    wire = world.upgraded() if before_hello else ready(world)
    wire.send_frame(BAD_UTF8)
    assert wire.wait_closed(PROMPTLY) == 1007


def test_bad_utf8_over_two_fragments_is_closed_with_1007(world: World) -> None:
    wire = ready(world)
    wire.send_frame(b'{"type":"\xc3', fin=False)
    wire.send_frame(b'"}', CONTINUATION)
    assert wire.wait_closed(PROMPTLY) == 1007


def test_a_character_cut_at_the_end_of_a_message_is_closed_with_1007(world: World) -> None:
    wire = ready(world)
    wire.send_frame(b'{"type":"\xf0\x9f\x98')
    assert wire.wait_closed(PROMPTLY) == 1007


def test_a_character_split_over_fragments_is_whole_again(world: World) -> None:
    device = world.device("mallory")
    content = unique("é😀")
    text = json.dumps(message("ann", content, id=content), ensure_ascii=False).encode()
    for i in range(len(text)):
        last = i == len(text) - 1
        device.wire.send_frame(text[i : i + 1], TEXT if i == 0 else CONTINUATION, fin=last)
    device.acked(content)
    assert world.history("mallory", peer="ann")[-1]["payload"]["content"] == content


def test_a_ping_between_fragments_is_answered_and_the_message_goes_on(world: World) -> None:
    device = world.device("mallory")
    text = json.dumps(message("ann", "with a ping inside", id="fragments")).encode()
    device.wire.send_frame(text[:30], fin=False)
    device.wire.send_frame(b"alive?", PING)
    assert device.wire.recv_frame().payload == b"alive?"
    device.wire.send_frame(text[30:], CONTINUATION)
    device.acked("fragments")


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 31], ids=["2^62", "2^63-1", "2^31"])
def test_a_declared_length_beyond_all_bounds_is_closed_with_1009_at_once(world: World, size: int) -> None:
    wire = ready(world)
    wire.send_frame(b"x" * 10, length=size)
    assert wire.wait_closed(PROMPTLY) == 1009


def test_a_frame_one_byte_over_the_limit_is_closed_with_1009(world: World) -> None:
    wire = ready(world)
    wire.send_frame(padded(FRAME_BYTES + 1, unique()))
    assert wire.wait_closed(PROMPTLY) == 1009


def test_a_frame_over_the_limit_before_the_hello_is_closed_with_1009(world: World) -> None:
    wire = world.upgraded()
    wire.send_frame(b" " * (FRAME_BYTES + 1))
    assert wire.wait_closed(PROMPTLY) == 1009


def test_a_frame_exactly_at_the_limit_is_a_message(world: World) -> None:
    device = world.device("mallory")
    ref = unique()
    device.wire.send_frame(padded(FRAME_BYTES, ref))
    assert device.acked(ref)["duplicate"] is False


def test_fragments_that_add_up_over_the_limit_are_closed_with_1009(world: World) -> None:
    wire = ready(world)
    half = padded(FRAME_BYTES + 2, unique())
    wire.send_frame(half[: FRAME_BYTES // 2 + 1], fin=False)
    wire.send_frame(half[FRAME_BYTES // 2 + 1 :], CONTINUATION)
    assert wire.wait_closed(PROMPTLY) == 1009


def test_empty_fragments_in_a_message_do_no_harm_and_without_end_they_close_with_4505(world: World) -> None:
    device = world.device("mallory")
    text = json.dumps(message("ann", "after many empty fragments", id="empty-fragments")).encode()
    device.wire.send_frame(text[:10], fin=False)
    device.wire.send_bytes(encode_frame(b"", CONTINUATION, fin=False) * 400)
    device.wire.send_frame(text[10:], CONTINUATION)
    device.acked("empty-fragments")
    device.wire.send_frame(text[:10], fin=False)
    device.wire.send_bytes(encode_frame(b"", CONTINUATION, fin=False) * 5000)
    assert device.wait_closed() == 4505


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
def test_a_frame_against_the_rfc_is_closed_with_1002(world: World, name: str) -> None:
    wire = ready(world)
    wire.send_bytes(PROTOCOL_ERRORS[name])
    assert wire.wait_closed(PROMPTLY) == 1002


@pytest.mark.parametrize("name", ["unmasked text", "reserved opcode 3", "reserved bit 4"])
def test_a_frame_against_the_rfc_before_the_hello_is_closed_with_1002(world: World, name: str) -> None:
    wire = world.upgraded()
    wire.send_bytes(PROTOCOL_ERRORS[name])
    assert wire.wait_closed(PROMPTLY) == 1002


def test_a_close_reason_that_is_not_utf8_ends_the_connection(world: World) -> None:
    wire = ready(world)
    wire.send_frame(close_payload(1000, b"\xff\xfe"), CLOSE)
    assert wire.wait_closed(PROMPTLY) in (1002, 1007)


def test_a_close_is_answered_with_its_own_code_and_the_connection_ends(world: World) -> None:
    wire = ready(world)
    wire.send_frame(close_payload(1000, b"bye"), CLOSE)
    assert wire.wait_closed(PROMPTLY) == 1000
    assert wire.socket.recv(1) == b""


def test_frames_after_a_close_are_not_served(world: World) -> None:
    device = world.device("mallory")
    content = unique("too late")
    late = json.dumps(message("ann", content, id=unique())).encode()
    device.wire.send_bytes(encode_frame(close_payload(1000), CLOSE) + encode_frame(late))
    device.wait_closed(PROMPTLY)
    assert all(m["payload"].get("content") != content for m in world.history("mallory", peer="ann"))


def test_a_ping_is_answered_with_its_own_payload(world: World) -> None:
    wire = ready(world)
    wire.send_frame(b"p" * 125, PING)
    frame = wire.recv_frame()
    assert (frame.opcode, frame.payload) == (PONG, b"p" * 125)


def test_some_hundred_pings_and_unasked_pongs_at_once_are_taken(world: World) -> None:
    device = world.device("mallory")
    device.wire.send_bytes(encode_frame(b"x", PONG) * 250 + encode_frame(b"y", PING) * 200)
    pongs = 0
    while pongs < 200:
        frame = device.wire.recv_frame()
        pongs += (frame.opcode, frame.payload) == (PONG, b"y")
    assert device.say("ann", unique("after the flood"))["duplicate"] is False


def test_a_frame_that_drips_in_is_read(world: World) -> None:
    device = world.device("mallory")
    ref = unique()
    for byte in encode_frame(json.dumps(message("ann", "drip", id=ref)).encode()):
        device.wire.send_bytes(bytes([byte]))
    device.acked(ref)


def test_a_thousand_frames_in_one_packet_are_all_answered_in_order(world: World) -> None:
    device = world.device("mallory")
    refs = [unique("burst") for _ in range(1000)]
    device.send_all(message("ann", "burst", id=ref) for ref in refs)
    positions = [device.acked(ref)["message_id"] for ref in refs]
    assert positions == sorted(set(positions))
