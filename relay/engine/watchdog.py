"""What ends a plugin that holds the server's thread: nothing else runs until it lets go.

While a plugin's code runs, the watch knows whose it is. A thread of its own looks a few times a second whether it
is the same call still; after `[timeouts] blocking_seconds` it has the operating system interrupt the server's
thread, where `Blocked` is raised out of the plugin's own line: `time.sleep`, an endless loop and a read from a
silent socket alike. The plugin's code alone is interrupted; between two of its awaits every other task runs.

A transaction's code runs on the writer's thread, which no signal reaches: there a loop is ended by the
interpreter, and a blocking call is only counted once it is back.
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
"""How often the thread looks while it waits for `blocking_seconds`."""


class Blocked(BaseException):
    """Raised into a plugin that blocks; a `BaseException`, so that no `except Exception` of its own stops it."""


class Watch:
    """Whose code runs on one thread just now.

    Attributes:
        owner: the name of the plugin whose code runs; None for relay's own.
        call: counts the calls, so that two looks can tell the same one.
    """

    def __init__(self) -> None:
        self.owner: str | None = None
        self.call = 0
        self.thread: int | None = None
        self.armed = -1

    def enter(self, owner: str) -> str | None:
        """Note that a plugin's code begins; return whose ran before, for `leave`."""
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
            self.leave(before)  # it may have come out of `leave` itself
            raise

    async def run_async(self, owner: str, awaitable: Awaitable[T]) -> T:
        """Await a plugin's coroutine; each of its steps is watched, its waits are not."""
        inner = awaitable if isinstance(awaitable, Coroutine) else _waited(awaitable)
        return await self._step(owner, inner)

    def interrupt(self, call: int) -> None:
        """Raise `Blocked` out of a call, if it is running still; called by the looking thread."""
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
                self.leave(before)  # it may have come out of `leave` itself
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
    """The watch of the writer's thread, which is interrupted by the interpreter at its next step.

    What is raised there must not come when the plugin's call is over: entering, leaving and interrupting hold one
    lock, and leaving takes back what was not raised yet.
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
        """Note that it has ended, and that nothing may interrupt what follows."""
        with self._lock:
            interrupted = self.armed == self.call
            super().leave(before)
            if interrupted:
                self._raise_in_thread(None)

    def interrupt(self, call: int) -> None:
        """Raise `Blocked` out of a call at its next step in Python, if it is running still."""
        with self._lock:
            if self.call == call and self.owner is not None:
                self.armed = call
                self._raise_in_thread(Blocked)

    def _raise_in_thread(self, kind: type[BaseException] | None) -> None:
        raised = None if kind is None else ctypes.py_object(kind)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread or 0), raised)


@contextmanager
def watching(loop: Watch, writer: WriterWatch, seconds: float) -> Iterator[None]:
    """Have both watches looked at until the block ends; call it on the main thread.

    Args:
        loop: of the calling thread.
        writer: of the writer's thread.
        seconds: how long one call may hold a thread; 0 means for ever.
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
