"""Relay itself, with the clients of its own benchmarks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

import relay
from benchmarks.frames import Frame, masked
from benchmarks.load import Client
from benchmarks.loop import Loop
from benchmarks.peers.peer import Link, Peer, Running, text_of
from benchmarks.server import running

_BLANK = b"@" * 12


class _RelayLink(Link):
    def __init__(self, loop: Loop, user: str, other: str, server: Running) -> None:
        self._client = Client(loop, user, server.tokens[user], f"bench-{user}")
        self._client.handle(self._receive)  # from `synced` on
        message = {"type": "chat_message", "payload": {"content": text_of(_BLANK).decode()}}
        message["meta"] = {"target_id": other, "id": _BLANK.decode()}
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
        acks = 0
        for frame in frames:
            if frame.type == "ack":
                acks += 1
            elif frame.type == "chat_message":
                self.delivered(frame.meta.id.encode(), now)
        if acks:
            self.acked(acks, now)


@contextmanager
def _start(folder: Path, users: Sequence[str]) -> Iterator[Running]:
    with running(users) as server:
        yield Running(server.port, [server.pid], server.tokens)


PEER = Peer(
    "relay",
    "on disk (commit with fsync), in order, known again when it is sent twice; searchable",
    lambda: relay.__version__,
    "this tree",
    _start,
    _RelayLink,
)
