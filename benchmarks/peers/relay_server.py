"""Relay itself, with the clients of its own benchmarks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

import relay
from benchmarks.frames import Frame, SharedDecoder, masked
from benchmarks.load import Client
from benchmarks.loop import Loop
from benchmarks.peers.peer import ON_DISK, Link, Peer, Running, Talk, text_of
from benchmarks.server import running

_BLANK = b"@" * 12


class _RelayLink(Link):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        self._client = Client(loop, user, server.tokens[user], f"bench-{user}")
        if talk.in_room:
            self._client.decode = _DECODE
        self._client.handle(self._receive)  # from `synced` on
        self._kind = "group_message" if talk.in_room else "chat_message"
        message = {"type": self._kind, "payload": {"content": text_of(_BLANK).decode()}}
        message["meta"] = {"target_id": talk.other, "id": _BLANK.decode()}
        self._frame = masked(msgspec.json.encode(message))

    def open(self, port: int) -> None:
        """Connect, and say hello."""
        self._client.connect(port)

    def sign_in(self) -> None:
        """Do nothing: the hello follows the upgrade by itself."""

    def say(self, names: Sequence[bytes]) -> None:
        """Send messages."""
        self._client.write(b"".join([self._frame.replace(_BLANK, name) for name in names]))

    def is_ready(self) -> bool:
        """Tell whether the server said `synced`."""
        return self._client.synced_at > 0

    def _receive(self, client: Client, frames: list[Frame], now: float) -> None:
        if frames is not _LAST.frames:
            _LAST.frames = frames
            _LAST.names = [frame.meta.id.encode() for frame in frames if frame.type == self._kind]
            _LAST.acks = sum(frame.type == "ack" for frame in frames)
        if _LAST.names:
            self.delivered(_LAST.names, now)
        if _LAST.acks:
            self.acked(_LAST.acks, now)


class _Last:
    """The last list of frames that was read: members of a group get the same one (`SharedDecoder`)."""

    frames: list[Frame] | None = None
    names: list[bytes] = []
    acks = 0


_LAST, _DECODE = _Last(), SharedDecoder()


@contextmanager
def _start(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    with running(users) as server:
        if room:
            body = {"name": "Benchmark", "group_id": room, "members": list(users)}
            server.rest(users[0], "POST", "/api/groups", body)
        yield Running(server.port, [server.pid], server.tokens)


PEER = Peer(
    "relay",
    "on disk (commit with fsync), in order, known again when it is sent twice; searchable",
    lambda: relay.__version__,
    "this tree",
    _start,
    _RelayLink,
    "",
    keeps=ON_DISK,
    echoes=False,
)
