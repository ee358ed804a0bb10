"""Plugins' own tasks: for each plugin one that calls its events in order, and its background tasks."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

import trio

from relay.engine.guard import Guard, PluginFailed
from relay.engine.registry import Owned
from relay.engine.schedules import Schedules
from relay.plugin.registrations import BackgroundTask
from relay.plugin.types import Server
from relay.services.supervision import supervise
from relay.storage.errors import StorageError
from relay.wakeup import Wakeup

_BACKLOG: Final = 10_000
"""How many events may wait for one plugin; one more is dropped, and counted as its failure."""

_FINISH_SECONDS: Final = 5.0
"""How long the events that wait for a plugin's code may take when that code is replaced."""


class _Tasks:
    """The tasks of one plugin's code, from when it was loaded until it is replaced.

    Args:
        runs: what runs besides the events; each is cancelled when the plugin is quarantined or replaced.
        before: the tasks of the code that this replaces: they end before these begin, so that events keep
            their order and no background task runs twice.

    Attributes:
        events: the events that wait.
        running: whether its code may run at the moment.
        replaced: whether other code has taken its place, or the plugin was removed.
        ended: set once nothing of it runs any more.
    """

    def __init__(
        self, guard: Guard, server: Server, runs: Sequence[Callable[[], Awaitable[None]]], before: _Tasks | None
    ) -> None:
        self.guard = guard
        self.running = self.replaced = False
        self.ended = trio.Event()
        self._server = server
        self._runs = runs
        self._before = before
        self._changed = Wakeup()  # a plugin may fail on the writer's thread
        self._open_queue()
        guard.when_changed(self._changed.set)

    def _open_queue(self) -> None:
        self.events, self._waiting = trio.open_memory_channel[Any](_BACKLOG)

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return self._waiting.statistics().current_buffer_used

    def replace(self) -> None:
        """End the background tasks, and all else once the events that wait are called."""
        self.replaced = True
        self.events.close()
        self._changed.set()

    async def run(self) -> None:
        """Run the tasks until they are replaced or cancelled, except while the plugin is quarantined."""
        try:
            if self._before is not None:
                await self._before.ended.wait()
                self._before = None
            while True:
                self._changed.clear()
                if not self.guard.quarantined:
                    await self._run_until_changed()
                if self.replaced:
                    return
                if self.guard.quarantined:
                    await self._changed.wait()
        finally:
            self.ended.set()

    async def _run_until_changed(self) -> None:
        shields = self.guard.rules.shields
        self.running = True
        try:
            async with trio.open_nursery() as events:
                events.start_soon(_call_events, self.guard, self._server, self._waiting)
                async with trio.open_nursery() as tasks:
                    if not self.replaced:
                        for run in self._runs:
                            tasks.start_soon(run)
                        await self._changed.wait()
                    for nursery in (tasks,) if self.replaced else (tasks, events):
                        nursery.cancel_scope.cancel()
                        shields.lift_later(nursery.cancel_scope)
                events.cancel_scope.deadline = trio.current_time() + _FINISH_SECONDS
        finally:
            shields.forget(tasks.cancel_scope)
            shields.forget(events.cancel_scope)
            self.running = False
        if not self.replaced:
            self._open_queue()
        elif left := self.waiting:
            self._server.log.error("%d events came to nothing: its old code took too long for them", left)


