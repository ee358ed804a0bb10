"""Two people who talk while somebody else attacks, or spends what a user may, and how long they wait."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.e2e.world import World, unique

QUIET: Final = "nobody attacks"
"""The phase before anything happens: how long acks take on this machine, and with this client, by themselves."""

ENOUGH_SECONDS: Final = 60.0
"""How long two people who talk are waited for at the end."""


class Fallen(Exception):
    """The server did what no peer may make it do."""


class Bystanders:
    """Alice and Bob, who exchange messages, twenty a second.

    Attributes:
        phase: what happens at the moment.
        waits: by phase, how long they waited for their acks, in seconds.
    """

    def __init__(self, world: World) -> None:
        self.phase = QUIET
        self.waits: dict[str, list[float]] = defaultdict(list)
        self._world = world
        self._over = threading.Event()
        self._failure: BaseException | None = None

    @contextmanager
    def talking(self, quiet: int) -> Iterator[None]:
        """Have them talk during the block, which begins when they have had so many acks.

        Raises:
            Fallen: they could not.
        """
        thread = threading.Thread(target=self._talk)
        thread.start()
        try:
            while len(self.waits[QUIET]) < quiet and thread.is_alive():
                time.sleep(0.05)
            yield
        finally:
            self._over.set()
            thread.join(ENOUGH_SECONDS)
        if self._failure is not None:
            raise Fallen(f"the bystanders: {self._failure!r}") from self._failure

    def _talk(self) -> None:
        """Exchange messages, and note how long each ack takes."""
        try:
            alice, bob = self._world.device("alice"), self._world.device("bob")
            while not self._over.wait(0.05):
                for sender, target in ((alice, "bob"), (bob, "alice")):
                    phase, began = self.phase, time.monotonic()
                    sender.acked(sender.send(target, unique("undisturbed")), timeout=15)
                    self.waits[phase].append(time.monotonic() - began)
                    sender.messages.clear()
                    sender.answers.clear()
        except BaseException as failure:
            self._failure = failure

    def wait_of(self, phase: str, share: float) -> float:
        """Return the wait in a phase below which that share of all its waits is, in milliseconds; 0.0 where nobody waited."""
        ordered = sorted(self.waits[phase])
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


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
