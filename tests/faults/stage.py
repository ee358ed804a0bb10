"""The stage of a scenario: a real server with the shim, people who write all the time, and their ledger."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from tests.e2e.crashing import copied
from tests.e2e.disks import MIB, tmpfs
from tests.e2e.server import NO_TLS, Server, Tables
from tests.e2e.wire import Gone
from tests.faults.files import check_whole
from tests.faults.ledger import Broken, Ledger
from tests.faults.people import Person
from tests.faults.shim import Shim

NAMES: Final = ("alice", "bob", "carol", "dora", "erik")
RECOVERY_SECONDS: Final = 20.0
"""How long a server may take until it is ready again; it looks every few seconds."""

SETTINGS: Tables = {"replay": {"limit": 100_000}, "log": {"level": "warning"}, "limits": {
    "messages_per_second": 0, "messages_burst": 0, "hellos_per_minute": 0, "logins_per_minute": 0,
    "uploads_per_minute": 0, "connections_per_user": 0, "reactions_per_message": 0,
}}  # fmt: skip


class Stage:
    """A server with the shim, three people and their ledger.

    Attributes:
        faults: calls that failed, kills, and the like.
        restarts: how often the server ended by itself, with one sentence, and was started again.
    """

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        settings = {**SETTINGS, "storage": {"path": str(database)}} if database is not None else SETTINGS
        self.server = Server(folder, settings)
        if database is not None:
            self.server.database = database
        self.tokens = self.server.import_users(NAMES)
        self.shim = Shim(folder, self.server.database)
        self.server.environ = self.shim.environ
        self.ledger = Ledger()
        self.people = [
            Person(name, self.tokens[name], self.server, self.ledger, [one for one in NAMES if one != name])
            for name in NAMES
        ]
        self.faults = self.restarts = 0
        self.server.start()
        for person in self.people:
            person.connect()

    def script(self) -> None:
        """Do one thing of each kind, always the same, one after the other."""
        alice, bob, carol = self.people[:3]
        if (group := alice.make_group("bob", "carol")) is not None:
            carol.say(group)
        alice.say("bob")
        bob.say("alice", 3000)
        alice.say("carol", attachment=b"file " * 2000)
        for person in (alice, bob):
            mine = self.ledger.alive(person.name)
            if mine:
                person.edit(mine[-1])
                carol_sees = [one for one in mine if carol.name in (one.target,) or one.target == group]
                reader = carol if carol_sees else None
                if reader is not None:
                    reader.react(carol_sees[-1], "👍", on=True)
                    reader.read(carol_sees[-1])
        for one in self.ledger.alive("alice", "bob")[-2:-1]:
            alice.delete(one)

    def settle(self, *, ready: bool = True) -> None:
        """Have everybody connected, with nothing without an answer, a message stored, and the server ready.

        A server that ended must have said why in one sentence, and is started again.

        Args:
            ready: whether to wait until it says so at /readyz, which after a failure is some seconds later.

        Raises:
            Broken: it is not so in time, or ended otherwise.
        """
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            if not self.server.alive:
                self._begin_again()
            try:
                for person in self.people:
                    person.connect()
                stored = all(person.say(person.peers[0], 0) for person in self.people)
                if stored and (not ready or self._is_ready()):
                    return
            except Gone:
                pass
            if time.monotonic() > deadline:
                raise Broken(f"not ready in {RECOVERY_SECONDS} s:\n{self.server.diagnosis()}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return (
                httpx.get(f"{self.server.url}/readyz", timeout=10, trust_env=False, verify=NO_TLS).status_code
                == 200
            )
        except httpx.TransportError as error:
            raise Gone(str(error)) from error

    def _begin_again(self) -> None:
        assert self.server.process is not None
        code, said = self.server.process.returncode, self.server.log.read_text(errors="replace")
        if code != 1 or not said.splitlines()[-1].startswith("relay: "):
            raise Broken(f"the server ended with {code}, and its last words are {said[-1000:]!r}")
        self.restarts += 1
        self.disconnect()
        self.server.start()

    def disconnect(self) -> None:
        """Have everybody leave without a word."""
        for person in self.people:
            person.close()

    def check(self) -> None:
        """Compare what the server says with the ledger, and see that it met no fault of its own.

        Raises:
            Broken: a promise was broken.
        """
        self.ledger.check(self.server, self.tokens)
        said = self.server.log.read_text(errors="replace")
        if "Traceback" in said:
            raise Broken(f"a traceback in the log:\n{said[-6000:]}")

    def finish(self) -> None:
        """Settle, compare, start anew from the files, compare again, and look at the files.

        Raises:
            Broken: a promise was broken.
        """
        self.settle()
        self.check()
        self.disconnect()
        self.server.restart()
        self.check()
        with copied(self.server.database) as copy:
            check_whole(copy)

    def end(self) -> None:
        """Leave nothing running."""
        self.disconnect()
        if self.server.alive:
            self.server.kill()


@contextlib.contextmanager
def stage(*, small_disk: bool = False) -> Iterator[Stage]:
    """Give a stage in a folder of its own, and compare everything at the end.

    Args:
        small_disk: whether its database is on a disk of 16 MiB.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-faults-")))
        disk = stack.enter_context(tmpfs(folder / "disk", 16 * MIB)) if small_disk else None
        made = Stage(folder, None if disk is None else disk / "relay.db")
        stack.callback(made.end)
        yield made
        made.finish()
