"""The operator's look at the cluster, and the move of its leader to another node."""

from __future__ import annotations

from relay.engine.cluster_office import ClusterStatus, move_leader, office_of
from relay.engine.engine import Engine
from relay.protocol.envelope import Name
from relay.services.audit import Actor


async def cluster_status(engine: Engine) -> ClusterStatus:
    """Return the cluster's nodes, and how far each is."""
    return office_of(engine).status()


async def cluster_move(engine: Engine, actor: Actor, node: Name) -> None:
    """Have another node lead; see `move_leader`."""
    await move_leader(engine, actor, node)
