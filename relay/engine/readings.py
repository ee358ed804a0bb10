"""The readings of a running server: the numbers of its services at one moment, for the figures and for health."""

from __future__ import annotations

from pathlib import Path

import trio

from relay.engine.registry import Registry
from relay.services.connections import WebSocketManager
from relay.services.figures import Reading
from relay.services.router import MessageRouter
from relay.services.tally import Tally
from relay.storage.jobs import Runner
from relay.storage.sizes import file_sizes


class Readings:
    """Reads the numbers of one server.

    Args:
        path: of the database.
    """

    def __init__(
        self,
        path: Path,
        runner: Runner,
        router: MessageRouter,
        connections: WebSocketManager,
        registry: Registry,
        tally: Tally,
    ) -> None:
        self._path = path
        self._runner = runner
        self._router = router
        self._connections = connections
        self._registry = registry
        self._tally = tally

    async def reading(self) -> Reading:
        """Return all figures at this moment."""
        routed, live, tally = self._router.statistics(), self._connections.statistics(), self._tally
        sizes = await self._runner.read(lambda connection: file_sizes(connection, self._path), inline=True)
        lag = await self.writer_lag()
        return Reading(
            counted={
                "messages": routed.stored,
                "deliveries": tally.deliveries,
                "refused": tally.refused,
                "failed_commits": self._runner.health.failed,
                "plugin_failures": sum(loaded.guard.failures for loaded in self._registry.loaded),
            },
            measured={
                "connections": live.connections,
                "users_online": live.users,
                "router_waiting": routed.waiting,
                "writer_lag": lag,
                "database_bytes": sizes.database,
                "used_bytes": sizes.used,
                "wal_bytes": sizes.wal,
            },
            commits=dict(tally.commits.buckets),
        )

    async def writer_lag(self) -> float:
        """Return how long a job waits for the writer, in seconds: one that writes nothing is sent there."""
        began = trio.current_time()
        await self._runner.write(lambda _connection: None)
        return trio.current_time() - began
