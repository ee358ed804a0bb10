"""The cluster by REST: its nodes, and another leader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.office import FixedOffice
from tests.transports.rest.world import World, open_world

PATH = "/api/admin/cluster"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[World]:
    """A server with the admin amy."""
    async with open_world(tmp_path, "alice") as world:
        await world.add("amy", admin=True)
        yield world


def clustered(world: World) -> FixedOffice:
    office = FixedOffice(world.engine.runner)
    world.engine.cluster = office
    return office


async def test_the_nodes_of_the_cluster(server: World) -> None:
    clustered(server)
    found = (await server.get("amy", PATH)).ok()
    assert found["leader"] == "first"
    assert [one["node"] for one in found["nodes"]] == ["first", "second"]


async def test_another_node_is_made_the_leader(server: World) -> None:
    office = clustered(server)
    for node in ("second", "first"):
        assert (await server.post("amy", f"{PATH}/leader", {"node": node})).status == 204
    assert office.moved == ["second"]  # the first leads already
    refused = (await server.post("amy", f"{PATH}/leader", {"node": "third"})).refused(404, "not_found")
    assert (
        "the cluster team has no node 'third' that was heard of lately; it has first, second" in refused["detail"]
    )


async def test_a_server_that_is_in_no_cluster_says_so(server: World) -> None:
    refused = (await server.get("amy", PATH)).refused(409, "conflict")
    assert refused["details"] == {"reason": "no_cluster"}
    (await server.post("amy", f"{PATH}/leader", {"node": "second"})).refused(409, "conflict")
