"""The accepting of connections, and how many of them the limit on open files leaves room for."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from relay.transports.lobby import ThrottledLog

_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_PAUSE_SECONDS: Final = 0.1
_MOST_KEPT_BACK: Final = 256


def raise_file_limit() -> int:
    """Raise the process's limit on open files as far as it may go, and return it; 0 means no limit.

    The soft limit is mostly 1,024, for programs that cannot count further; this one can.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # macOS names a hard limit that it then refuses; what there is holds
    return 0 if soft == resource.RLIM_INFINITY else soft


def room_for_peers(files: int) -> int:
    """Return how many connections may be open; the rest of the files is for the database, plugins and the CLI.

    Args:
        files: the limit; 0 means none.
    """
    return files - min(_MOST_KEPT_BACK, files // 4)


async def accept(
    listener: trio.SocketListener,
    serve: Callable[[trio.SocketStream], Awaitable[object]],
    nursery: trio.Nursery,
    log: ThrottledLog,
) -> None:
    """Accept connections for ever, each served by a task in `nursery`; pause while the system has no room."""
    async with listener:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                log.warn(
                    "accept",
                    f"a connection cannot be accepted ({os.strerror(error.errno)}); see `ulimit -n`. Trying again "
                    f"every {_PAUSE_SECONDS} s",
                )
                await trio.sleep(_PAUSE_SECONDS)
            else:
                nursery.start_soon(serve, stream)