class PluginTasks:
    """Runs each plugin's tasks in a nursery of its own, except while the plugin is quarantined.

    Args:
        parts: all registered parts, by hook.
        server_of: returns the server as a plugin sees it, by the plugin's name.
        schedules: runs the plugins' scheduled jobs.

    Attributes:
        ended: set once all tasks have ended.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        schedules: Schedules,
    ) -> None:
        self._server_of = server_of
        self._schedules = schedules
        self._parts = parts
        self._latest: dict[str, _Tasks] = {}
        self._alive: set[_Tasks] = set()
        self._nursery: trio.Nursery | None = None
        self._with_background = True
        self.ended = trio.Event()

    def queue(self, guard: Guard, what: str, call: Callable[..., Any] | None, *arguments: Any) -> None:
        """Queue an event for a plugin: `call(server, *arguments)`; without a `call` it is for nobody.

        Args:
            what: names the event in the log.
        """
        tasks = self._latest.get(guard.plugin)
        if call is None or tasks is None or tasks.guard is not guard or guard.quarantined:
            return
        try:
            tasks.events.send_nowait((what, call, arguments))
        except trio.WouldBlock:
            guard.failed(what, RuntimeError(f"{_BACKLOG} events wait for it; this one was dropped"))
        except trio.ClosedResourceError:
            return  # the plugin was removed

    async def run(self, *, background: bool = True) -> None:
        """Run the tasks of all plugins until cancelled.

        Args:
            background: whether background tasks run too, or events only.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery, self._with_background = nursery, background
                self.arrange()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self.ended.set()

    def arrange(self) -> None:
        """Begin the tasks of the plugins that are there, and end those of code that is not any more."""
        if self._nursery is None:
            return
        committed = [owned for owned in self._parts["relay_message_hooks"] if owned.part.committed is not None]
        told = [owned for owned in self._parts["relay_account_hooks"] if owned.part.registered is not None]
        always = [self._parts[hook] for hook in ("relay_session_hooks", "relay_background", "relay_schedules")]
        with_tasks = (*committed, *told, *chain(*always))
        guards = {owned.guard.plugin: owned.guard for owned in with_tasks}
        for name, tasks in self._latest.items():
            if guards.get(name) is not tasks.guard and not tasks.replaced:
                tasks.replace()
        for name, guard in guards.items():
            before = self._latest.get(name)
            if before is None or before.guard is not guard or before.replaced:
                server = self._server_of(name)
                tasks = self._latest[name] = _Tasks(guard, server, self._runs_of(guard, server), before)
                self._alive.add(tasks)
                self._nursery.start_soon(self._run_tasks, tasks)

    def _runs_of(self, guard: Guard, server: Server) -> list[Callable[[], Awaitable[None]]]:
        """Return what runs for a plugin besides its events."""
        if not self._with_background:
            return []
        background = [owned.part for owned in self._parts["relay_background"] if owned.guard is guard]
        runs: list[Callable[[], Awaitable[None]]] = [
            partial(_keep_running, guard, server, task) for task in background
        ]
        if self._schedules.registered(guard.plugin):
            runs.append(partial(self._schedules.run, guard, server))
        return runs

    async def _run_tasks(self, tasks: _Tasks) -> None:
        try:
            await tasks.run()
        finally:
            self._alive.discard(tasks)

    async def wait_ended(self, guard: Guard) -> None:
        """Wait until nothing of a plugin's replaced code runs any more."""
        for tasks in [one for one in self._alive if one.guard is guard]:
            await tasks.ended.wait()

    def waiting(self, plugin: str) -> int:
        """Return how many events wait for a plugin."""
        tasks = self._latest.get(plugin)
        return 0 if tasks is None else tasks.waiting

    def still_running(self) -> list[str]:
        """Return the names of the plugins whose tasks have not ended."""
        return sorted({tasks.guard.plugin for tasks in self._alive if tasks.running})


async def _call_events(guard: Guard, server: Server, receive: trio.MemoryReceiveChannel[Any]) -> None:
    """Call queued events one after the other; one that fails is counted, and the next is called."""
    async for what, call, arguments in receive:
        try:
            await guard.call_async(what, call, server, *arguments)
        except PluginFailed:
            continue
        except StorageError as failed:
            server.log.error("%s of a plugin's came to nothing: %s", what, failed)
        except Exception as refused:
            guard.failed(what, refused)


async def _keep_running(guard: Guard, server: Server, task: BackgroundTask) -> None:
    """Run a background task; begin it again after a growing pause where it fails."""

    async def run() -> None:
        try:
            await guard.call_async(f"task {task.name!r}", task.run, server, seconds=math.inf)
        except PluginFailed as failed:
            raise RuntimeError(f"plugin {guard.plugin!r}") from failed

    await supervise(f"task {task.name!r} of plugin {guard.plugin!r}", run)
