"""NATS servers for the tests of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import NatsCluster, NatsServer


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """Give a test one server, healthy."""
    server = NatsServer(tmp_path, "nats")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def nats_cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Give a test three servers that are one cluster, all of them healthy."""
    cluster = NatsCluster(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
