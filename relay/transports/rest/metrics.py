"""`GET /metrics`: the server's figures in the text format of Prometheus."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from quart import Blueprint, Response, request

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.views import authenticate
from relay.protocol.errors import ErrorCode
from relay.services.permissions import METRICS, require_scope
from relay.transports.rest.access import caller_address, forwarded_for

blueprint = Blueprint("metrics", __name__)
_LOOPBACK = ("127.0.0.1", "::1")


@blueprint.get("/metrics")
@endpoint(
    query=None,
    answers={200: str},
    answer_types=["text/plain"],
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.OVERLOADED],
    access="either",
)
async def metrics(engine: Engine) -> Response:
    """Return the figures: to this machine, to admins, and to tokens with the scope `metrics`."""
    # A proxy on this machine forwards anybody's requests, and so does a browser here after DNS rebinding.
    is_local = caller_address() in _LOOPBACK and not forwarded_for()
    if not is_local or not is_localhost_or_address(request.headers.get("Host")):
        require_scope((await authenticate()).identity, METRICS)
    registry = CollectorRegistry()
    registry.register(_Figures(engine))
    text = prometheus_client.generate_latest(registry)
    return Response(text, content_type=prometheus_client.CONTENT_TYPE_LATEST)


def is_localhost_or_address(host: str | None) -> bool:
    """Tell whether a Host header is localhost or an address: DNS rebinding cannot make those lead here."""
    name = (host or "localhost").lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Figures(Collector):
    """The figures of one engine, read at each request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield each figure."""
        engine = self._engine
        live, routed = engine.connections.statistics(), engine.router.statistics()
        yield GaugeMetricFamily("relay_connections", "Connected devices.", live.connections)
        yield GaugeMetricFamily("relay_users_online", "Users with a connected device.", live.users)
        yield GaugeMetricFamily("relay_router_waiting", "Messages that wait for the disk.", routed.waiting)
        yield GaugeMetricFamily("relay_log_position", "The newest message_id.", routed.position)
        yield CounterMetricFamily("relay_messages_stored", "Messages stored since the start.", routed.stored)
        yield CounterMetricFamily("relay_commits", "The router's commits since the start.", routed.batches)
        health = engine.runner.health
        yield CounterMetricFamily(
            "relay_commits_failed", "Transactions that the disk did not take, of any part.", health.failed
        )
        yield GaugeMetricFamily(
            "relay_storage_failing", "1 while the disk takes no commits.", int(health.reason is not None)
        )
        failures = CounterMetricFamily(
            "relay_plugin_failures", "Failures of a plugin since the start.", labels=["plugin"]
        )
        aside = GaugeMetricFamily("relay_plugin_aside", "1 for a plugin that is set aside.", labels=["plugin"])
        counted = CounterMetricFamily(
            "relay_plugin_counted", "What a plugin counts since the start.", labels=["plugin", "what", "kind"]
        )
        overdue = GaugeMetricFamily(
            "relay_plugin_jobs_overdue_seconds", "How long a plugin's next job has been due.", labels=["plugin"]
        )
        for loaded in engine.registry.loaded:
            if engine.schedules.registered(loaded.name):
                overdue.add_metric([loaded.name], engine.schedules.of(loaded.name).overdue())
            failures.add_metric([loaded.name], loaded.guard.failures)
            aside.add_metric([loaded.name], int(loaded.guard.quarantined))
            for (what, kind), times in sorted(engine.server_of(loaded.name).counts.items()):
                counted.add_metric([loaded.name, what, kind], times)
        yield counted
        yield overdue
        yield failures
        yield aside
        yield from _required(engine)
        yield GaugeMetricFamily("relay_plugins_left_out", "Plugins left out.", len(engine.registry.broken))


def _required(engine: Engine) -> Iterator[Metric]:
    """Yield the figures of required plugins, whose lack refuses messages."""
    lacking = GaugeMetricFamily(
        "relay_required_plugin_lacking", "1 for a required plugin that does not work.", labels=["plugin"]
    )
    refused = CounterMetricFamily(
        "relay_required_refusals", "Messages refused for want of a required plugin.", labels=["plugin"]
    )
    missed = engine.required.lacking()
    for name in engine.required.names():
        lacking.add_metric([name], int(name in missed))
        refused.add_metric([name], engine.required.refused[name])
    yield lacking
    yield refused
