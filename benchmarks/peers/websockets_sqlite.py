"""The `websockets` library with SQLite: what a careful program of sixty lines does."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.frames import masked
from benchmarks.loop import Loop
from benchmarks.peers.peer import NAME, ON_DISK, Peer, Running, Talk, free_port, process, text_of
from benchmarks.peers.websocket import WebSocketLink

_NAME = re.compile(NAME)


class _PlainLink(WebSocketLink):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        names = f"{user}/{talk.other}" if talk.in_room else user
        super().__init__(loop, user, talk, f"/{names}")

    def say(self, names: Sequence[bytes]) -> None:
        """Send messages."""
        head = f'{{"to":"{self.talk.other}","text":"'.encode()
        self.write(b"".join([masked(head + text_of(name) + b'"}') for name in names]))

    def read_text(self, text: bytes) -> bytes | int:
        """Read an ack, or a message; the first text says that the server knows this user."""
        if text.startswith(b'{"ack"'):
            return 1
        if found := _NAME.search(text):
            return found[1]
        self.signed_in = True
        return 0


@contextmanager
def _start(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    program = Path(__file__).with_name("websockets_program.py")
    with process([sys.executable, program, str(port), folder / "chat.db"], folder, port) as pid:
        yield Running(port, [pid])


def _version() -> str | None:
    try:
        return importlib.metadata.version("websockets")
    except importlib.metadata.PackageNotFoundError:
        return None


PEER = Peer(
    "websockets and SQLite",
    "on disk (commit with fsync, all that waits in one); no order, no retries, no search",
    _version,
    'pip install "relay-server[bench]"',
    _start,
    _PlainLink,
    "it reads, stores and hands on, and nothing else: no account, right, limit, order, retry or index",
    keeps=ON_DISK,
)
