"""A fair queue for expensive work: few turns at once, and no network can fill the queue or hold the others up.

Callers that are known go first. Among the others the networks take turns, so that a thousand guesses from one
network delay a login from another by one guess at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError

_RETRY_SECONDS: Final = 2.0


class _Waiter:
    """A caller that waits.

    Attributes:
        called: set when it may go on, or is refused.
        refused: whether it lost its place to a caller from another network.
    """

    __slots__ = ("called", "refused")

    def __init__(self) -> None:
        self.called = trio.Event()
        self.refused = False


class FairQueue:
    """Gives a bounded number of callers their turn at once.

    Args:
        at_once: the number of turns at once.
        waiting: the most callers that wait, counted apart for those who go first and the others; more are refused.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = at_once
        self._most = waiting
        self._first: deque[_Waiter] = deque()
        self._rounds: dict[str, deque[_Waiter]] = {}
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, network: str, *, first: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        Args:
            network: the caller's; networks take turns.
            first: whether the caller goes before all who do not go first.

        Raises:
            RelayError: `overloaded` if too many wait.
        """
        await self._take(network, first)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, network: str, first: bool) -> None:
        await trio.lowlevel.checkpoint()
        if self._free:
            self._free -= 1
            return
        waiter = _Waiter()
        self._enter(waiter, network, first)
        try:
            await waiter.called.wait()
        except BaseException:  # cancelled: a turn that was given meanwhile must not be lost
            if not waiter.called.is_set():
                self._leave(waiter, network, first)
            elif not waiter.refused:
                self._pass_on()
            raise
        if waiter.refused:
            raise _refusal()

    def _enter(self, waiter: _Waiter, network: str, first: bool) -> None:
        if first:
            if len(self._first) >= self._most:
                raise _refusal()
            self._first.append(waiter)
            return
        if self._waiting >= self._most:
            self._make_room(network)
        self._rounds.setdefault(network, deque()).append(waiter)
        self._waiting += 1

    def _make_room(self, network: str) -> None:
        """Refuse the last caller of the network with the most callers; that may be the new caller."""
        longest = max(self._rounds, key=lambda name: len(self._rounds[name]))
        if len(self._rounds[longest]) <= len(self._rounds.get(network, ())) + 1:
            raise _refusal()
        last = self._rounds[longest].pop()
        self._waiting -= 1
        last.refused = True
        last.called.set()

    def _leave(self, waiter: _Waiter, network: str, first: bool) -> None:
        if first:
            self._first.remove(waiter)
            return
        queue = self._rounds[network]
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._rounds[network]

    def _pass_on(self) -> None:
        """Give a turn that is over to the next caller."""
        if self._first:
            self._first.popleft().called.set()
        elif self._rounds:
            network = next(iter(self._rounds))
            queue = self._rounds.pop(network)
            queue.popleft().called.set()
            self._waiting -= 1
            if queue:
                self._rounds[network] = queue  # behind all others
        else:
            self._free += 1


def _refusal() -> RelayError:
    text = "too many log in just now; try again in a moment"
    return RelayError(ErrorCode.OVERLOADED, text, retry_after=_RETRY_SECONDS)
