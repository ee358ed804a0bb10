"""The cases by group: framing, pings, reserved bits, opcodes, fragmentation, closes, sizes; UTF-8 has its own module."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Final

from tests.conformance.cases import (
    Case,
    Chop,
    Play,
    Verdict,
    binary,
    echoed,
    expect,
    finish,
    fragments,
    frame,
    is_quiet,
    refused,
    text,
)
from tests.conformance.peer import Fault, Frame, Peer
from tests.conformance.utf8 import utf8
from tests.e2e.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, encode_frame

GROUPS: Final = {
    1: "framing", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragmentation", 6: "UTF-8",
    7: "closes", 9: "sizes and speed", 10: "automatic fragmentation",
}  # fmt: skip
_HELLO: Final = b"Hello, world!"
_KIB: Final = 1024
_MIB: Final = 1024 * 1024


def cases(*, slow: bool) -> list[Case]:
    """Return the cases, in order.

    Args:
        slow: those of seconds as well: messages of megabytes, a thousand exchanges in a row.
    """
    made: list[Case] = []
    for group in (_framing, _pings, _reserved_bits, _opcodes, _fragmentation, utf8, _closes, _sizes, _automatic):
        made += group()
    return [case for case in made if slow or not case.slow]


def _framing() -> Iterator[Case]:
    sizes = (0, 1, 125, 126, 127, 128, 255, 256, 1023, 4096, 65535, 65536, 65537, 100_000)
    for at, size in enumerate(sizes, 1):
        payload = b"*" * size
        yield Case(f"1.1.{at}", f"text of {size} bytes", echoed([frame(payload)], text(payload)))
        raw = bytes(range(256)) * (size // 256 + 1)
        yield Case(f"1.2.{at}", f"binary of {size} bytes", echoed([frame(raw[:size], BINARY)], binary(raw[:size])))
    numbers = count(len(sizes) + 1)
    for size in (126, 65536):
        payload = b"*" * size
        pieces = [bytes([byte]) for byte in frame(payload)[:20]] + [frame(payload)[20:]]
        yield Case(
            f"1.1.{next(numbers)}",
            f"text of {size} bytes, its head byte by byte",
            echoed(pieces, text(payload), chop=Chop.FRAMES),
        )
    small = [frame(f"message {number}") for number in range(500)]
    back = [text(f"message {number}") for number in range(500)]
    yield Case(f"1.1.{next(numbers)}", "500 texts in one packet come back in order", echoed(small, *back))
    for size, length in ((5, b"\xfe\x00\x05"), (300, b"\xff" + (300).to_bytes(8, "big"))):
        data = b"\x81" + length + b"\0\0\0\0" + b"*" * size
        yield Case(
            f"1.3.{next(numbers)}", f"{size} bytes with a length in more bytes than it needs", refused([data])
        )
    unmasked = encode_frame(_HELLO, masked=False)
    yield Case("1.4.1", "text without a mask", refused([unmasked]))
    yield Case("1.4.2", "ping without a mask, after a text", refused([frame(_HELLO), b"\x89\x00"], text(_HELLO)))


def _pings() -> Iterator[Case]:
    payloads = {
        "without a payload": b"",
        "with a text": _HELLO,
        "with bytes": bytes(range(248, 256)),
        "of 125 bytes": b"\xfe" * 125,
    }
    for at, (name, payload) in enumerate(payloads.items(), 1):
        ping, pong = frame(payload, PING), Frame(PONG, payload)
        yield Case(f"2.{at}", f"ping {name}", echoed([ping], pong))
        yield Case(f"2.{at + 4}", f"ping {name}, byte by byte", echoed([ping], pong, chop=Chop.BYTES))
    yield Case("2.9", "ping of 126 bytes", refused([frame(b"p" * 126, PING)]))
    for at, payload in enumerate((b"", b"unasked"), 10):
        yield Case(
            f"2.{at}",
            f"pong {payload!r} that nobody asked for, then a ping",
            echoed([frame(payload, PONG), frame(b"yes", PING)], Frame(PONG, b"yes")),
        )
    many = [frame(f"ping {number}", PING) for number in range(10)]
    pongs = [Frame(PONG, f"ping {number}".encode()) for number in range(10)]
    yield Case("2.12", "ten pings in one packet are answered in order", echoed(many, *pongs))
    yield Case("2.13", "ten pings byte by byte", echoed(many, *pongs, chop=Chop.BYTES))


def _reserved_bits() -> Iterator[Case]:
    numbers = count(1)
    for bits in range(1, 8):
        yield Case(
            f"3.{next(numbers)}", f"text with the reserved bits {bits:03b}", refused([frame(_HELLO, rsv=bits)])
        )
    for chop in Chop:
        bad = [frame(_HELLO), frame(_HELLO, rsv=4), frame(b"", PING)]
        yield Case(
            f"3.{next(numbers)}",
            f"text, then one with a reserved bit, then a ping, {chop.value}",
            refused(bad, text(_HELLO), chop=chop),
        )
    for opcode, name in ((BINARY, "binary"), (PING, "ping"), (CLOSE, "close")):
        bad = [frame(close_payload(1000), opcode, rsv=2)]
        yield Case(f"3.{next(numbers)}", f"{name} with a reserved bit", refused(bad))


def _opcodes() -> Iterator[Case]:
    for part, opcodes in ((1, range(3, 8)), (2, range(11, 16))):
        numbers = count(1)
        for opcode in opcodes:
            yield Case(
                f"4.{part}.{next(numbers)}", f"opcode {opcode} without a payload", refused([frame(b"", opcode)])
            )
            yield Case(
                f"4.{part}.{next(numbers)}", f"opcode {opcode} with a payload", refused([frame(_HELLO, opcode)])
            )
            for chop in Chop:
                bad = [frame(_HELLO), frame(_HELLO, opcode), frame(b"", PING)]
                title = f"text, then opcode {opcode}, then a ping, {chop.value}"
                yield Case(f"4.{part}.{next(numbers)}", title, refused(bad, text(_HELLO), chop=chop))


def _fragmentation() -> Iterator[Case]:
    numbers = (f"5.{number}" for number in count(1))
    one, two = frame("fragment1", fin=False), frame("fragment2", CONTINUATION)
    whole, ping, pong = text("fragment1fragment2"), frame("ping", PING), Frame(PONG, b"ping")
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        part = b"" if opcode == CLOSE else b"part"
        yield Case(
            next(numbers),
            f"{name} in two fragments",
            refused([frame(part, opcode, fin=False), frame(b"", CONTINUATION)]),
        )
    nothing = frame("of nothing", CONTINUATION, fin=False)
    for chop in Chop:
        told = chop.value
        yield Case(next(numbers), f"text in two fragments, {told}", echoed([one, two], whole, chop=chop))
        yield Case(
            next(numbers),
            f"the same with a ping between, {told}",
            echoed([one, ping, two], pong, whole, chop=chop),
        )
        for fin in (True, False):
            lone = frame("of nothing", CONTINUATION, fin=fin)
            title = f"continuation of nothing ({'the last' if fin else 'not the last'}), then a text, {told}"
            yield Case(next(numbers), title, refused([lone, frame(_HELLO)], chop=chop))
        title = f"text in two fragments, then a continuation of nothing, {told}"
        yield Case(next(numbers), title, refused([one, two, nothing, frame(_HELLO)], whole, chop=chop))
        yield Case(
            next(numbers), f"text within a fragmented text, {told}", refused([one, frame(_HELLO)], chop=chop)
        )
        yield Case(
            next(numbers),
            f"binary within a fragmented text, {told}",
            refused([one, frame(b"\1", BINARY)], chop=chop),
        )
    for middle, title in (("", "text in three empty fragments"), ("middle", "text between two empty fragments")):
        parts = [frame("", fin=False), frame(middle, CONTINUATION, fin=False), frame("", CONTINUATION)]
        yield Case(next(numbers), title, echoed(parts, text(middle)))
    raw = bytes(range(256))
    yield Case(next(numbers), "binary in 256 fragments", echoed(fragments(raw, 1, BINARY), binary(raw)))
    for chop in (Chop.WHOLE, Chop.FRAMES):
        yield Case(next(numbers), f"five fragments with two pings and a pause, {chop.value}", _paused(chop))


def _paused(chop: Chop) -> Play:
    parts = fragments(b"part1part2part3part4part5", 5)

    def play(peer: Peer) -> Verdict:
        peer.send(chop.cut([*parts[:2], frame("first", PING)]))
        expect(peer, Frame(PONG, b"first"))
        if not is_quiet(peer):
            raise Fault("something came before the message was whole")
        peer.send(chop.cut([*parts[2:4], frame("second", PING), parts[4]]))
        expect(peer, Frame(PONG, b"second"), text("part1part2part3part4part5"))
        peer.close()
        finish(peer, 1000)
        return Verdict.OK

    return play


def _closes() -> Iterator[Case]:
    bye = frame(close_payload(1000), CLOSE)
    after = {
        "a second close": bye,
        "a ping": frame(b"", PING),
        "a text": frame(_HELLO),
        "bytes that are no frame": b"\xff" * 20,
    }
    yield Case("7.1.1", "text, then a close", _ended([frame(_HELLO), bye], 1000, text(_HELLO)))
    for at, (name, data) in enumerate(after.items(), 2):
        yield Case(f"7.1.{at}", f"close, then {name}", _ended([bye, data], 1000))
    begun = [frame("half", fin=False), bye, frame("other half", CONTINUATION)]
    yield Case("7.1.6", "close within a fragmented text", _ended(begun, 1000))
    big = b"*" * (256 * _KIB)
    yield Case(
        "7.1.7",
        "a large text and a small one, then a close",
        _ended([frame(big), frame(_HELLO), bye], 1000, text(big), text(_HELLO)),
    )
    reasons = {
        "with a reason": b"bye",
        "with a reason of 123 bytes": b"*" * 123,
        "with a reason in UTF-8": "à bientôt 👋".encode(),
    }
    yield Case("7.3.1", "close without a code", _ended([frame(b"", CLOSE)], 1000, 1005))
    yield Case("7.3.2", "close of one byte", refused([frame(b"a", CLOSE)]))
    yield Case("7.3.3", "close with a code", _ended([bye], 1000))
    for at, (name, reason) in enumerate(reasons.items(), 4):
        yield Case(f"7.3.{at}", f"close {name}", _ended([frame(close_payload(1000, reason), CLOSE)], 1000))
    yield Case("7.3.7", "close of 126 bytes", refused([frame(close_payload(1000, b"*" * 124), CLOSE)]))
    for at, bad in enumerate((b"\xff\xfe", b"caf\xc3", b"\xed\xa0\x80"), 1):
        yield Case(
            f"7.5.{at}",
            f"close with the reason {bad!r}",
            _ended([frame(close_payload(1000, bad), CLOSE)], 1002, 1007),
        )
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for at, code in enumerate(good, 1):
        yield Case(f"7.7.{at}", f"close with {code}", _ended([frame(close_payload(code), CLOSE)], 1000, code))
    bad_codes = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    for at, code in enumerate(bad_codes, 1):
        yield Case(
            f"7.9.{at}", f"close with {code}, which nobody may send", refused([frame(close_payload(code), CLOSE)])
        )


def _ended(frames: list[bytes], *ending: int | Frame) -> Play:
    """Return a case with a close of ours among its frames: the echoes in `ending` come, and one of its codes."""
    wanted = [one for one in ending if isinstance(one, Frame)]

    def play(peer: Peer) -> Verdict:
        peer.exchange(frames)
        expect(peer, *wanted)
        finish(peer, *(one for one in ending if isinstance(one, int)))
        return Verdict.OK

    return play


def _sizes() -> Iterator[Case]:
    for part, opcode, name, unit, back in (
        (1, TEXT, "text", "BAsd7&jh23é ".encode(), text),
        (2, BINARY, "binary", bytes(range(256)), binary),
    ):
        for at, size in enumerate((64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB, 8 * _MIB, 16 * _MIB), 1):
            payload = (unit * (size // len(unit)))[:size]
            slow = size > _MIB
            yield Case(
                f"9.{part}.{at}",
                f"{name} of {size // _KIB} KiB",
                echoed([frame(payload, opcode)], back(payload)),
                slow,
            )
        payload = (unit * (_MIB // len(unit)))[:_MIB]
        for at, size in enumerate((64, 256, _KIB, 4 * _KIB, 64 * _KIB), 1):
            title = f"{name} of 1 MiB in fragments of {size} bytes"
            parts = [b"".join(fragments(payload, size, opcode))]
            yield Case(f"9.{part + 2}.{at}", title, echoed(parts, back(payload)), size < _KIB)
        data = frame(payload, opcode)
        for at, size in enumerate((64, 256, _KIB, 64 * _KIB), 1):
            pieces = [data[start : start + size] for start in range(0, len(data), size)]
            title = f"{name} of 1 MiB in packets of {size} bytes"
            yield Case(f"9.{part + 4}.{at}", title, echoed(pieces, back(payload), chop=Chop.FRAMES), size < _KIB)
        for at, size in enumerate((0, 16, 64, 256, _KIB, 4 * _KIB), 1):
            payload = (unit * (size // len(unit) + 1))[:size] if part == 2 else b"*" * size
            play = _in_turn(frame(payload, opcode), back(payload))
            yield Case(f"9.{part + 6}.{at}", f"a thousand exchanges of {size} bytes, {name}", play, at != 3)
    over = [frame(b"*" * (16 * _MIB + 1))[:100]]
    yield Case("9.9.1", "a byte over the limit is refused by its declared length", _refused_by_length(over))


def _refused_by_length(pieces: list[bytes]) -> Play:
    def play(peer: Peer) -> Verdict:
        began = time.monotonic()
        peer.send(pieces)
        finish(peer, 1009)
        if time.monotonic() - began > 2:
            raise Fault("it took over 2 s")
        return Verdict.OK

    return play


def _in_turn(sent: bytes, back: Frame) -> Play:
    def play(peer: Peer) -> Verdict:
        for _ in range(1000):
            peer.send([sent])
            expect(peer, back)
        peer.close()
        finish(peer, 1000)
        return Verdict.OK

    return play


def _automatic() -> Iterator[Case]:
    payload = b"*" * 65536
    for at, size in enumerate((1300, 1, 65535, 65536), 1):
        title = f"text of 65536 bytes in fragments of {size}"
        yield Case(f"10.1.{at}", title, echoed([b"".join(fragments(payload, size))], text(payload)), size == 1)
