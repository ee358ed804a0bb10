"""The guard: calls one plugin's code under a deadline, counts its failures, and quarantines it after too many.

In quarantine a plugin's types and routes are answered `plugin_failed`, its hooks are skipped and its tasks end,
until the next start or `relay plugins resume NAME`. A `RelayError` is a refusal and no failure.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from inspect import isawaitable
from typing import Any, Final, TypeVar

import trio

from relay.engine.moved import new_place
from relay.engine.shields import Shields
from relay.engine.time_accounting import PluginCall, current
from relay.engine.watchdog import Watch, WriterWatch
from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.entry import Unchanged
from relay.storage.errors import StorageError, TransactionEnded
from relay.storage.health import is_broken, is_the_disks

T = TypeVar("T")
log: Final = logging.getLogger("relay.plugin")
PASSED_ON: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
"""Exceptions that pass through a plugin's code and are nobody's failure; all others are the plugin's."""


class PluginFailed(Exception):
    """A plugin's code failed; it was counted and logged where it happened."""


class Rules:
    """The limits of plugins' code, and what enforces them; shared by all plugins of a server.

    Args:
        failures: so many within `within_seconds` quarantine a plugin; 0 means never.
        seconds: the deadline of one awaited call.
        clock: monotonic seconds; called on the writer's thread as well, so it may not be `trio.current_time`.

    Attributes:
        loop: watches the event loop's thread.
        writer: watches the writer's thread.
        shields: watches the cancel scopes.
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

    @property
    def transaction(self) -> Watch:
        """The watch for code in this thread's transaction: the writer's, or the event loop's for a lone one."""
        return self.loop if self.loop.thread == threading.get_ident() else self.writer


