"""The first copy of the database, fetched by hand: the node is not served yet, and hears on the bus who leads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from relay.cluster.beats import Beat, Heard
from relay.cluster.faults import ungrouped
from relay.cluster.fetching import copy_from
from relay.cluster.nats import connect
from relay.cluster.port import NodeRefused
from relay.cluster.ports import node_contexts
from relay.cluster.stream import Bus
from relay.protocol.errors import said
from relay.settings.cluster import ClusterSettings
from relay.storage.changesets import check_supported
from relay.storage.cluster import Position
from relay.storage.copying import Progress
from relay.storage.errors import BackupFailed

_LEASES: Final = 3
_LEAST_SECONDS: Final = 10.0
"""How long a leader is listened for at least."""


async def take_first_copy(settings: ClusterSettings, path: Path, progress: Progress) -> Position:
    """Fetch a copy of the cluster's database from whoever leads, and put it in place; return what is in it.

    Raises:
        BackupFailed: nobody leads, or no copy came; what was there before is as it was.
        StorageError: another relay uses the database, or this Python's SQLite has no session extension.
        MissingExtra: nats-py is not installed.
        TlsProblem: a certificate or its key cannot be used.
    """
    check_supported()
    tls = node_contexts(settings)[1]
    with ungrouped():
        async with connect(settings) as (_, bus):
            beat = await _hear_leader(settings, bus)
    try:
        return await copy_from(beat, settings.node, path, settings.name, progress, tls)
    except (NodeRefused, OSError, ValueError) as error:
        raise BackupFailed(f"no copy from {beat.node} at {beat.address}: {said(error)}") from error


async def _hear_leader(settings: ClusterSettings, bus: Bus) -> Beat:
    """Return a beat of the leader.

    Raises:
        BackupFailed: none was heard, or it has this node's name.
    """
    heard = Heard(settings.node, bus, settings.lease_seconds)
    seconds = max(_LEASES * settings.lease_seconds, _LEAST_SECONDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heard.run)
        with trio.move_on_after(seconds):
            while heard.leader is None:
                await heard.another()
        nursery.cancel_scope.cancel()
    if (beat := heard.leader) is None:
        raise BackupFailed(
            f"no leader of the cluster {settings.name} was heard for {seconds:g} s: is its first node served, and"
            f" is NATS at {', '.join(settings.servers)}?"
        )
    if beat.node == settings.node:
        raise BackupFailed(
            f"the node that leads is called {beat.node} as well; [cluster] node gives each its own name"
        )
    return beat
