"""Plugins' own tasks: for each plugin one that calls its events in order, and its background tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
        self._background: Sequence[Owned[BackgroundTask]] = parts["relay_background"]
        committed = [owned for owned in parts["relay_message_hooks"] if owned.part.committed is not None]
        with_tasks = (*committed, *parts["relay_session_hooks"], *self._background, *parts["relay_schedules"])
        self._guards: Collection[Guard] = {owned.guard.plugin: owned.guard for owned in with_tasks}.values()
        self._running: set[str] = set()
        self._queues: dict[str, trio.MemorySendChannel[tuple[str, Callable[..., Any], tuple[Any, ...]]]] = {}
        self.ended = trio.Event()

    def queue(self, guard: Guard, what: str, call: Callable[..., Any] | None, *arguments: Any) -> None:
        """Queue an event for a plugin: `call(server, *arguments)`; without a `call` it is for nobody.

        Args:
            what: names the event in the log.
        """
        queue = self._queues.get(guard.plugin)
        if call is None or queue is None or guard.quarantined:
            return
        try:
            queue.send_nowait((what, call, arguments))
        except trio.WouldBlock:
            guard.failed(what, RuntimeError(f"{_BACKLOG} events wait for it; this one was dropped"))

    async def run(self, *, background: bool = True) -> None:
        """Run the tasks of all plugins until cancelled.

        Args:
            background: whether background tasks run too, or events only.
        """
        try:
            async with trio.open_nursery() as nursery:
                for guard in self._guards:
                    nursery.start_soon(self._run_plugin, guard, background)
        finally:
            self.ended.set()

    def still_running(self) -> list[str]:
        """Return the names of the plugins whose tasks have not ended."""
        return sorted(self._running)

    async def _run_plugin(self, guard: Guard, background: bool) -> None:
        """Run one plugin's tasks until it is quarantined, and again when it is resumed."""
        changed = Wakeup()  # a plugin may fail on the writer's thread
        guard.when_changed(changed.set)
        while True:
            changed.clear()
            if guard.quarantined:
                await changed.wait()
                continue
            self._running.add(guard.plugin)
            try:
                async with trio.open_nursery() as nursery:
                    self._start_tasks(nursery, guard, background)
                    await changed.wait()
                    del self._queues[guard.plugin]
                    nursery.cancel_scope.cancel()
                    guard.rules.shields.lift_later(nursery.cancel_scope)
            finally:
                guard.rules.shields.forget(nursery.cancel_scope)
                self._running.discard(guard.plugin)

    def _start_tasks(self, nursery: trio.Nursery, guard: Guard, background: bool) -> None:
        server = self._server_of(guard.plugin)
        send, receive = trio.open_memory_channel[Any](_BACKLOG)
        self._queues[guard.plugin] = send
        nursery.start_soon(_call_events, guard, server, receive)
        for owned in self._background:
            if background and owned.guard is guard:
                nursery.start_soon(_keep_running, guard, server, owned.part)
        if background and self._schedules.registered(guard.plugin):
            nursery.start_soon(self._schedules.run, guard, server)


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
