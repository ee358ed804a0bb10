"""Calling what plugins registered for messages, sessions and credentials: in order, guarded, on every path."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import trio

from relay.engine.guard import Guard, PluginFailed
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    DeviceEvent,
    Keeps,
    MessageHook,
    Purge,
    SessionHook,
)
from relay.plugin.types import Draft
from relay.services.router import Submission
from relay.services.supervision import supervise
from relay.storage.errors import StorageError
from relay.storage.log import Entry
from relay.storage.observer import Edited

if TYPE_CHECKING:
    from relay.engine.plugin_server import ServerOf

Part = TypeVar("Part")
SLICE_CHARACTERS: Final = 32_768
"""How much text, in characters of JSON, one call of `stored` has; a longer message comes alone."""

_BACKLOG: Final = 10_000
"""How many events may wait for one plugin; one more is dropped, and counted as its failure."""


@dataclass(frozen=True)
class Owned(Generic[Part]):
    """A part, and whose it is."""

    guard: Guard
    part: Part


class Step(NamedTuple):
    """One `before` of one type."""

    guard: Guard
    call: Callable[[Draft], Any]
    waits: bool


class Hooks:
    """All hooks of a server: the observer of the writer, the observer of the router, the guard of sessions.

    Args:
        messages, sessions, background, authenticators: what was registered, in the order of loading.
        server_of: the server as a plugin may use it, by the plugin's name.
    """

    def __init__(
        self,
        messages: Sequence[Owned[MessageHook]],
        sessions: Sequence[Owned[SessionHook]],
        background: Sequence[Owned[BackgroundTask]],
        authenticators: Sequence[Owned[Authenticator]],
        server_of: ServerOf,
    ) -> None:
        self._server_of = server_of
        self._messages = sorted(messages, key=lambda owned: owned.part.order)
        self._sessions = list(sessions)
        self._background = list(background)
        self.authenticators = sorted(authenticators, key=lambda owned: owned.part.order)
        self.ended = trio.Event()
        self._running: set[str] = set()
        self._steps: dict[str, tuple[Step, ...]] = {}
        self._queues: dict[str, trio.MemorySendChannel[tuple[str, Callable[..., Any], tuple[Any, ...]]]] = {}
        self._committed = [owned for owned in self._messages if owned.part.committed is not None]
        self._stored = [owned for owned in self._messages if owned.part.stored is not None]
        self._edited = [owned for owned in self._messages if owned.part.edited is not None]
        self._keeps = [owned for owned in self._messages if owned.part.keeps is not None]
        self._erased = [owned for owned in self._messages if owned.part.erased is not None]

    # Before a message is stored.

    def steps(self, type_name: str) -> tuple[Step, ...]:
        """Return what is to be called before messages of a type are stored."""
        known = self._steps.get(type_name)
        if known is None:
            known = self._steps[type_name] = tuple(
                Step(owned.guard, owned.part.before, iscoroutinefunction(owned.part.before))
                for owned in self._messages
                if owned.part.before is not None and owned.part.covers(type_name)
            )
        return known

    async def before(self, draft: Draft) -> None:
        """Let every `before` of a draft's type see it; one whose plugin fails refuses it.

        Raises:
            RelayError: a refusal, or `plugin_failed`.
        """
        for guard, call, _waits in self.steps(draft.type.name):
            if not guard.aside:
                try:
                    await guard.call_async(f"before, for {draft.type.name!r}", call, draft)
                    guard.call(f"before, for {draft.type.name!r}", draft.type.check, draft.payload)
                except PluginFailed:
                    raise guard.refusal() from None

    def before_nowait(self, draft: Draft) -> None:
        """Do the same, where none of them waits.

        Raises:
            RelayError: a refusal, or `plugin_failed`.
        """
        for guard, call, _waits in self.steps(draft.type.name):
            if not guard.aside:
                try:
                    guard.call(f"before, for {draft.type.name!r}", call, draft)
                    guard.call(f"before, for {draft.type.name!r}", draft.type.check, draft.payload)
                except PluginFailed:
                    raise guard.refusal() from None

    # In the writer's transaction: relay.storage.observer.TransactionObserver.

    def stored(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Tell what was stored."""
        for guard, hook in ((owned.guard, owned.part) for owned in self._stored):
            mine = entries if hook.types is None else [entry for entry in entries if entry.type in hook.types]
            for some in slices(mine):
                if guard.aside:
                    break
                assert hook.stored is not None  # noqa: S101 - that is what was listed
                guard.call_inside("stored", connection, hook.stored, self._server_of(guard.plugin), some)

    def edited(self, connection: sqlite3.Connection, message: Edited) -> None:
        """Tell what was given another payload."""
        for owned in self._edited:
            guard, hook = owned.guard, owned.part
            if not guard.aside and hook.covers(message.type) and hook.edited is not None:
                guard.call_inside("edited", connection, hook.edited, self._server_of(guard.plugin), message)

    def kept(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> Collection[int]:
        """Return which messages must stay: those that a plugin keeps, and all where it fails to say."""
        kept: set[int] = set()
        for owned in self._keeps:
            guard, hook = owned.guard, owned.part
            if not guard.aside and hook.keeps is not None:
                answers: list[Collection[int]] = []
                ask = partial(_answer, hook.keeps, answers)
                guard.call_inside("keeps", connection, ask, self._server_of(guard.plugin), message_ids)
                kept.update(answers[0] if answers else message_ids)
        return kept

    def erased(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
        """Tell what became a tombstone; of whatever type."""
        for owned in self._erased:
            guard, hook = owned.guard, owned.part
            if not guard.aside and hook.erased is not None:
                guard.call_inside("erased", connection, hook.erased, self._server_of(guard.plugin), message_ids)

    def left(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Tell whose account is being erased."""
        for owned in self._sessions:
            guard, hook = owned.guard, owned.part
            if not guard.aside and hook.left is not None:
                guard.call_inside("left", connection, hook.left, self._server_of(guard.plugin), user_id)

    def purge(self, connection: sqlite3.Connection) -> bool:
        """Have each plugin take a step towards leaving nothing of what was erased; tell whether one has more."""
        more = False
        for owned in self._messages:
            guard, hook = owned.guard, owned.part
            if not guard.aside and hook.purge is not None:
                said: list[bool] = []
                guard.call_inside("purge", connection, _step, self._server_of(guard.plugin), (hook.purge, said))
                more = more or said == [True]
        return more

    # After the fact, in each plugin's own task.

    def observe(self, submission: Submission) -> None:
        """Queue a committed message for those who want to know; see `relay.services.router.Observer`."""
        for owned in self._committed:
            if owned.part.covers(submission.entry.type):
                self._queue(owned.guard, "committed", owned.part.committed, submission.entry)

    def came(self, user_id: str, client_id: str, address: str) -> None:
        """Queue that a device is here."""
        for owned in self._sessions:
            self._queue(owned.guard, "connected", owned.part.connected, DeviceEvent(user_id, client_id, address))

    def went(self, user_id: str, client_id: str, address: str) -> None:
        """Queue that a device is gone."""
        for owned in self._sessions:
            self._queue(
                owned.guard, "disconnected", owned.part.disconnected, DeviceEvent(user_id, client_id, address)
            )

    def presence(self, user_id: str, status: str) -> None:
        """Queue that a user's presence is another."""
        for owned in self._sessions:
            self._queue(owned.guard, "presence", owned.part.presence, user_id, status)

    def _queue(self, guard: Guard, what: str, call: Callable[..., Any] | None, *arguments: Any) -> None:
        queue = self._queues.get(guard.plugin)
        if call is None or queue is None or guard.aside:
            return
        try:
            queue.send_nowait((what, call, arguments))
        except trio.WouldBlock:
            guard.failed(what, RuntimeError(f"{_BACKLOG} events wait for it; this one was dropped"))

    async def run(self, *, background: bool = True) -> None:
        """Run every plugin's own tasks, each plugin's in a nursery of its own, until cancelled.

        Args:
            background: whether background tasks run, besides what comes after messages and sessions.
        """
        owned: tuple[Owned[Any], ...] = (*self._committed, *self._sessions, *self._background)
        owners = {one.guard.plugin: one.guard for one in owned}
        try:
            async with trio.open_nursery() as nursery:
                for guard in owners.values():
                    nursery.start_soon(self._run_plugin, guard, background)
        finally:
            self.ended.set()

    def still_running(self) -> list[str]:
        """Return the names of plugins whose own tasks have not ended."""
        return sorted(self._running)

    async def _run_plugin(self, guard: Guard, background: bool) -> None:
        """Run one plugin's tasks while it is not set aside, and again when it is taken back."""
        changed = trio.Event()
        token = trio.lowlevel.current_trio_token()
        # A plugin may fail on the writer's thread.
        guard.when_changed(lambda: _soon(token, lambda: changed.set()))
        while True:
            changed = trio.Event()
            if guard.aside:
                await changed.wait()
                continue
            self._running.add(guard.plugin)
            try:
                async with trio.open_nursery() as nursery:
                    self._start_tasks(nursery, guard, background)
                    await changed.wait()
                    del self._queues[guard.plugin]
                    nursery.cancel_scope.cancel()
                    guard.rules.shields.over(nursery.cancel_scope)
            finally:
                guard.rules.shields.forget(nursery.cancel_scope)
                self._running.discard(guard.plugin)

    def _start_tasks(self, nursery: trio.Nursery, guard: Guard, background: bool) -> None:
        server = self._server_of(guard.plugin)
        send, receive = trio.open_memory_channel[Any](_BACKLOG)
        self._queues[guard.plugin] = send
        nursery.start_soon(self._events, guard, server, receive)
        for owned in self._background:
            if background and owned.guard is guard:
                nursery.start_soon(self._keep_running, guard, server, owned.part)

    async def _events(self, guard: Guard, server: Any, receive: trio.MemoryReceiveChannel[Any]) -> None:
        async for what, call, arguments in receive:
            try:
                await guard.call_async(what, call, server, *arguments)
            except PluginFailed:
                continue
            except StorageError as failed:
                server.log.error("%s of a plugin's came to nothing: %s", what, failed)
            except Exception as refused:
                guard.failed(what, refused)

    async def _keep_running(self, guard: Guard, server: Any, task: BackgroundTask) -> None:
        async def run() -> None:
            try:
                await guard.call_async(f"task {task.name!r}", task.run, server, seconds=math.inf)
            except PluginFailed as failed:
                raise RuntimeError(f"plugin {guard.plugin!r}") from failed

        await supervise(f"task {task.name!r} of plugin {guard.plugin!r}", run)


def _soon(token: trio.lowlevel.TrioToken, told: Callable[[], None]) -> None:
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(told)


def slices(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield messages in as many parts as one call may hold the writer's thread for, by the length of their text.

    What somebody says at length is no fault of the plugin that has to read it.
    """
    start = size = 0
    for index, entry in enumerate(entries):
        size += len(entry.payload)
        if size > SLICE_CHARACTERS and index > start:
            yield entries[start:index]
            start, size = index, len(entry.payload)
    if start < len(entries):
        yield entries[start:] if start else entries


def _answer(
    keeps: Keeps, answers: list[Collection[int]], server: Any, connection: sqlite3.Connection, asked: Sequence[int]
) -> None:
    kept = frozenset(keeps(server, connection, asked))
    if not all(isinstance(message_id, int) for message_id in kept):
        raise TypeError("keeps returns message ids, whole numbers")
    answers.append(kept)


def _step(server: Any, connection: sqlite3.Connection, asked: tuple[Purge, list[bool]]) -> None:
    purge, said = asked
    said.append(purge(server, connection))
