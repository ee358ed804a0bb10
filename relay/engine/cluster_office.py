"""The cluster in the administration: its nodes and how far each is, and the move of the lead to another one.

A server that is in no cluster has no such office, and says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog

NO_CLUSTER: Final = "this server is in no cluster; [cluster] in relay.toml makes it a node of one"


class ClusterNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `number` is the newest record of the cluster's that its database has, `behind` how many it lacks.

    `silent_seconds` is how long nothing was heard of it, and 0 for the node that is asked.
    """

    node: str
    role: Literal["leader", "follower"]
    term: int
    number: int
    behind: int
    version: str
    connections: int
    address: str
    silent_seconds: float


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as one `node` sees it. `leader` is null while nobody leads; each leader begins a new `term`."""

    name: str
    node: str
    leader: str | None
    term: int
    nodes: list[ClusterNode]


class ClusterOffice(Protocol):
    """The cluster, as seen by the leader's administration."""

    def status(self) -> ClusterStatus:
        """Return the nodes, and how far each is."""

    async def move(self, node: str, note: Callable[[sqlite3.Connection], None]) -> None:
        """Have another node lead.

        Args:
            note: called in the last transaction of this node's term.

        Raises:
            RelayError: it cannot, at the moment.
        """


class Clustered(Protocol):
    """The services that this stands on: an engine has them all."""

    audit: AuditLog
    cluster: ClusterOffice | None


def office_of(engine: Clustered) -> ClusterOffice:
    """Return the office of an engine's cluster.

    Raises:
        RelayError: `conflict` where there is none.
    """
    if engine.cluster is None:
        raise RelayError(ErrorCode.CONFLICT, NO_CLUSTER, details={"reason": "no_cluster"})
    return engine.cluster


async def move_leader(engine: Clustered, actor: Actor, node: str) -> None:
    """Have another node lead, for somebody, with an entry in the audit log; nothing happens if it leads already.

    Raises:
        RelayError: `not_found` for a node that was not heard of, `conflict` if it cannot lead, or in no cluster.
    """
    office = office_of(engine)
    status = office.status()
    if node not in {one.node for one in status.nodes}:
        known = ", ".join(sorted(one.node for one in status.nodes))
        raise RelayError(
            ErrorCode.NOT_FOUND,
            f"the cluster {status.name} has no node {node!r} that was heard of lately; it has {known}",
        )
    if node == status.leader:
        return
    about, details = About("node", node), {"before": status.leader}

    def note(connection: sqlite3.Connection) -> None:
        engine.audit.write(connection, actor, Act.LEADER_MOVED, about, details)

    await office.move(node, note)
