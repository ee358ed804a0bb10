"""Socket.IO 4 on node: rooms for users, and acks by callback (socket.io/docs/v4/socket-io-protocol)."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.frames import masked
from benchmarks.loop import Loop
from benchmarks.peers.peer import NAME, Peer, Running, Talk, free_port, process, text_of
from benchmarks.peers.websocket import WebSocketLink

_HERE = Path(__file__).parent
_NAME = re.compile(NAME)


class _SocketIoLink(WebSocketLink):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        room = f"&room={talk.other}" if talk.in_room else ""
        super().__init__(loop, user, talk, f"/socket.io/?EIO=4&transport=websocket&user={user}{room}")
        self._number = 0

    def say(self, names: Sequence[bytes]) -> None:
        """Emit messages, each with a number for its ack."""
        parts = []
        for name in names:
            self._number += 1
            event = f'42{self._number}["say","{self.talk.other}","'.encode() + text_of(name) + b'"]'
            parts.append(masked(event))
        self.write(b"".join(parts))

    def read_text(self, text: bytes) -> bytes | int:
        """Read a packet: an ack, a message, or a step of the greeting."""
        if text.startswith(b"43"):
            return 1
        if text.startswith(b"42"):
            return found[1] if (found := _NAME.search(text)) else b""
        if text.startswith(b"40"):
            self.signed_in = True
        elif text.startswith(b"0"):
            self.write(masked(b"40"))
        elif text == b"2":
            self.write(masked(b"3"))
        return 0


@contextmanager
def _start(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    with process([shutil.which("node") or "node", _HERE / "socket_io.js", str(port)], folder, port) as pid:
        yield Running(port, [pid])


def _version() -> str | None:
    package = _HERE / "node_modules" / "socket.io" / "package.json"
    if not package.exists():
        return None
    return str(msgspec.json.decode(package.read_bytes())["version"])


PEER = Peer(
    "Socket.IO",
    "handed to the receiver's socket; nothing is stored",
    _version,
    "npm install in benchmarks/peers",
    _start,
    _SocketIoLink,
    "it hands a message on and keeps nothing: no commit, no order over connections, nothing for who is away",
)
