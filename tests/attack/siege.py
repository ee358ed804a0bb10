"""A siege: attackers who send what is drawn from seeds, two people who talk all the while, and what came of both."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from relay.storage.copying import be_modest
from tests.attack.bystanders import Bystanders, Fallen, check_log
from tests.attack.hostile import bodies, frames, head, texts
from tests.e2e.frames import encode_frame
from tests.e2e.server import Tables
from tests.e2e.wire import Gone, Wire, hello, request
from tests.e2e.world import World

KINDS: Final = ("heads", "frames before a hello", "frames after a hello", "envelopes", "bodies")
AT_ONCE: Final = 8
"""Attackers at a time: most of them wait for the server's deadlines."""

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

    def attack(
        self, first: int, count: int, quiet: int = 400, tell: Callable[[str], None] = lambda _done: None
    ) -> None:
        """Attack with so many seeds of each kind, one kind after the other, while two people talk.

        Args:
            quiet: how many acks they get before it begins.
            tell: is told of each kind that is done.

        Raises:
            Fallen: the server ended, answered with a 500, or logged a traceback; a seed is told.
        """
        with self.bystanders.talking(quiet):
            for kind in KINDS:
                began = time.monotonic()
                self.bystanders.enter(kind)
                self._attack(kind, range(first, first + count))
                tell(f"{kind}: {self.sent[kind]} connections in {time.monotonic() - began:.0f} s")
        check_log(self.world)

    def _attack(self, kind: str, seeds: range) -> None:
        with ThreadPoolExecutor(AT_ONCE, initializer=be_modest) as attackers:
            for seed, got in zip(seeds, attackers.map(partial(self._one, kind), seeds), strict=True):
                self.sent[kind] += 1
                told = f"{kind} with seed {seed}"
                for status in map(int, _STATUS.findall(got)):
                    self.statuses[status] += 1
                    if status >= 500 and status != 503:
                        raise Fallen(f"{told} was answered with {status}: {got[:2000]!r}")
                if not self.world.server.alive:
                    raise Fallen(
                        f"{told}, or one of the {AT_ONCE} after it, ended it:\n{self.world.server.diagnosis()}"
                    )

    def _one(self, kind: str, seed: int) -> bytes:
        """Attack once; return what came back."""
        source, got = random.Random(f"{kind}/{seed}"), bytearray()
        with (
            contextlib.suppress(Gone),
            Wire(self.world.server.address, self.world.server.described, timeout=5) as wire,
        ):
            if kind == "heads":
                wire.send_bytes(head(source))
            elif kind == "bodies":
                wire.send_bytes(bodies(source, self.world.tokens["mallory"]))
            else:
                wire.send_bytes(request("/ws"))
                if kind != "frames before a hello":
                    wire.send_bytes(encode_frame(_hello(self.world.tokens["mallory"], seed % (2 * AT_ONCE))))
                wire.send_bytes(texts(source) if kind == "envelopes" else frames(source))
            _read(wire, got, ends=source.random() < 0.5)
        return bytes(got)


def _read(wire: Wire, got: bytearray, *, ends: bool) -> None:
    """Read what comes back: all of it after an end of our own, else for a moment."""
    wire.socket.settimeout(ANSWER_SECONDS if ends else READ_SECONDS)
    with contextlib.suppress(OSError):
        if ends:
            wire.socket.shutdown(socket.SHUT_WR)
        while len(got) < 1 << 20 and (data := wire.socket.recv(65536)):
            got += data


def _hello(token: str, number: int) -> bytes:
    """Return the hello of one of some devices: where it were one only, each would end the connection before it."""
    return json.dumps(hello(token, f"mallory-{number}")).encode()


@contextlib.contextmanager
def siege() -> Iterator[Siege]:
    """Give a server to attack."""
    with tempfile.TemporaryDirectory(prefix="relay-attack-") as folder:
        made = Siege(Path(folder))
        try:
            yield made
        finally:
            made.world.end()
