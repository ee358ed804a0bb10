"""The control socket of a follower: the cluster's state, and for all else the name of who leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.control_client import call
from relay.app.follower_control import serve_follower_control
from relay.engine.cluster_office import ClusterStatus
from relay.protocol.errors import ErrorCode, RelayError

pytestmark = pytest.mark.real_time


class Office:
    """A follower's view of a cluster."""

    def __init__(self, leader: str | None) -> None:
        self.leader = leader
        self.moved: list[str] = []

    def status(self) -> ClusterStatus:
        return ClusterStatus(name="team", node="b", leader=self.leader, term=3, nodes=[])

    async def move(self, node: str) -> None:
        self.moved.append(node)


@asynccontextmanager
async def asked(office: Office, path: Path) -> AsyncIterator[Any]:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_follower_control, office, path))

        async def ask(op: str, **arguments: Any) -> Any:
            return await trio.to_thread.run_sync(call, path, op, arguments)

        try:
            yield ask
        finally:
            nursery.cancel_scope.cancel()


async def test_a_follower_tells_the_clusters_state_and_has_its_leader_moved(tmp_path: Path) -> None:
    office = Office("a")
    async with asked(office, tmp_path / "relay.db.sock") as ask:
        found = await ask("cluster.status")
        assert found == {"name": "team", "node": "b", "leader": "a", "term": 3, "nodes": []}
        await ask("cluster.move", node="c")
        assert office.moved == ["c"]
        with pytest.raises(RelayError, match=r"cluster\.move: .*`node`") as refused:
            await ask("cluster.move")
        assert refused.value.code is ErrorCode.INVALID_PAYLOAD


@pytest.mark.parametrize(
    ("leader", "told"), [("a", "a leads: run it there"), (None, "no node leads now; try again in a moment")]
)
async def test_a_follower_names_the_leader_for_everything_else(
    tmp_path: Path, leader: str | None, told: str
) -> None:
    async with asked(Office(leader), tmp_path / "relay.db.sock") as ask:
        with pytest.raises(RelayError, match=f"this node is a follower; {told}") as refused:
            await ask("user.add", user_id="bob")
        assert refused.value.code is ErrorCode.CONFLICT
