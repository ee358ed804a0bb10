"""A siege: attackers who send what is drawn from seeds, two people who talk all the while, and what came of both."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.attack.bystanders import Bystanders, Fallen, check_log
from tests.attack.hostile import bodies, frames, head, texts
from tests.e2e.frames import encode_frame
from tests.e2e.server import Tables
from tests.e2e.wire import Gone, Wire, hello, request
from tests.e2e.world import World

KINDS: Final = ("heads", "frames before a hello", "frames after a hello", "envelopes", "bodies")
READ_SECONDS: Final = 0.05
"""How long an attacker that says no end reads what comes back before it goes; it need not read all."""

ANSWER_SECONDS: Final = 10.0
"""How long one that has said its end waits for the server's."""

SETTINGS: Tables = {
    "timeouts": {"head_seconds": 1, "hello_seconds": 1, "body_seconds": 1},
    "log": {"level": "info"},
}
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Siege:
    """One server under attack.

    Attributes:
        sent: connections of each kind that attacked.
        statuses: how often which HTTP status came back.
        bystanders: those who talk meanwhile; the kinds are their phases.
    """

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, ("alice", "bob", "mallory"), SETTINGS)
        self.sent: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.bystanders = Bystanders(self.world)

    def attack(self, first: int, count: int, quiet: int = 400) -> None:
        """Attack with so many seeds of each kind, one kind after the other, while two people talk.

        Args:
            quiet: how many acks they get before it begins.

        Raises:
            Fallen: the server ended, answered with a 500, or logged a traceback; the last seed is told.
        """
        with self.bystanders.talking(quiet):
            for kind in KINDS:
                self.bystanders.enter(kind)
                for seed in range(first, first + count):
                    self._one(kind, seed)
                    if not self.world.server.alive:
                        raise Fallen(f"{kind} with seed {seed} ended it:\n{self.world.server.diagnosis()}")
        check_log(self.world)

    def _one(self, kind: str, seed: int) -> None:
        """Attack once."""
        source = random.Random(f"{kind}/{seed}")
        try:
            with Wire(self.world.server.address, self.world.server.described, timeout=5) as wire:
                if kind == "heads":
                    wire.send_bytes(head(source))
                elif kind == "bodies":
                    wire.send_bytes(bodies(source, self.world.tokens["mallory"]))
                else:
                    wire.send_bytes(request("/ws"))
                    if kind != "frames before a hello":
                        wire.send_bytes(encode_frame(_hello(self.world.tokens["mallory"])))
                    wire.send_bytes(texts(source) if kind == "envelopes" else frames(source))
                self._read(wire, f"{kind} with seed {seed}", ends=source.random() < 0.5)
        except Gone:
            pass
        self.sent[kind] += 1

    def _read(self, wire: Wire, what: str, *, ends: bool) -> None:
        """Read what comes back: all of it after an end of our own, else for a moment."""
        got = b""
        wire.socket.settimeout(ANSWER_SECONDS if ends else READ_SECONDS)
        with contextlib.suppress(OSError):
            if ends:
                wire.socket.shutdown(socket.SHUT_WR)
            while len(got) < 1 << 20 and (data := wire.socket.recv(65536)):
                got += data
        for status in map(int, _STATUS.findall(got)):
            self.statuses[status] += 1
            if status >= 500 and status != 503:
                raise Fallen(f"{what} was answered with {status}: {got[:2000]!r}")


def _hello(token: str) -> bytes:
    return json.dumps(hello(token, "mallory-device")).encode()


@contextlib.contextmanager
def siege() -> Iterator[Siege]:
    """Give a server to attack."""
    with tempfile.TemporaryDirectory(prefix="relay-attack-") as folder:
        made = Siege(Path(folder))
        try:
            yield made
        finally:
            made.world.end()
