"""The idle WebSocket of `relay doctor`: it is sent what any idle connection is, and shows a proxy's patience."""

from __future__ import annotations

from typing import Final

import trio

from relay.protocol.envelope import encode_event
from relay.protocol.events import Heartbeat
from relay.protocol.framing import text_frame
from relay.services.probes import PROBE_SECONDS
from relay.transports.head import Head, switching_protocols
from relay.transports.peer import PeerStream

_MARK: Final = "probe="
_READ_BYTES: Final = 4096


def probe_of(head: Head) -> str | None:
    """Return the id of a probe that an upgrade names in its query; None where it names none."""
    query = head.target.partition("?")[2]
    return query[len(_MARK) :] if query.startswith(_MARK) else None


async def serve_probe(peer: PeerStream, head: Head, interval: float) -> None:
    """Answer an upgrade, and send a heartbeat at each interval until the client says or sends anything.

    Args:
        interval: seconds, as `[heartbeat] interval_seconds` has them for every connection.
    """
    beat = text_frame(encode_event("connection_event", Heartbeat(cursor=0)))
    await peer.send_all(switching_protocols(head))
    with trio.move_on_after(PROBE_SECONDS):
        while True:
            with trio.move_on_after(interval):
                await peer.receive_some(_READ_BYTES)
                return
            await peer.send_all(beat)
