"""The watches of a running server: over its database's file, its certificate, and the system's clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import trio

from relay.engine.engine import Engine
from relay.storage.health import Health
from relay.transports.tls import NEAR_DAYS

_log: Final = logging.getLogger("relay")
_SECONDS: Final = 1.0
_DAY: Final = 86_400.0
_JUMP_SECONDS: Final = 5.0
"""A clock that is adjusted slowly, as time daemons do it, goes by less."""


async def watch_file(health: Health) -> None:
    """End the server when its database is damaged or replaced; it would ack messages that are in no file.

    Each commit looks as well; this is for a server on which nobody writes.

    Raises:
        StorageBroken: a commit or a read met damage, or the file was replaced, moved or deleted.
    """
    while True:
        if health.broken is not None:
            raise health.broken
        health.check_place()
        await trio.sleep(_SECONDS)


async def watch_certificate(engine: Engine) -> None:
    """Log once a day that the certificate that is served is about to expire, or has expired."""
    while True:
        await trio.sleep(_DAY)
        if (ends := engine.live.certificate_ends) is not None and ends - engine.now() < NEAR_DAYS * _DAY:
            _log.warning(
                "[server] tls_certificate: %s, which is served, %s on %s; renew it, then `relay reload`",
                engine.settings.server.tls_certificate,
                "expires" if ends > engine.now() else "has expired",
                datetime.fromtimestamp(ends, UTC).date(),
            )


async def watch_clock(now: Callable[[], float]) -> None:
    """Log each time that the system's clock jumps: the server goes on, and the times that it notes jump with it.

    Args:
        now: Unix seconds.
    """
    expected = now() - trio.current_time()
    while True:
        await trio.sleep(_SECONDS)
        by = now() - trio.current_time() - expected
        if abs(by) >= _JUMP_SECONDS:
            expected += by
            _log.warning(
                "the clock went %s by %.0f s: the times of messages jump, their order does not; logins and what is"
                " due at a time end and begin by the new time",
                "forward" if by > 0 else "back",
                abs(by),
            )
