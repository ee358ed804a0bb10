"""The cases of group 6: texts that are UTF-8 (RFC 3629), texts that are not, and when that must be seen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from tests.conformance.cases import (
    Case,
    Chop,
    Play,
    Verdict,
    echoed,
    finish,
    fragments,
    frame,
    is_quiet,
    refused,
    text,
)
from tests.conformance.peer import Peer
from tests.e2e.frames import CONTINUATION

_BEFORE: Final = "κόσμε".encode()
_AFTER: Final = b"edited"

_EDGES: Final = (
    0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0xFDD0, 0xFDEF, 0x10000, 0x1FFFE, 0x1FFFF,
    0xFFFFE, 0xFFFFF, 0x10FFFD, 0x10FFFE, 0x10FFFF,
)  # fmt: skip
"""The first and the last character of each length, those beside the surrogates, and some that are not characters."""

_INVALID: Final = {
    "lone continuation bytes": [b"\x80", b"\xbf", b"\x80\xbf", b"\x80" * 6, bytes(range(0x80, 0xC0))],
    "lead bytes without a continuation": [
        bytes([lead]) + b" " for lead in (0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xF4)
    ],
    "sequences that end early": [
        b"\xc2", b"\xe0\xa0", b"\xef\xbf", b"\xf0\x90\x80", b"\xf4\x8f\xbf", b"\xe0\xa0 ", b"\xf0\x90 ", b"\xf0\x90\x80 ",
        b"\xc2\xe0\xa0\xf0\x90\x80",
    ],
    "bytes that are in no UTF-8": [b"\xc0", b"\xc1", b"\xf5", b"\xf8", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "five and six bytes": [b"\xf8\x88\x80\x80\x80", b"\xfb\xbf\xbf\xbf\xbf", b"\xfc\x84\x80\x80\x80\x80", b"\xfd" + b"\xbf" * 5],
    "overlong": [
        b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
    ],
    "surrogates": [
        b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf",
    ],
    "beyond U+10FFFF": [b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf"],
}  # fmt: skip


def utf8() -> Iterator[Case]:
    """Yield the cases."""
    mixed = "Hello-µ@ßöäüàá-UTF-8!! κόσμε 👋🏽 \0".encode()
    yield Case("6.1.1", "an empty text", echoed([frame(b"")], text(b"")))
    yield Case("6.2.1", "all lengths of characters, in one frame", echoed([frame(mixed)], text(mixed)))
    for at, size in enumerate((1, 2, 3), 2):
        title = f"the same in fragments of {size} bytes, which cut characters"
        yield Case(f"6.2.{at}", title, echoed(fragments(mixed, size), text(mixed)))
    yield Case("6.2.5", "the same byte by byte", echoed([frame(mixed)], text(mixed), chop=Chop.BYTES))
    for at, point in enumerate(_EDGES, 1):
        payload = chr(point).encode()
        yield Case(f"6.5.{at}", f"U+{point:04X}", echoed([frame(payload)], text(payload)))
        title = f"U+{point:04X} in fragments of a byte"
        yield Case(f"6.6.{at}", title, echoed(fragments(b"<" + payload + b">", 1), text(b"<" + payload + b">")))
    numbers = count(1)
    for name, texts in _INVALID.items():
        for bad in texts:
            number = next(numbers)
            shown = bad.hex(" ") if len(bad) < 10 else f"{bad[:4].hex(' ')} …"
            yield Case(f"6.7.{number}", f"{name}: {shown}", refused([frame(_BEFORE + bad + _AFTER)], code=1007))
            parts = fragments(_BEFORE + bad, 1)
            yield Case(f"6.8.{number}", f"{name}: {shown}, at the end, in fragments", refused(parts, code=1007))
    late = count(1)
    for bad in (b"\xf4\x90\x80\x80", b"\xed\xa0\x80", b"\xff", b"\xc0\xaf"):
        yield Case(
            f"6.4.{next(late)}",
            f"{bad.hex(' ')} in the second of three fragments is seen at once",
            _in_fragment(bad),
        )
        yield Case(f"6.4.{next(late)}", f"{bad.hex(' ')} in the middle of a frame is seen at once", _in_frame(bad))


def _in_fragment(bad: bytes) -> Play:
    parts = [frame(_BEFORE, fin=False), frame(bad, CONTINUATION, fin=False), frame(_AFTER, CONTINUATION)]
    return _seen_at_once(parts)


def _in_frame(bad: bytes) -> Play:
    data = frame(_BEFORE + bad + _AFTER)
    middle = len(data) - len(bad) - len(_AFTER)
    return _seen_at_once([data[:middle], data[middle : middle + len(bad)], data[middle + len(bad) :]])


def _seen_at_once(pieces: list[bytes]) -> Play:
    """Return a case in which the second of three pieces must end the connection; that the third does is not strict."""

    def play(peer: Peer) -> Verdict:
        peer.send(pieces[:1])
        assert is_quiet(peer), "what is right so far was refused"
        peer.send(pieces[1:2])
        late = is_quiet(peer)
        peer.send(pieces[2:] if late else [])
        if peer.closed is None:
            finish(peer, 1007)
        assert peer.closed == 1007, f"closed with {peer.closed} instead of 1007"
        return Verdict.NON_STRICT if late else Verdict.OK

    return play
