"""Limits on shields: a plugin's `CancelScope(shield=True)` lasts a grace beyond its deadline, and no longer.

trio lets no cancellation through a shield. That is right for a short clean-up. So shielded code may go on for
`GRACE_SECONDS` after its time is over; then its shields are lifted, and again as often as it makes new ones.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from relay.wakeup import Wakeup

GRACE_SECONDS: Final = 2.0
"""How long shielded code may go on after its deadline."""

_AGAIN_SECONDS: Final = 0.5
"""How soon shields are lifted again, where code has made new ones."""

_LAST_SECONDS: Final = 3.0
"""How long the ended server waits for a task that takes no cancellation at all."""

_STUCK_SECONDS: Final = 10.0
"""The same while connections are still being closed and messages still being saved."""


def lift(scope: trio.CancelScope) -> None:
    """Lift every shield inside a scope, in all of its tasks."""
    status = getattr(scope, "_cancel_status", None)
    _lift_below(() if status is None else status.children)


def _lift_below(children: Any) -> None:
    for status in children:
        if status._scope.shield:
            status._scope.shield = False
        _lift_below(status.children)


class Shields:
    """Watches the cancel scopes that plugins' code runs in, and lifts shields once their time is over."""

    def __init__(self) -> None:
        self._scopes: dict[trio.CancelScope, float] = {}
        self._wakes_at = math.inf
        self._wakeup = Wakeup()
        self._ends_at = self._gives_up_at = math.inf
        self._running = trio.CancelScope(shield=True)

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Run the block under a deadline; code that shields itself there has the grace on top.

        Raises:
            trio.TooSlowError: it took longer.
        """
        with trio.fail_after(seconds) as scope:
            due = self._scopes[scope] = scope.deadline + GRACE_SECONDS
            if due < self._wakes_at:
                self._wakeup.set()
            try:
                yield
            finally:
                del self._scopes[scope]

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """Run the block until it is cancelled; code that shields itself there may go on until the server's end."""
        with trio.CancelScope() as scope:
            self._scopes[scope] = math.inf
            try:
                yield
            finally:
                del self._scopes[scope]

    def lift_later(self, scope: trio.CancelScope) -> None:
        """Lift the shields in a scope that was cancelled, after the grace; call `forget` once it has ended."""
        self._scopes[scope] = trio.current_time() + GRACE_SECONDS
        self._wakeup.set()

    def forget(self, scope: trio.CancelScope) -> None:
        """Stop watching a scope."""
        self._scopes.pop(scope, None)

    def end_at(self, moment: float) -> None:
        """Let no shield last beyond a moment of trio's clock, the end of the server; an earlier moment holds."""
        self._ends_at = min(self._ends_at, moment)
        self._gives_up_at = self._ends_at + _STUCK_SECONDS
        self._wakeup.set()

    def close(self) -> None:
        """End shields at the server's deadline, where it has one, or after the grace: all else has ended."""
        moment = trio.current_time() + GRACE_SECONDS
        if self._ends_at < math.inf:
            moment = max(moment, self._ends_at)
        self.end_at(moment)
        self._gives_up_at = moment + _LAST_SECONDS

    def stop(self) -> None:
        """End `run`."""
        self._running.cancel()

    async def run(self, give_up: Callable[[], Awaitable[None]] | None = None) -> None:
        """Lift shields when their time is over, until `stop`; a cancellation does not end this.

        Args:
            give_up: awaited when the server should have ended and a plugin's task still runs; it ends the process.
        """
        with self._running:
            while True:
                self._wakes_at = min([*self._scopes.values(), self._ends_at])
                await self._wakeup.wait_until(self._wakes_at)
                await self._lift_due(give_up)

    async def _lift_due(self, give_up: Callable[[], Awaitable[None]] | None) -> None:
        now = trio.current_time()
        ended = now >= self._ends_at
        if now >= self._gives_up_at and give_up is not None:
            await give_up()
        for scope, due in list(self._scopes.items()):
            if ended or now >= due:
                lift(scope)
                self._scopes[scope] = now + _AGAIN_SECONDS
        if ended:
            await trio.sleep(_AGAIN_SECONDS)
