"""Asks plugins what they know when an operator looks for a fault; see `relay.services.diagnosis`.

A plugin that fails is counted and left out of the answer: what the others say is what the operator needs now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, TypeVar

import msgspec
import trio

from relay.engine.guard import Guard, PluginFailed
from relay.engine.recipients import RecipientHooks
from relay.engine.registry import Owned
from relay.plugin.diagnostics import Diagnostics
from relay.plugin.types import Server
from relay.protocol.errors import RelayError
from relay.services.diagnosis import Freed, QueueState, ToldNote, ToldQueue, TraceNote, Verdict
from relay.services.envelopes import ForUser
from relay.storage.jobs import Runner
from relay.storage.tracing import TracedMessage

_HOOK: Final = "relay_diagnostics"
T = TypeVar("T")


class PluginDiagnosis:
    """Asks the `relay_diagnostics` of all plugins; it is the `relay.services.diagnosis.Diagnosis` of a server.

    Args:
        parts: all registered parts, by hook; looked at each time, so they may change.
        server_of: returns the server as a plugin sees it, by the plugin's name.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        recipients: RecipientHooks,
        runner: Runner,
    ) -> None:
        self._parts = parts
        self._server_of = server_of
        self._recipients = recipients
        self._runner = runner

    def verdicts(self, one: ForUser) -> list[Verdict]:
        """Return what plugins make of a message for one user."""
        return self._recipients.verdicts(one) if self._recipients.any else []

    async def notes(self, message: TracedMessage, user_ids: Sequence[str]) -> list[ToldNote]:
        """Return what plugins say of a message, in the order of plugins."""

        def ask(owned: Owned[Diagnostics], connection: sqlite3.Connection) -> list[ToldNote]:
            trace, server = owned.part.trace, self._server_of(owned.guard.plugin)
            told = () if trace is None else trace(server, connection, message, user_ids)
            return [
                _told(ToldNote, TraceNote, note, owned.guard)
                for note in told
                if not isinstance(note, TraceNote) or note.user_id is None or note.user_id in user_ids
            ]

        return await self._ask("trace", ask)

    async def queues(self) -> list[ToldQueue]:
        """Return what waits in plugins, in the order of plugins."""

        def ask(owned: Owned[Diagnostics], connection: sqlite3.Connection) -> list[ToldQueue]:
            queues, server = owned.part.queues, self._server_of(owned.guard.plugin)
            told = () if queues is None else queues(server, connection)
            return [_told(ToldQueue, QueueState, state, owned.guard) for state in told]

        return await self._ask("queues", ask)

    async def _ask(self, what: str, ask: Callable[[Owned[Diagnostics], sqlite3.Connection], list[T]]) -> list[T]:
        asked = [owned for owned in self._parts[_HOOK] if getattr(owned.part, what) is not None]
        if not asked:
            return []

        def read(connection: sqlite3.Connection) -> list[T]:
            found: list[T] = []
            for owned in asked:
                if not owned.guard.quarantined:
                    found += owned.guard.call_anywhere(what, ask, owned, connection) or ()
            return found

        return await self._runner.read(read)

    async def frees(self, days: float, seconds: float) -> list[Freed]:
        """Return what plugins will erase within some days; one that takes too long is left out."""
        found: list[Freed] = []
        for owned in self._parts[_HOOK]:
            frees = owned.part.frees
            if frees is None or owned.guard.quarantined:
                continue
            server = self._server_of(owned.guard.plugin)
            with trio.move_on_after(seconds), suppress(PluginFailed, RelayError):
                found += await owned.guard.call_async("frees", _freed, frees, server, days)
        return found


async def _freed(frees: Callable[..., Any], server: Server, days: float) -> list[Freed]:
    told = frees(server, days)
    told = await told if isawaitable(told) else told
    return [_checked(Freed, one) for one in told]


def _told(made: type[T], kind: type[msgspec.Struct], one: object, guard: Guard) -> T:
    """Return what a plugin told, with its name.

    Raises:
        msgspec.ValidationError, TypeError: it is something else.
    """
    told = msgspec.structs.asdict(_checked(kind, one)) | {"plugin": guard.plugin}
    return msgspec.convert(told, made)


def _checked(kind: type[T], one: object) -> T:
    if not isinstance(one, kind):
        raise TypeError(f"it returned {one!r:.80}; it is to return {kind.__name__}s")
    return one
