"""A follower's way to the leader: a link, made anew as often as it breaks or another node leads."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from relay.cluster.beats import Beat, Heard
from relay.cluster.door import PassesOn
from relay.cluster.faults import ungrouped
from relay.cluster.forwarding import Forwarder
from relay.cluster.port import NodeRefused, Purpose, connect
from relay.protocol.errors import said

_log: Final = logging.getLogger("relay.cluster")

_PAUSE_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 5.0


async def keep_link(
    node: str,
    heard: Heard,
    silence: float,
    tls: ssl.SSLContext | None,
    take: Callable[[PassesOn | None], object],
) -> None:
    """Keep a link to whoever leads, for ever.

    Args:
        node: this node's name.
        silence: seconds without a byte of the leader's after which it is taken for dead.
        take: called with each new way to the leader, and with None when there is none any more.
    """
    pause, told = _PAUSE_SECONDS, ""
    while True:
        beat = heard.leader
        if beat is None or beat.node == node or not beat.key:
            await heard.another()
            continue
        try:
            async with _while_it_leads(beat, heard):
                # A leader that is stopped takes the connection, and says nothing.
                stream = await connect(beat.address, beat.term, beat.key, Purpose.LINK, node, tls=tls)
                pause, told = _PAUSE_SECONDS, ""
                await _pass_on(Forwarder(stream, silence), beat, take)
        except (NodeRefused, OSError, ValueError) as error:
            if (why := f"{beat.node} at {beat.address}: {said(error)}") != told:
                _log.warning("no link to the leader %s; this node goes on trying", why)
                told = why
            with trio.move_on_after(pause):
                await heard.another()
            pause = min(pause * 2, _LONGEST_SECONDS)


@asynccontextmanager
async def _while_it_leads(beat: Beat, heard: Heard) -> AsyncIterator[None]:
    """Leave the block as soon as another node is heard to lead."""
    with ungrouped():
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while (leader := heard.leader) is None or (leader.node, leader.key) == (beat.node, beat.key):
                    await heard.another()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            yield
            nursery.cancel_scope.cancel()


async def _pass_on(forwarder: Forwarder, beat: Beat, take: Callable[[PassesOn | None], object]) -> None:
    """Use a link until it is over."""
    _log.info("linked to the leader %s at %s", beat.node, beat.address)
    take(forwarder)
    try:
        why = await forwarder.run()
        _log.warning("the link to the leader %s is over: %s", beat.node, why)
    finally:
        take(None)
