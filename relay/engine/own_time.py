"""Whose time it is: in an awaited call of a plugin's, what it waits for at relay's own services is not its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import trio

T = TypeVar("T")


class Call:
    """One awaited call of a plugin's.

    Attributes:
        waited: whether its time was over while it waited for its turn at relay's own services.
    """

    __slots__ = ("waited",)

    def __init__(self) -> None:
        self.waited = False


class Turn:
    """A wait for one's turn; `begun` once it has come."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False

    def of(self, job: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        """Have a job say that its turn has come."""

        def run(connection: sqlite3.Connection) -> T:
            self.begun = True
            return job(connection)

        return run


current: Final[ContextVar[Call | None]] = ContextVar("current", default=None)


@contextmanager
def others_time() -> Iterator[Turn]:
    """Wait for relay in a plugin's call: until its turn has come, being late is no fault of the plugin's."""
    turn = Turn()
    try:
        yield turn
    except trio.Cancelled:
        call = current.get()
        if call is not None and not turn.begun:
            call.waited = True
        raise