class Guard:
    """Stands between one plugin and the server: every call of the plugin's code goes through it.

    Attributes:
        failures: how often the plugin failed, since the start.
        reason: why it is in quarantine; None while it runs.
        last: its last failure, in words.
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
    def quarantined(self) -> bool:
        """Whether the plugin failed too often and is not called."""
        return self.reason is not None

    def when_changed(self, told: Callable[[], None]) -> None:
        """Have `told` called when the plugin is quarantined or resumed; on any thread."""
        self._watchers.append(told)

    def check(self) -> None:
        """Refuse what a plugin in quarantine would have to do.

        Raises:
            RelayError: `plugin_failed`.
        """
        if self.reason is not None:
            raise self.refusal()

    def refusal(self) -> RelayError:
        """Return the error that answers a message or a request which the plugin failed at."""
        text = "failed too often and is set aside" if self.quarantined else "failed; the server's log says how"
        return RelayError(ErrorCode.PLUGIN_FAILED, f"the plugin {self.plugin!r} {text}")

    def failed(self, what: str, fault: BaseException) -> None:
        """Count and log a failure, and quarantine the plugin where it was one too many; from any thread.

        Args:
            what: names the code that failed, for the log.
        """
        log.error("plugin %r failed in %s", self.plugin, what, exc_info=fault)
        now, limit = self.rules.clock(), self.rules.failures
        with self._counting:
            self.failures += 1
            self.last = f"{what}: {in_words(fault)}"
            self._recent.append(now)
            if not limit or self.quarantined or len(self._recent) < limit:
                return
            if now - self._recent[0] > self.rules.within_seconds:
                return
            self.reason = f"{limit} failures within {self.rules.within_seconds:g} s; the last in {self.last}"
        log.error("plugin %r is set aside: %s", self.plugin, self.reason)
        self._tell()

    def set_aside(self, reason: str) -> None:
        """Quarantine the plugin because somebody wants that."""
        if self.reason is None:
            self.reason = reason
            log.warning("plugin %r is set aside: %s", self.plugin, reason)
            self._tell()

    def resume(self) -> None:
        """End the plugin's quarantine."""
        self._recent.clear()
        if self.reason is not None:
            self.reason = None
            log.warning("plugin %r is taken back", self.plugin)
            self._tell()

    def _tell(self) -> None:
        for told in self._watchers:
            told()

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call plain code, which must not wait.

        Raises:
            PluginFailed: it raised; logged and counted.
            RelayError: its refusal.
        """
        try:
            return _plain(self.rules.loop.run(self.plugin, function, *arguments))
        except (RelayError, *PASSED_ON[:2]):
            raise
        except BaseException as fault:
            self.failed(what, fault)
            raise PluginFailed from fault

    def call_anywhere(self, what: str, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call plain code on behalf of another plugin, on any thread of the database; None where it failed."""
        try:
            return self._run_anywhere(function, *arguments)
        except BaseException as fault:
            self.failed(what, fault)
            return None

    def try_anywhere(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Do the same, but count and log no failure: the caller tries again with smaller parts."""
        try:
            return self._run_anywhere(function, *arguments)
        except BaseException:
            return None

    def _run_anywhere(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run plain code; watched where it holds the writer's thread or the event loop's."""
        watch = self.rules.transaction
        if watch.thread != threading.get_ident():
            return _plain(function(*arguments))
        return _plain(watch.run(self.plugin, function, *arguments))

    async def call_async(
        self, what: str, function: Callable[..., Any], *arguments: Any, seconds: float | None = None
    ) -> Any:
        """Call plain or async code under a deadline.

        Args:
            seconds: the deadline; None for `[timeouts] handler_seconds`.

        Raises:
            PluginFailed: it raised or took too long; logged and counted.
            RelayError: its refusal; or `overloaded`, where it was late because it waited for relay.
            StorageError: the disk failed, which is no failure of the plugin.
        """
        call = PluginCall()
        before = current.set(call)
        try:
            with self.rules.shields.deadline(self.rules.seconds if seconds is None else seconds):
                result = self.rules.loop.run(self.plugin, function, *arguments)
                if isawaitable(result):
                    return await self.rules.loop.run_async(self.plugin, result)
                return result
        except (RelayError, StorageError, *PASSED_ON):
            raise
        except trio.TooSlowError as late:
            if call.delayed_by_relay:
                raise RelayError(ErrorCode.OVERLOADED, "the server is busy; try again", retry_after=1.0) from late
            self.failed(what, late)
            raise PluginFailed from late
        except BaseExceptionGroup as group:
            passed_on, own = group.split(PASSED_ON)
            if own is not None:
                self.failed(what, own)
            if passed_on is not None:
                raise passed_on from None  # the plugin's own faults must not outlive the cancellation
            raise PluginFailed from group
        except BaseException as fault:
            self.failed(what, fault)
            raise PluginFailed from fault
        finally:
            current.reset(before)

    def call_inside(
        self, what: str, connection: sqlite3.Connection, function: Callable[..., None], server: Any, detail: Any
    ) -> None:
        """Call `function(server, connection, detail)` in the writer's transaction; its failure undoes its writes.

        Raises:
            sqlite3.Error: the disk failed, which is no failure of the plugin.
        """
        connection.execute("SAVEPOINT plugin")
        try:
            _plain(self.rules.transaction.run(self.plugin, function, server, connection, detail))
        except BaseException as fault:
            if _is_ours(fault):
                raise
            self.failed(what, fault)
            self._settle(what, connection, "ROLLBACK TO plugin")
        self._settle(what, connection, "RELEASE plugin")

    def _settle(self, what: str, connection: sqlite3.Connection, statement: str) -> None:
        """End the savepoint around the plugin's code.

        Raises:
            sqlite3.Error: the disk failed.
            TransactionEnded: the savepoint is gone.
        """
        try:
            connection.execute(statement)
        except sqlite3.Error as lost:
            if is_the_disks(lost):
                raise
            raise self._ended(what) from lost

    def _ended(self, what: str) -> TransactionEnded:
        ended = TransactionEnded(
            f"plugin {self.plugin!r} ended the transaction in {what}, which is others' as well, or caught an error"
            " of the disk that did"
        )
        self.failed(what, ended)
        return ended

    def inside(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """Return a type's own transaction code, guarded: what it raises refuses its message, and is counted."""

        def guarded(*arguments: Any) -> T:
            try:
                result = _plain(self.rules.transaction.run(self.plugin, function, *arguments))
            except BaseException as fault:
                if _is_ours(fault):
                    raise
                check(arguments)
                if isinstance(fault, (RelayError, Unchanged)):
                    raise
                self.failed(what, fault)
                raise self.refusal() from fault
            check(arguments)
            return result

        def check(arguments: Sequence[Any]) -> None:
            for one in arguments:
                if isinstance(one, sqlite3.Connection) and not one.in_transaction:
                    raise self._ended(what)

        return guarded


def in_words(fault: BaseException) -> str:
    """Return the class and the text of an exception, with the new place of an old name that it stumbled over."""
    try:
        instead = new_place(fault)
        return f"{type(fault).__name__}: {fault}" + (f"; {instead}" if instead else "")
    except Exception:  # its own `__str__` may raise
        return type(fault).__name__


def _is_ours(fault: BaseException) -> bool:
    """Tell whether relay's own disk failed under a plugin's code.

    A damaged database is not taken for that: it may be another one that the plugin reads. If it is relay's own,
    relay's next statement fails too.
    """
    return is_the_disks(fault) and not is_broken(fault)


def _plain(result: T) -> T:
    """Return what plain code returned.

    Raises:
        TypeError: it is to be awaited, which nobody does here.
    """
    if result is not None and isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()
        raise TypeError("it returned something to be awaited; what is called here is plain code, not async def")
    return result
