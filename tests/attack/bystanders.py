"""Two people who talk while somebody else attacks, or spends what a user may, and how long they wait.

They talk in a process of their own: beside an attacker's threads they would wait for Python's lock, and not for the
server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from tests.e2e.world import World, unique

QUIET: Final = "nobody attacks"
"""The phase before anything happens: how long acks take on this machine, and with this client, by themselves."""

ENOUGH_SECONDS: Final = 60.0
"""How long two people who talk are waited for at the end."""

_FORK = multiprocessing.get_context("fork")
"""The process begins with what this one knows of the server; it is begun before the attackers' threads are."""


class Fallen(Exception):
    """The server did what no peer may make it do."""


class Bystanders:
    """Alice and Bob, who exchange messages, twenty a second.

    Attributes:
        waits: by phase, how long they waited for their acks, in seconds.
    """

    def __init__(self, world: World) -> None:
        self.waits: dict[str, list[float]] = defaultdict(list)
        self._phases = [(0.0, QUIET)]
        self._world = world
        self._failure = ""

    def enter(self, phase: str) -> None:
        """Begin another phase: what is sent from now on belongs to it."""
        self._phases.append((time.monotonic(), phase))

    @contextmanager
    def talking(self, quiet: int) -> Iterator[None]:
        """Have them talk during the block, which begins when they have had so many acks.

        Raises:
            Fallen: they could not.
        """
        ours, theirs = _FORK.Pipe()
        process = _FORK.Process(target=_talk, args=(self._world, theirs, ours), daemon=True)
        process.start()
        theirs.close()
        thread = threading.Thread(target=self._listen, args=(ours,))
        thread.start()
        try:
            while len(self.waits[QUIET]) < quiet and thread.is_alive():
                time.sleep(0.05)
            yield
        finally:
            _say_over(ours)
            thread.join(ENOUGH_SECONDS)
            process.kill()
            process.join()
        if self._failure:
            raise Fallen(f"the bystanders: {self._failure}")

    def _listen(self, pipe: Connection) -> None:
        """Note what they tell, until they end."""
        try:
            while (told := pipe.recv()) is not None:
                sent, waited = told
                phase = next(name for begun, name in reversed(self._phases) if begun <= sent)
                self.waits[phase].append(waited)
            self._failure = pipe.recv()
        except EOFError:
            self._failure = "they ended without a word"

    def wait_of(self, phase: str, share: float) -> float:
        """Return the wait in a phase below which that share of all its waits is, in milliseconds; 0.0 where nobody waited."""
        ordered = sorted(self.waits[phase])
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _say_over(pipe: Connection) -> None:
    with contextlib.suppress(OSError):  # they may have ended already
        pipe.send(None)


def _talk(world: World, pipe: Connection, others: Connection) -> None:
    """Exchange messages until the pipe says something; tell when each was sent, and how long its ack took.

    Args:
        others: the other end of the pipe, which a fork has as well; without it the pipe ends with the other process.
    """
    others.close()
    failure = ""
    try:
        alice, bob = world.device("alice"), world.device("bob")
        while not pipe.poll(0.05):
            for sender, target in ((alice, "bob"), (bob, "alice")):
                began = time.monotonic()
                sender.acked(sender.send(target, unique("undisturbed")), timeout=15)
                pipe.send((began, time.monotonic() - began))
                sender.messages.clear()
                sender.answers.clear()
    except BaseException as error:
        failure = repr(error)
    pipe.send(None)
    pipe.send(failure)


def check_log(world: World) -> None:
    """See that the server lives, and has met no fault.

    Raises:
        Fallen: it has.
    """
    if not world.server.alive:
        raise Fallen(f"it has ended:\n{world.server.diagnosis()}")
    said = world.server.log.read_text(errors="replace")
    if "Traceback" in said or "fault of our own" in said:
        raise Fallen(f"a fault in the log:\n{said[-6000:]}")
