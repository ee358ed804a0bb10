"""Time accounting of plugin calls: time spent waiting for relay itself is not charged to the plugin.

A plugin's awaited call has a deadline. Inside it, the plugin may wait until relay begins what it asked for: a turn
on a reader, on the writer, in the router. A call that is late because of such a wait is no failure of the plugin.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import trio

T = TypeVar("T")


class PluginCall:
    """One awaited call of a plugin's code.

    Attributes:
        delayed_by_relay: whether its deadline passed while relay had not begun what it waited for.
    """

    __slots__ = ("delayed_by_relay",)

    def __init__(self) -> None:
        self.delayed_by_relay = False


class Wait:
    """A wait of a plugin's call for relay.

    Attributes:
        begun: whether relay has begun what is waited for; from then on the time is the plugin's own.
    """

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False

    def ends_with(self, job: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        """Return the job, such that its beginning ends this wait."""

        def run(connection: sqlite3.Connection) -> T:
            self.begun = True
            return job(connection)

        return run


current: Final[ContextVar[PluginCall | None]] = ContextVar("current", default=None)
"""The plugin's call that runs in this task; None in relay's own tasks."""


@contextmanager
def waiting_for_relay() -> Iterator[Wait]:
    """Charge the block to relay until the wait has `begun`: a deadline that passes before is not the plugin's."""
    wait = Wait()
    try:
        yield wait
    except trio.Cancelled:
        call = current.get()
        if call is not None and not wait.begun:
            call.delayed_by_relay = True
        raise
