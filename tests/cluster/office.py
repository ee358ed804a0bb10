"""A cluster of two nodes as the administration sees it, without the cluster."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from relay.engine.cluster_office import ClusterNode, ClusterStatus
from relay.storage.jobs import Runner


class FixedOffice:
    """The nodes `first`, which leads, and `second`; a move runs in a transaction, as a real one does.

    Attributes:
        leader: None to have nobody lead.
        moved: the nodes that were made leaders.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.leader: str | None = "first"
        self.moved: list[str] = []

    def status(self) -> ClusterStatus:
        return ClusterStatus(
            name="team",
            node="first",
            leader=self.leader,
            term=3,
            nodes=[self._node("first", "leader", 0.0), self._node("second", "follower", 0.4)],
        )

    def _node(self, name: str, role: str, silent: float) -> ClusterNode:
        return ClusterNode(
            node=name,
            role="leader" if role == "leader" else "follower",
            term=3,
            number=120,
            behind=0,
            version="1.0",
            connections=7,
            address=f"{name}.example:7700",
            silent_seconds=silent,
        )

    async def move(self, node: str, note: Callable[[sqlite3.Connection], None]) -> None:
        await self._runner.write(note)
        self.moved.append(node)
