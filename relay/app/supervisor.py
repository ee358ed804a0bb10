"""The supervisor that started the server: told how the server does, in the protocol of systemd's `sd_notify`.

One datagram to the unix socket that `NOTIFY_SOCKET` names, for each change; without that variable nothing is sent.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

import trio

from relay.protocol.errors import said

_log: Final = logging.getLogger("relay")


class Supervisor:
    """Tells a supervisor what becomes of the server.

    Args:
        environ: the variables of the process: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte by which Linux begins names that are in no folder.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._watchdog_seconds = _watchdog_seconds(environ) if name else 0.0

    def ready(self) -> None:
        """Tell that the server takes connections."""
        self._tell("READY=1")

    def reloading(self, began: bool) -> None:
        """Tell that a reload began, or is over."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}" if began else "READY=1")

    def stopping(self) -> None:
        """Tell that the server ends."""
        self._tell("STOPPING=1")

    async def keep_watchdog(self) -> None:
        """Tell twice in each interval that the event loop goes round; return if the supervisor asks for none."""
        while self._watchdog_seconds:
            self._tell("WATCHDOG=1")
            await trio.sleep(self._watchdog_seconds / 2)

    def _tell(self, text: str) -> None:
        """Send one datagram; a supervisor that does not take it harms nobody but itself."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("NOTIFY_SOCKET cannot be told %r: %s", text, error.strerror or said(error))


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Return the interval in which the supervisor wants to hear of this process; 0 where it asks for none."""
    interval, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not interval.isdecimal() or (process and process != str(os.getpid())):
        return 0.0
    return int(interval) / 1_000_000
