"""The cluster by REST: its nodes, and another leader."""

from __future__ import annotations

from typing import Final

from quart import Blueprint

from relay.engine.cluster_office import ClusterStatus, move_leader, office_of
from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Body
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode

blueprint = Blueprint("cluster", __name__)

_PATH: Final = "/api/admin/cluster"


class NewLeader(Body, frozen=True):
    """The node that is to lead."""

    node: Name


@blueprint.get(_PATH)
@endpoint(answers={200: ClusterStatus}, refusals=[ErrorCode.CONFLICT], access="admin")
async def status(engine: Engine) -> ClusterStatus:
    """Answer with the cluster's nodes, and how far each is."""
    return office_of(engine).status()


@blueprint.post(f"{_PATH}/leader")
@endpoint(body=NewLeader, answers={204: None}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.CONFLICT], access="admin")
async def move(engine: Engine, caller: Caller, body: NewLeader) -> None:
    """Have another node lead. Every connection ends a moment later, and clients come back to the new leader."""
    await move_leader(engine, caller.actor, body.node)
