"""The wire as the load sees it: frames made and split by hand, envelopes decoded as far as is checked."""

from typing import NamedTuple

import msgspec

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


class MismatchError(Exception):
    """The server did something else than its contract says; the figures of that run mean nothing."""


class Meta(msgspec.Struct, gc=False):
    """The fields of an envelope's `meta` that are checked."""

    id: str = ""
    ref: str = ""
    seq: int = 0
    message_id: int = 0
    replay: bool = False


class Payload(msgspec.Struct, gc=False):
    """The fields of any envelope's `payload` that are checked."""

    event: str = ""
    seq: int = 0
    message_id: int = 0
    duplicate: bool = False
    code: str = ""
    message: str = ""
    cursor: int = 0
    epoch: str = ""
    replayed: int = 0
    limited: bool = False


class Frame(msgspec.Struct, gc=False):
    """One envelope from the server; what is not checked is skipped by the decoder."""

    type: str
    payload: Payload
    meta: Meta


def masked(text: bytes, opcode: int = TEXT) -> bytes:
    """Frame a client's message under the mask key 0, which leaves the payload as it is.

    `text` is at most 65,535 bytes.
    """
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return bytes([opcode]) + size + bytes(4) + text


def split(data: bytes, texts: list[bytes], controls: list[tuple[int, bytes]]) -> int:
    """Put the whole frames at the start of `data` into the lists and return the bytes they took.

    Raises:
        MismatchError: a frame is masked, which a server's never is.
    """
    at, size = 0, len(data)
    while size - at >= 2:
        length, start = data[at + 1], at + 2
        if length > 125:
            if length > 127:
                raise MismatchError("the server sent a masked frame")
            start += 2 if length == 126 else 8
            if start > size:
                break
            length = int.from_bytes(data[at + 2 : start], "big")
        end = start + length
        if end > size:
            break
        if data[at] == TEXT:
            texts.append(data[start:end])
        else:
            controls.append((data[at], data[start:end]))
        at = end
    return at


class Decoded(NamedTuple):
    """What a piece of the stream holds: envelopes, control frames as opcode and payload, and the bytes of both."""

    frames: list[Frame]
    controls: list[tuple[int, bytes]]
    used: int


envelope = msgspec.json.Decoder(Frame).decode


def decode(data: bytes) -> Decoded:
    """Decode the whole frames at the start of `data`.

    Raises:
        MismatchError: a frame is masked, which a server's never is.
    """
    texts: list[bytes] = []
    controls: list[tuple[int, bytes]] = []
    used = split(data, texts, controls)
    return Decoded(list(map(envelope, texts)), controls, used)


class SharedDecoder:
    """Decodes for the members of one group: they are sent equal bytes, and equal bytes are decoded once.

    Equal pieces give the same list, so that its user can know that it has been checked already.
    """

    def __init__(self) -> None:
        self._data, self._decoded = b"", Decoded([], [], 0)

    def __call__(self, data: bytes) -> Decoded:
        """Decode the whole frames at the start of `data`."""
        if data != self._data:
            self._data, self._decoded = data, decode(data)
        return self._decoded
