"""A loop of asyncio's on a thread of its own, and the ways to it: from trio, and from threads that may block."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from threading import Event, Thread
from typing import Any, Final, TypeVar

import trio

from relay.cluster.stream import Unreachable

_log: Final = logging.getLogger("relay.cluster")

T = TypeVar("T")

_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
_ENDED: Final = "the connection to NATS has ended"


class Loop:
    """The loop; `run` is the context it lives in.

    Args:
        main: the coroutine that runs on it all the time; it is cancelled at the end.
    """

    def __init__(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make_main = main
        self._begun = Event()
        self._thread = Thread(target=self._run, name="relay-nats", daemon=True)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Have the loop on its thread as long as this lasts; all that runs on it is cancelled at the end."""
        self._thread.start()
        self._begun.wait()
        try:
            yield
        finally:
            self.soon(self._main.cancel)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._thread.join, _END_SECONDS)

    def block(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, and block this thread until it has ended.

        Raises:
            Unreachable: the loop has ended.
        """
        future = self.start(make)
        while True:
            try:
                return future.result(_LOOK_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                if not self._thread.is_alive():
                    raise Unreachable(_ENDED) from None
            except CancelledError:
                raise Unreachable(_ENDED) from None

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, from trio; it is cancelled where the caller is.

        Raises:
            Unreachable: the loop has ended.
        """
        token, done = trio.lowlevel.current_trio_token(), trio.Event()

        def tell(_: Future[T]) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        future = self.start(make)
        future.add_done_callback(tell)
        try:
            await done.wait()
        finally:
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise Unreachable(_ENDED) from None

    def start(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Have a coroutine run on the loop, until it has ended or its future is cancelled.

        Raises:
            Unreachable: the loop has ended.
        """
        coroutine = make()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise Unreachable(_ENDED) from None

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function run on the loop; any thread may call this."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        with suppress(asyncio.CancelledError):
            asyncio.run(self._begin())

    async def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_note_stray)
        self._main = asyncio.create_task(self._make_main())
        self._begun.set()
        await self._main


def _note_stray(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Tell those who debug of a task of a library's that failed, as one does whose connection is lost."""
    _log.debug("%s", context.get("exception") or context.get("message"))
