"""What ends a plugin that shields itself: a deadline, and the end of the server, reach behind every shield.

trio lets no cancellation through `CancelScope(shield=True)`. For tidying up that is right, for a while. So what is
shielded when its time is over has a grace; then the shields are lifted, and again as often as new ones are made.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

GRACE_SECONDS: Final = 2.0
"""How long shielded code may go on once its time is over."""

_AGAIN_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 3.0
"""How long one is waited for, with nothing else left to end, that takes no cancellation at all."""

_STUCK_SECONDS: Final = 10.0
"""The same, while connections and what is to be saved may still be ending."""

_log: Final = logging.getLogger("relay.plugin")


def lift(scope: trio.CancelScope) -> None:
    """Lift every shield inside a scope, in whatever task."""
    status = getattr(scope, "_cancel_status", None)
    _lift_below(() if status is None else status.children)


def _lift_below(children: Any) -> None:
    for status in children:
        if status._scope.shield:
            status._scope.shield = False
        _lift_below(status.children)


class Shields:
    """Looks after the scopes that plugins' code runs in.

    Attributes:
        give_up: awaited when the server is to have ended and a plugin still runs; it ends the process.
    """

    def __init__(self) -> None:
        self.give_up: Callable[[], Awaitable[None]] | None = None
        self._scopes: dict[trio.CancelScope, float] = {}
        self._wakes_at = math.inf
        self._wake = trio.Event()
        self._ends_at = self._gives_up_at = math.inf
        self._running = trio.CancelScope(shield=True)

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Give the block so long, and shielded code in it a grace more.

        Raises:
            trio.TooSlowError: it took longer.
        """
        with trio.fail_after(seconds) as scope:
            due = self._scopes[scope] = scope.deadline + GRACE_SECONDS
            if due < self._wakes_at:
                self._wake.set()
            try:
                yield
            finally:
                del self._scopes[scope]

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """Let the block run until it is cancelled, and shielded code in it until the server ends."""
        with trio.CancelScope() as scope:
            self._scopes[scope] = math.inf
            try:
                yield
            finally:
                del self._scopes[scope]

    def over(self, scope: trio.CancelScope) -> None:
        """Lift the shields in a cancelled scope after the grace; `forget` it when it has ended."""
        self._scopes[scope] = trio.current_time() + GRACE_SECONDS
        self._wake.set()

    def forget(self, scope: trio.CancelScope) -> None:
        """Look after a scope no longer."""
        self._scopes.pop(scope, None)

    def end_at(self, moment: float) -> None:
        """Have no shield last beyond a moment of trio's clock, the end of the server; an earlier one holds."""
        self._ends_at = min(self._ends_at, moment)
        self._gives_up_at = self._ends_at + _STUCK_SECONDS
        self._wake.set()

    def close_at(self, moment: float) -> None:
        """Do the same, now that all else has ended: soon after that moment nobody is waited for any more."""
        self.end_at(moment)
        self._gives_up_at = moment + _LAST_SECONDS

    def stop(self) -> None:
        """End `run`."""
        self._running.cancel()

    async def run(self) -> None:
        """Lift shields when their time has come, until `stop`; a cancellation alone does not end this."""
        with self._running:
            while True:
                self._wakes_at = min([*self._scopes.values(), self._ends_at])
                with trio.move_on_at(self._wakes_at):
                    await self._wake.wait()
                self._wake = trio.Event()
                await self._look()

    async def _look(self) -> None:
        now = trio.current_time()
        ended = now >= self._ends_at
        if now >= self._gives_up_at and self.give_up is not None:
            await self.give_up()
        for scope, due in list(self._scopes.items()):
            if ended or now >= due:
                lift(scope)
                self._scopes[scope] = now + _AGAIN_SECONDS
        if ended:
            await trio.sleep(_AGAIN_SECONDS)
