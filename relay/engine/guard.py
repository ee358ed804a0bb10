"""One plugin's standing: its code is called through here, under a deadline, and what it raises is counted.

A plugin that keeps failing is set aside: its types are answered `plugin_failed`, its hooks are passed over, its
routes are 503 and its tasks end. That lasts until the server is started again or an operator runs
`relay plugins resume NAME`. A refusal, `RelayError`, is an answer and no failure.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, TypeVar

import trio

from relay.engine.own_time import Call, current
from relay.engine.unshielding import Shields
from relay.engine.watchdog import Watch, WriterWatch
from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.errors import StorageError
from relay.storage.health import is_broken, is_the_disks
from relay.storage.log import Unchanged

T = TypeVar("T")
log: Final = logging.getLogger("relay.plugin")
THROUGH: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
"""What goes through a plugin's code and is nobody's fault; all else that it raises is the plugin's."""


class PluginFailed(Exception):
    """A plugin's code failed, or the plugin is set aside; it was counted and logged where it happened."""


class Rules:
    """When a failing plugin is set aside, and how long its code may take; shared by all of a server's plugins.

    Args:
        failures: so many within `within_seconds` set it aside; 0 means never.
        seconds: the deadline of one awaited call.
        clock: monotonic seconds; asked on the writer's thread as well, so it may not be `trio.current_time`.
    """

    def __init__(
        self,
        failures: int = 10,
        within_seconds: float = 600.0,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = failures
        self.within_seconds = within_seconds
        self.seconds = seconds
        self.clock = clock
        self.loop = Watch()
        self.writer = WriterWatch()
        self.shields = Shields()


class Guard:
    """What stands between one plugin and the server.

    Attributes:
        failures: how often it failed, since the start.
        reason: why it is set aside; None while it runs.
        last: its last failure, in words.
        stopped: ends its tasks when it is set aside.
    """

    def __init__(self, plugin: str, rules: Rules) -> None:
        self.plugin = plugin
        self.rules = rules
        self.failures = 0
        self.last: str | None = None
        self.reason: str | None = None
        self._recent: deque[float] = deque(maxlen=max(1, rules.failures))
        self._counting = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    @property
    def aside(self) -> bool:
        """Whether it failed too often and is passed over."""
        return self.reason is not None

    def when_changed(self, told: Callable[[], None]) -> None:
        """Have `told` called when the plugin is set aside or taken back."""
        self._watchers.append(told)

    def check(self) -> None:
        """Refuse what a plugin that is set aside would have to do.

        Raises:
            RelayError: `plugin_failed`.
        """
        if self.reason is not None:
            raise self.refusal()

    def refusal(self) -> RelayError:
        """Return what a message or request is answered that this plugin failed at."""
        text = "failed too often and is set aside" if self.aside else "failed; the server's log says how"
        return RelayError(ErrorCode.PLUGIN_FAILED, f"the plugin {self.plugin!r} {text}")

    def failed(self, what: str, fault: BaseException) -> None:
        """Count and log a failure, and set the plugin aside when it was one too many; on whatever thread."""
        log.error("plugin %r failed in %s", self.plugin, what, exc_info=fault)
        now, limit = self.rules.clock(), self.rules.failures
        with self._counting:
            self.failures += 1
            self.last = f"{what}: {in_words(fault)}"
            self._recent.append(now)
            if not limit or self.aside or len(self._recent) < limit:
                return
            if now - self._recent[0] > self.rules.within_seconds:
                return
            self.reason = f"{limit} failures within {self.rules.within_seconds:g} s; the last in {self.last}"
        log.error("plugin %r is set aside: %s", self.plugin, self.reason)
        self._tell()

    def resume(self) -> None:
        """Take a plugin back that was set aside."""
        self._recent.clear()
        if self.reason is not None:
            self.reason = None
            log.warning("plugin %r is taken back", self.plugin)
            self._tell()

    def _tell(self) -> None:
        for told in self._watchers:
            told()

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call plain code that must not wait.

        Raises:
            PluginFailed: it raised; logged and counted.
            RelayError: its refusal.
        """
        try:
            return _plain(self.rules.loop.run(self.plugin, function, *arguments))
        except (RelayError, *THROUGH[:2]):
            raise
        except BaseException as fault:
            self.failed(what, fault)
            raise PluginFailed from fault

    def call_anywhere(self, what: str, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call plain code for another plugin, on the writer's thread or a reader's; None where it failed."""
        try:
            return self._run_anywhere(function, *arguments)
        except BaseException as fault:
            self.failed(what, fault)
            return None

    def tries_anywhere(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Do the same with what is called again in smaller parts where it failed: nothing is counted or logged."""
        try:
            return self._run_anywhere(function, *arguments)
        except BaseException:
            return None

    def _run_anywhere(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run plain code, watched where it holds the writer's thread."""
        writer = self.rules.writer
        if writer.thread != threading.get_ident():
            return _plain(function(*arguments))
        return _plain(writer.run(self.plugin, function, *arguments))

    async def call_async(
        self, what: str, function: Callable[..., Any], *arguments: Any, seconds: float | None = None
    ) -> Any:
        """Call plain or async code under a deadline.

        Args:
            seconds: the deadline; None for `[timeouts] handler_seconds`.

        Raises:
            PluginFailed: it raised or took too long; logged and counted.
            RelayError: its refusal.
            RelayError: `overloaded` where it was relay that it waited for.
            StorageError: the disk's failure, which is nobody's mistake.
        """
        watch = self.rules.loop
        call = Call()
        before = current.set(call)
        try:
            with self.rules.shields.deadline(self.rules.seconds if seconds is None else seconds):
                result = watch.run(self.plugin, function, *arguments)
                if isawaitable(result):
                    return await watch.run_async(self.plugin, result)
                return result
        except (RelayError, StorageError, *THROUGH):
            raise
        except trio.TooSlowError as late:
            if call.waited:
                raise RelayError(ErrorCode.OVERLOADED, "the server is busy; try again", retry_after=1.0) from late
            self.failed(what, late)
            raise PluginFailed from late
        except BaseExceptionGroup as group:
            through, own = group.split(THROUGH)
            if own is not None:
                self.failed(what, own)
            if through is not None:
                raise through from None  # its own faults must not outlive the cancellation
            raise PluginFailed from group
        except BaseException as fault:
            self.failed(what, fault)
            raise PluginFailed from fault
        finally:
            current.reset(before)

    def call_inside(
        self, what: str, connection: sqlite3.Connection, function: Callable[..., None], server: Any, detail: Any
    ) -> None:
        """Call `function(server, connection, detail)` in the writer's transaction, in a savepoint of its own.

        When it fails, its writes alone are undone.

        Raises:
            sqlite3.Error: the disk's own failure, which is nobody's mistake.
        """
        connection.execute("SAVEPOINT plugin")
        try:
            _plain(self.rules.writer.run(self.plugin, function, server, connection, detail))
        except BaseException as fault:
            if _is_ours(fault):
                raise
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK TO plugin")
            self.failed(what, fault)
        try:
            connection.execute("RELEASE plugin")
        except sqlite3.Error as lost:
            self.failed(what, RuntimeError(f"it ended the transaction, which is others' as well: {lost}"))
            raise

    def inside(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """Wrap a type's own transaction code: what it raises refuses its message, and counts."""

        def guarded(*arguments: Any) -> T:
            try:
                return _plain(self.rules.writer.run(self.plugin, function, *arguments))
            except (RelayError, Unchanged):
                raise
            except BaseException as fault:
                if _is_ours(fault):
                    raise
                self.failed(what, fault)
                raise self.refusal() from fault

        return guarded


def in_words(fault: BaseException) -> str:
    """Return what a fault says of itself, whatever its own code makes of that."""
    try:
        return f"{type(fault).__name__}: {fault}"
    except Exception:
        return type(fault).__name__


def _is_ours(fault: BaseException) -> bool:
    """Tell whether relay's own disk failed under a plugin's code.

    Damage is not taken for that: it may be in another database that the plugin reads, and if it is in relay's own,
    relay's next statement meets it too.
    """
    return is_the_disks(fault) and not is_broken(fault)


def _plain(result: T) -> T:
    """Return what plain code returned.

    Raises:
        TypeError: it wants to be awaited, which nobody does here.
    """
    if result is not None and isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()
        raise TypeError("it returned something to be awaited; what is called here is plain code, not async def")
    return result
