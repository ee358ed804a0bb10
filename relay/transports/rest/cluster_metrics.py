"""The figures of a cluster in `/metrics`, as its leader sees the nodes; no values on a server that is in none."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from relay.engine.cluster_office import ClusterOffice


def cluster_metrics(office: ClusterOffice | None) -> Iterator[Metric]:
    """Yield the term, and of each node that was heard lately how far it is."""
    term = GaugeMetricFamily("relay_cluster_term", "The term in which this node leads.")
    leads = GaugeMetricFamily("relay_cluster_leader", "1 for the node that leads.", labels=["node"])
    behind = GaugeMetricFamily("relay_cluster_behind", "Records that a node lacks.", labels=["node"])
    clients = GaugeMetricFamily("relay_cluster_connections", "Connections at a node.", labels=["node"])
    silent = GaugeMetricFamily(
        "relay_cluster_silent_seconds", "How long nothing was heard of a node.", labels=["node"]
    )
    if office is not None:
        status = office.status()
        term.add_metric([], status.term)
        for one in status.nodes:
            for family, value in (
                (leads, int(one.role == "leader")),
                (behind, one.behind),
                (clients, one.connections),
                (silent, one.silent_seconds),
            ):
                family.add_metric([one.node], value)
    yield from (term, leads, behind, clients, silent)
