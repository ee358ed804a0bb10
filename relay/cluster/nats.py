"""A cluster's stream and its bus on NATS, over one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.cluster.nats_bus import NatsBus
from relay.cluster.nats_client import Connection
from relay.cluster.nats_stream import ANSWER_SECONDS, JetStream
from relay.cluster.stream import Bus, Stream
from relay.settings.cluster import ClusterSettings


@asynccontextmanager
async def connect(
    settings: ClusterSettings, *, append_seconds: float = ANSWER_SECONDS
) -> AsyncIterator[tuple[Stream, Bus]]:
    """Give a cluster's stream and its bus, as long as this lasts.

    It begins when each server was tried. Where none answers, a line of the log says why, the stream is
    `Unreachable`, and what is sent by the bus is lost, until one does: a node starts while NATS is away.

    Args:
        append_seconds: how long NATS may take for an entry until its fate is said to be unknown, or for an answer.

    Raises:
        MissingExtra: nats-py is not installed.
    """
    connection = Connection(settings)
    async with connection.run():
        yield JetStream(connection, settings, append_seconds), NatsBus(connection, settings.name)
