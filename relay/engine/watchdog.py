"""The watchdog: interrupts plugin code that blocks the event loop or the writer.

While a plugin's code runs on a thread, the thread's `Watch` has its name. A thread of the watchdog's own checks
several times a second whether the same call still runs. After `[plugins] blocking_seconds` it signals the event
loop's thread, and `Blocked` is raised in the plugin's own line: out of `time.sleep`, an endless loop, or reading
a silent socket. Only the plugin's code is interrupted; between two of its awaits every other task runs.

Code in a transaction runs on the writer's thread, where Python handles no signals. There a loop is ended by the
interpreter, and a blocking call is only counted once it has returned. A lone message's transaction may run on the
event loop's thread (`relay.storage.lone`), where it is interrupted as all else there.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import FrameType, coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
_LOOKS: Final = 8
"""How often the watchdog checks within `blocking_seconds`."""


class Blocked(BaseException):
    """Raised inside a plugin that blocks; a `BaseException`, as its own `except Exception` must not catch it."""


class Watch:
    """The plugin whose code runs on one thread at the moment.

    Attributes:
        owner: the plugin's name; None while relay's own code runs.
        call: the number of the call, so that the watchdog can tell whether it is still the same.
        thread: the thread's identifier; None until it is known.
        armed: the call that is to be interrupted.
        busy: how long the watchdog saw the code of each plugin at work on it, in seconds: from samples, so that
            calls pay nothing for it. Empty where nothing watches.
    """

    def __init__(self) -> None:
        self.busy: dict[str, float] = {}
        self.owner: str | None = None
        self.call = 0
        self.thread: int | None = None
        self.armed = -1

    def enter(self, owner: str) -> str | None:
        """Note that a plugin's code begins; return the plugin whose code ran before, for `leave`."""
        before, self.owner = self.owner, owner
        self.call += 1
        return before

    def leave(self, before: str | None) -> None:
        """Note that a plugin's code has ended."""
        self.owner = before
        self.call += 1

    def run(self, owner: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call a plugin's plain function."""
        before = self.enter(owner)
        try:
            try:
                return function(*arguments)
            finally:
                self.leave(before)
        except Blocked:
            self.leave(before)  # it may have been raised inside `leave` itself
            raise

    async def run_async(self, owner: str, awaitable: Awaitable[T]) -> T:
        """Await a plugin's coroutine; its steps are watched, its waits are not."""
        inner = awaitable if isinstance(awaitable, Coroutine) else _waited(awaitable)
        return await self._step(owner, inner)

    def interrupt(self, call: int) -> None:
        """Raise `Blocked` in a call, if it still runs; called on the watchdog's thread."""
        if self.thread is not None and self.call == call:
            self.armed = call
            signal.pthread_kill(self.thread, signal.SIGALRM)

    @coroutine
    def _step(self, owner: str, inner: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        resume: Callable[[Any], Any] = inner.send
        value: Any = None
        while True:
            before = self.enter(owner)
            trap: Any = None
            try:
                try:
                    trap = resume(value)
                except StopIteration as done:
                    result: T = done.value
                    return result
                finally:
                    self.leave(before)
            except Blocked as late:
                self.leave(before)  # it may have been raised inside `leave` itself
                if trap is None:
                    raise
                value, resume = late, inner.throw
                continue
            try:
                value = yield trap
                resume = inner.send
            except BaseException as raised:
                value, resume = raised, inner.throw


async def _waited(awaitable: Awaitable[T]) -> T:
    return await awaitable


class WriterWatch(Watch):
    """The watch of the writer's thread, whose code the interpreter interrupts at its next step.

    The exception must not be raised once the plugin's call is over. So entering, leaving and interrupting hold one
    lock, and leaving withdraws an exception that was not raised yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def enter(self, owner: str) -> str | None:
        """Note that a plugin's code begins on this thread."""
        self.thread = threading.get_ident()
        with self._lock:
            return super().enter(owner)

    def leave(self, before: str | None) -> None:
        """Note that a plugin's code has ended: what follows must not be interrupted."""
        with self._lock:
            interrupted = self.armed == self.call
            super().leave(before)
            if interrupted:
                self._raise_in_thread(None)

    def interrupt(self, call: int) -> None:
        """Raise `Blocked` in a call at its next step in Python, if it still runs."""
        with self._lock:
            if self.call == call and self.owner is not None:
                self.armed = call
                self._raise_in_thread(Blocked)

    def _raise_in_thread(self, kind: type[BaseException] | None) -> None:
        raised = None if kind is None else ctypes.py_object(kind)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread or 0), raised)


@contextmanager
def watching(loop: Watch, writer: WriterWatch, seconds: float) -> Iterator[None]:
    """Interrupt blocking calls on both threads until the block ends; enter it on the main thread.

    Args:
        loop: the watch of the calling thread.
        writer: the watch of the writer's thread.
        seconds: how long one call may hold its thread; 0 means for ever.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop.thread = threading.get_ident()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if loop.owner is not None and loop.armed == loop.call:
            raise Blocked(f"it held the server's thread for more than {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, interrupt)
    ended = threading.Event()

    def look() -> None:
        seen: dict[Watch, tuple[int, int]] = {}
        while not ended.wait(seconds / _LOOKS):
            for watch in (loop, writer):
                owner, call = watch.owner, watch.call
                if owner is not None:
                    watch.busy[owner] = watch.busy.get(owner, 0.0) + seconds / _LOOKS
                times = seen[watch][1] + 1 if seen.get(watch, (None, 0))[0] == call else 0
                seen[watch] = (call, times)
                if owner is not None and times >= _LOOKS:
                    seen[watch] = (call, 0)
                    watch.interrupt(call)

    thread = threading.Thread(target=look, name="relay-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGALRM, previous)
