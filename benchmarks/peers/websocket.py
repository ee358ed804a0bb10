"""A WebSocket client of the comparison, whatever is said in its text messages."""

from abc import abstractmethod

from benchmarks.frames import PING, PONG, masked, split
from benchmarks.load import ACCEPTED
from benchmarks.loop import Loop
from benchmarks.peers.peer import StreamLink

_UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class WebSocketLink(StreamLink):
    """A link over WebSocket; a class for each protocol fills in `say` and `take_text`."""

    def __init__(self, loop: Loop, user: str, other: str, path: str) -> None:
        super().__init__(loop, user, other)
        self._path = path
        self._upgraded = False

    def sign_in(self) -> None:
        """Ask for the upgrade; the address says who this is."""
        self.write(_UPGRADE.format(self._path).encode())

    @abstractmethod
    def take_text(self, text: bytes, now: float) -> int:
        """Take a text message, and return how many own messages it confirms."""

    def take(self, data: bytes, now: float) -> bytes:
        """Take the whole frames."""
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                return head
            if ACCEPTED not in head:
                self.ended(f"upgrade refused: {head[:200]!r}")
            self._upgraded = True
        texts: list[bytes] = []
        controls: list[tuple[int, bytes]] = []
        used = split(data, texts, controls)
        acks = sum([self.take_text(text, now) for text in texts])
        if acks:
            self.acked(acks, now)
        for opcode, payload in controls:
            if opcode == PING:
                self.write(masked(payload, PONG))
            else:
                self.ended(f"a frame {opcode:#x}: {payload!r}")
        return data[used:]
