"""A WebSocket client of the comparison, whatever is said in its text messages."""

from abc import abstractmethod

from benchmarks.frames import PING, PONG, masked, split
from benchmarks.load import ACCEPTED
from benchmarks.loop import Loop
from benchmarks.peers.peer import StreamLink, Taken, Talk

_UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class WebSocketLink(StreamLink):
    """A link over WebSocket; a class for each protocol fills in `say` and `take_text`."""

    def __init__(self, loop: Loop, user: str, talk: Talk, path: str) -> None:
        super().__init__(loop, user, talk)
        self._path = path
        self._upgraded = False

    def sign_in(self) -> None:
        """Ask for the upgrade; the address says who this is."""
        self.write(_UPGRADE.format(self._path).encode())

    @abstractmethod
    def read_text(self, text: bytes) -> bytes | int:
        """Read a text message: the name of a message that arrived, or the number of own ones that it confirms."""

    def read(self, data: bytes, now: float) -> Taken:
        """Read the whole frames; the first of them come behind the answer to the upgrade."""
        news, head = not self.signed_in, 0
        if not self._upgraded:
            head = data.find(b"\r\n\r\n") + 4
            if head < 4:
                return Taken(0, [], news=True)
            if ACCEPTED not in data[:head]:
                self.ended(f"upgrade refused: {data[:200]!r}")
            self._upgraded = True
        texts: list[bytes] = []
        controls: list[tuple[int, bytes]] = []
        used = head + split(data[head:] if head else data, texts, controls)
        meant = [self.read_text(text) for text in texts]
        for opcode, payload in controls:
            if opcode == PING:
                self.write(masked(payload, PONG))
            else:
                self.ended(f"a frame {opcode:#x}: {payload!r}")
        names = [one for one in meant if isinstance(one, bytes)]
        acks = sum(one for one in meant if isinstance(one, int))
        return Taken(used, names, acks, news=news or bool(controls))
