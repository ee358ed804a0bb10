"""Diagnostics: a plugin tells operators its part of a message's life, its queues, and the room it will free."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.plugin import validation
from relay.plugin.types import Server
from relay.services.diagnosis import Freed, QueueState, TraceNote
from relay.storage.tracing import TracedMessage

Trace = Callable[[Server, sqlite3.Connection, TracedMessage, Sequence[str]], Iterable[TraceNote]]
Queues = Callable[[Server, sqlite3.Connection], Iterable[QueueState]]
Frees = Callable[[Server, float], Awaitable[Sequence[Freed]] | Sequence[Freed]]


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """The answers of a plugin to those who look for a fault. Register it from `relay_diagnostics`.

    It is asked only when an operator asks, so it costs messages nothing. It says what is stored, and does not
    guess.

    Args:
        trace: `trace(server, connection, message, user_ids)` returns the plugin's part of the life of one message,
            as `TraceNote`s: of the message as a whole, and of what it did for these users. On a reader.
        queues: `queues(server, connection)` returns what waits in the plugin, one `QueueState` for each queue. On
            a reader.
        frees: `frees(server, days)` returns what the plugin will erase within so many days by itself, as `Freed`.
    """

    trace: Trace | None = None
    queues: Queues | None = None
    frees: Frees | None = None

    def __post_init__(self) -> None:
        validation.functions("Diagnostics", self, "trace", "queues", "frees")
