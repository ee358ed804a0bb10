"""NATS with JetStream: a stream in files, a push consumer for each reader (docs.nats.io, "NATS Protocol")."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.loop import Loop
from benchmarks.peers.peer import (
    NAME,
    ON_ITS_WAY,
    TEXT_BYTES,
    Peer,
    Running,
    StreamLink,
    Taken,
    Talk,
    debian,
    free_port,
    process,
    text_of,
)

_STREAM = {"name": "CHAT", "subjects": ["to.>"], "storage": "file", "retention": "limits", "discard": "old"}
_CONSUMER = {"ack_policy": "none", "deliver_policy": "new", "replay_policy": "instant"}
_TOKEN = re.compile(
    rb"MSG acks\.\S+ 1 +\d+\r\n(?P<ack>\{[^\r]*\})\r\n"
    rb"|MSG to\.\S+ 2 (?:\S+ )?\d+\r\n" + NAME + rb"x*\r\n"
    rb"|MSG api\.\S+ 3 +\d+\r\n(?P<api>\{[^\r]*\})\r\n"
    rb"|(?P<ping>PING)\r\n|(?P<error>-ERR [^\r]*)\r\n"
)


class _NatsLink(StreamLink):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        super().__init__(loop, user, talk)
        self._asked = 2

    def sign_in(self) -> None:
        """Subscribe, and make the stream and the consumer; a stream that is there already is no error."""
        create = {"stream_name": "CHAT", "config": _CONSUMER | self._subjects() | {"durable_name": self.user}}
        self.write(
            b'CONNECT {"verbose":false,"pedantic":false}\r\n'
            + f"SUB acks.{self.user} 1\r\nSUB in.{self.user} 2\r\nSUB api.{self.user} 3\r\n".encode()
            + self._ask("$JS.API.STREAM.CREATE.CHAT", _STREAM)
            + self._ask(f"$JS.API.CONSUMER.DURABLE.CREATE.CHAT.{self.user}", create)
        )

    def _subjects(self) -> dict[str, str]:
        mine = self.talk.other if self.talk.in_room else self.user
        return {"filter_subject": f"to.{mine}", "deliver_subject": f"in.{self.user}"}

    def _ask(self, subject: str, body: object) -> bytes:
        data = msgspec.json.encode(body)
        return f"PUB {subject} api.{self.user} {len(data)}\r\n".encode() + data + b"\r\n"

    def say(self, names: Sequence[bytes]) -> None:
        """Publish messages, each with a subject for its ack."""
        head = f"PUB to.{self.talk.other} acks.{self.user} {TEXT_BYTES}\r\n".encode()
        self.write(b"".join([head + text_of(name) + b"\r\n" for name in names]))

    def read(self, data: bytes, now: float) -> Taken:
        """Read what is whole."""
        acks, end, answer, news = 0, 0, b"", not self.signed_in
        names: list[bytes] = []
        for token in _TOKEN.finditer(data):
            end = token.end()
            if token["ack"]:
                acks += 1
                if b'"error"' in token["ack"]:
                    self.ended(token["ack"].decode())
            elif token["api"]:
                self._asked -= 1
                self.signed_in = self._asked == 0
                if b'"error"' in token["api"] and b"already in use" not in token["api"]:
                    self.ended(token["api"].decode())
            elif token["ping"]:
                answer += b"PONG\r\n"
            elif token["error"]:
                self.ended(token["error"].decode())
            else:
                names.append(token[2])
        return Taken(end, names, acks, answer, news)


@contextmanager
def _start(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    command: list[str | Path] = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder / "store"]
    with process(command, folder, port) as pid:
        yield Running(port, [pid])


PEER = Peer(
    "NATS JetStream",
    "in the server's memory and file cache; fsync every two minutes (its default)",
    lambda: debian("nats-server"),
    "apt-get install nats-server",
    _start,
    _NatsLink,
    "it is written in Go, runs on all cores, and syncs every two minutes instead of before an ack",
    keeps=ON_ITS_WAY,
)
