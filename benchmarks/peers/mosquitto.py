"""Mosquitto, MQTT 3.1.1 with QoS 1 and lasting sessions (docs.oasis-open.org/mqtt, v3.1.1)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.frames import MismatchError
from benchmarks.loop import Loop
from benchmarks.peers.peer import Peer, Running, StreamLink, Taken, Talk, debian, free_port, process, text_of

_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 0x20, 0x30, 0x40, 0x90
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1800
max_queued_messages 0
max_inflight_messages 0
log_type error
user root
"""


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = size >> 7, size & 127
        length += bytes([digit | 128 if size else digit])
        if not size:
            return bytes([kind]) + length + body


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


class _MqttLink(StreamLink):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        super().__init__(loop, user, talk)
        self._number = 0

    def sign_in(self) -> None:
        """Connect with a session that lasts, and subscribe with QoS 1."""
        mine = self.talk.other if self.talk.in_room else self.user
        connect = _string("MQTT") + bytes([4, 0]) + (0).to_bytes(2, "big") + _string(self.user)
        subscribe = (1).to_bytes(2, "big") + _string(f"to/{mine}") + bytes([1])
        self.write(_packet(0x10, connect) + _packet(0x82, subscribe))

    def say(self, names: Sequence[bytes]) -> None:
        """Publish messages with QoS 1."""
        parts = []
        for name in names:
            self._number = self._number % 65_535 + 1
            body = _string(f"to/{self.talk.other}") + self._number.to_bytes(2, "big") + text_of(name)
            parts.append(_packet(_PUBLISH | 2, body))
        self.write(b"".join(parts))

    def read(self, data: bytes, now: float) -> Taken:
        """Read what is whole; what arrived is confirmed, as QoS 1 demands."""
        at, acks, confirmed, news = 0, 0, [], False
        names: list[bytes] = []
        while (whole := _split(data, at)) is not None:
            kind, start, end = whole
            if kind & 0xF0 == _PUBLISH:
                topic_end = start + 2 + int.from_bytes(data[start : start + 2], "big")
                confirmed.append(_packet(_PUBACK, data[topic_end : topic_end + 2]))
                names.append(data[topic_end + 2 : topic_end + 14])
            elif kind == _PUBACK:
                acks += 1
            elif kind == _SUBACK:
                self.signed_in = news = True
            elif kind != _CONNACK or data[start + 1]:
                raise MismatchError(f"a packet {kind:#x} of MQTT: {data[start:end]!r}")
            at = end
        return Taken(at, names, acks, b"".join(confirmed), news)


def _split(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return the kind of the packet at `at` and where its body begins and ends; None where it is not whole."""
    size = shift = 0
    for index in range(at + 1, min(at + 5, len(data))):
        size |= (data[index] & 127) << shift
        shift += 7
        if data[index] < 128:
            end = index + 1 + size
            return (data[at], index + 1, end) if end <= len(data) else None
    return None


@contextmanager
def _start(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(_CONFIG.format(port=port, folder=folder))
    with process(["mosquitto", "-c", config], folder, port) as pid:
        yield Running(port, [pid])


PEER = Peer(
    "Mosquitto",
    "in the server's memory; written to disk every half hour and at its end (its default)",
    lambda: debian("mosquitto"),
    "apt-get install mosquitto",
    _start,
    _MqttLink,
    "it is written in C and keeps messages in memory; a message that it confirmed is lost with the process",
)
