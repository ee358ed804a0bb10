"""`GET /metrics`: the server's figures in the text format of Prometheus."""

from __future__ import annotations

import ipaddress
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import prometheus_client
import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from quart import Blueprint, Response, request

from relay import __version__
from relay.engine.engine import Engine
from relay.engine.registry import LoadedPlugin
from relay.http.endpoint import endpoint
from relay.http.views import authenticate
from relay.protocol.errors import CloseCode, ErrorCode
from relay.services.diagnosis import ToldQueue
from relay.services.permissions import METRICS, require_scope
from relay.services.tally import Durations, Request, Start, Way
from relay.storage.aggregates import upper_end
from relay.storage.errors import StorageError
from relay.storage.sizes import FileSizes, file_sizes
from relay.transports.rest.access import caller_address, forwarded_for
from relay.transports.rest.cluster_metrics import cluster_metrics

blueprint = Blueprint("metrics", __name__)
_LOOPBACK = ("127.0.0.1", "::1")
_LOOK_SECONDS: Final = 1.0
"""How long is waited for what must be asked for: a scrape is to answer when the database does not."""

_EDGES: Final = range(24, 88, 4)
"""The buckets that are told apart, from 0.6 ms to 21 s, each twice as long as the one before."""

_FEW_EDGES: Final = _EDGES[::2]
"""The same for what has a histogram for each route."""


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
    looked = await _look(engine)
    registry = CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    registry.register(_Figures(engine, looked))
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


class _Looked(NamedTuple):
    """The answers that are waited for before a scrape is answered.

    Attributes:
        lag: how long a job waited for the writer, in seconds; None where it was not begun in time.
        sizes: of the database; None where it cannot be read.
        queues: what waits in plugins; None where they did not say in time.
        disk: free bytes and all bytes of the database's disk; None where nobody knows.
    """

    lag: float | None
    sizes: FileSizes | None
    queues: list[ToldQueue] | None
    disk: tuple[int, int] | None


async def _look(engine: Engine) -> _Looked:
    path = Path(engine.settings.storage.path)
    lag: float | None = None
    sizes: FileSizes | None = None
    queues: list[ToldQueue] | None = None
    disk: tuple[int, int] | None = None
    with suppress(StorageError), trio.move_on_after(_LOOK_SECONDS):
        lag = await engine.readings.writer_lag()
    with suppress(StorageError, sqlite3.Error):
        sizes = await engine.runner.read(lambda connection: file_sizes(connection, path), inline=True)
    with suppress(StorageError, sqlite3.Error), trio.move_on_after(_LOOK_SECONDS):
        queues = await engine.diagnosis.queues()
    with suppress(OSError):
        found = os.statvfs(path.parent)
        disk = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return _Looked(lag, sizes, queues, disk)


def _certificate(engine: Engine) -> Iterator[Metric]:
    """Yield when the certificate expires; no value where none is served."""
    expires = GaugeMetricFamily(
        "relay_tls_certificate_expires_timestamp_seconds",
        "When the certificate that is served expires, in Unix seconds.",
    )
    if (ends := engine.live.certificate_ends) is not None:
        expires.add_metric([], ends)
    yield expires


class _Figures(Collector):
    """The figures of one engine, read at each request."""

    def __init__(self, engine: Engine, looked: _Looked) -> None:
        self._engine = engine
        self._looked = looked

    def collect(self) -> Iterator[Metric]:
        """Yield each figure."""
        yield _build_info()
        yield from self._connections()
        yield from self._messages()
        yield from self._storage()
        yield from self._requests()
        yield from self._mails()
        yield from self._plugins()
        yield from _backups(self._engine)
        yield from _required(self._engine)
        yield from _certificate(self._engine)
        yield from cluster_metrics(self._engine.cluster)

    def _connections(self) -> Iterator[Metric]:
        engine, tally = self._engine, self._engine.tally
        live = engine.connections.statistics()
        slow = sum(1 for one in engine.connections if len(one.outbox))
        yield GaugeMetricFamily("relay_connections", "Connected devices.", live.connections)
        yield GaugeMetricFamily("relay_users_online", "Users with a connected device.", live.users)
        yield GaugeMetricFamily(
            "relay_connections_slow", "Connected devices that do not take what they are sent at once.", slow
        )
        starts = CounterMetricFamily(
            "relay_connections_started",
            "Connections that began, by what became of their position.",
            labels=["start"],
        )
        for start in get_args(Start):
            starts.add_metric([start], tally.starts[start])
        yield starts
        closes = Counter({("server", str(int(code))): 0 for code in CloseCode})
        closes.update(tally.closes)
        yield _counts(
            "relay_connections_closed",
            "Connections that ended, by who ended them and the code.",
            ("by", "code"),
            closes,
        )
        yield _histogram("relay_loop_lag_seconds", "How late the event loop was with what was due.", tally.lags)

    def _messages(self) -> Iterator[Metric]:
        tally, routed = self._engine.tally, self._engine.router.statistics()
        yield GaugeMetricFamily("relay_router_waiting", "Messages that wait for the disk.", routed.waiting)
        yield GaugeMetricFamily("relay_log_position", "The newest message_id.", routed.position)
        yield CounterMetricFamily("relay_messages_stored", "Messages stored since the start.", routed.stored)
        yield CounterMetricFamily(
            "relay_deliveries", "Messages sent to connected devices, one for each device.", tally.deliveries
        )
        ways: tuple[Way, ...] = get_args(Way)
        errors = Counter({(way, code): 0 for way in ways for code in ErrorCode})
        errors.update(tally.errors)
        yield _counts("relay_errors", "Errors that were answered, by way and code.", ("way", "code"), errors)

    def _storage(self) -> Iterator[Metric]:
        engine, looked, health = self._engine, self._looked, self._engine.runner.health
        batches = engine.router.statistics().batches
        yield CounterMetricFamily("relay_commits", "The router's commits since the start.", batches)
        yield CounterMetricFamily(
            "relay_commits_failed", "Transactions that the disk did not take, of any part.", health.failed
        )
        yield GaugeMetricFamily(
            "relay_storage_failing", "1 while the disk takes no commits.", int(health.reason is not None)
        )
        about = "How long the router's commits took, the wait for the writer included."
        yield _histogram("relay_commit_duration_seconds", about, engine.tally.commits)
        if looked.lag is not None:
            yield GaugeMetricFamily("relay_writer_lag_seconds", "How long a job waits for the writer.", looked.lag)
        if looked.sizes is not None:
            sizes = looked.sizes
            yield GaugeMetricFamily("relay_database_bytes", "Size of the database file.", sizes.database)
            yield GaugeMetricFamily("relay_database_free_bytes", "Free pages in the database file.", sizes.free)
            yield GaugeMetricFamily("relay_wal_bytes", "Size of the write-ahead log.", sizes.wal)
        if looked.disk is not None:
            free, whole = looked.disk
            yield GaugeMetricFamily("relay_disk_free_bytes", "Free bytes of the database's disk.", free)
            yield GaugeMetricFamily("relay_disk_bytes", "Size of the database's disk.", whole)

    def _requests(self) -> Iterator[Metric]:
        engine = self._engine
        answers = CounterMetricFamily(
            "relay_http_requests", "Requests that were answered, by the class of their status.", labels=["status"]
        )
        for digit in range(1, 6):
            answers.add_metric([f"{digit}xx"], engine.tally.answers[digit])
        yield answers
        yield _durations(engine.tally.requests)
        refusals = engine.refusals
        yield CounterMetricFamily(
            "relay_logins_refused", "Logins, registrations and changes of passwords refused.", refusals.logins
        )
        yield CounterMetricFamily("relay_tokens_refused", "Tokens that were refused.", refusals.tokens)

    def _mails(self) -> Iterator[Metric]:
        mailer = self._engine.mailer
        yield CounterMetricFamily("relay_mails_sent", "Mails that were taken, since the start.", mailer.sent)
        yield CounterMetricFamily("relay_mails_refused", "Attempts to send a mail that failed.", mailer.refused)
        yield CounterMetricFamily("relay_mails_given_up", "Mails that nobody took in time.", mailer.failed)
        yield GaugeMetricFamily("relay_mails_waiting", "Mails that wait to be sent.", mailer.waiting)

    def _plugins(self) -> Iterator[Metric]:
        engine = self._engine
        for name, about, family_type, values in _PLUGIN_FIGURES:
            family = family_type(f"relay_plugin_{name}", about, labels=["plugin"])
            for loaded in engine.registry.loaded:
                value = values(engine, loaded)
                if value is not None:
                    family.add_metric([loaded.name], value)
            yield family
        counted = CounterMetricFamily(
            "relay_plugin_counted", "What a plugin counts since the start.", labels=["plugin", "what", "kind"]
        )
        busy = CounterMetricFamily(
            "relay_plugin_busy_seconds",
            "How long a plugin's code held a thread, from samples.",
            labels=["plugin", "thread"],
        )
        rules = engine.registry.rules
        for loaded in engine.registry.loaded:
            for (what, kind), times in sorted(engine.server_of(loaded.name).counts.items()):
                counted.add_metric([loaded.name, what, kind], times)
            for thread, watch in (("loop", rules.loop), ("writer", rules.writer)):
                busy.add_metric([loaded.name, thread], watch.busy.get(loaded.name, 0.0))
        yield counted
        yield busy
        yield from self._queues()
        yield GaugeMetricFamily("relay_plugins_left_out", "Plugins left out.", len(engine.registry.broken))

    def _queues(self) -> Iterator[Metric]:
        """Yield the queues of plugins, those of one plugin together: it may have one for each receiver."""
        if self._looked.queues is None:
            return
        waiting = GaugeMetricFamily(
            "relay_plugin_queue_waiting", "What waits in a plugin's queues.", labels=["plugin"]
        )
        failing = GaugeMetricFamily(
            "relay_plugin_queue_failing", "Receivers of a plugin's queues that fail.", labels=["plugin"]
        )
        oldest = GaugeMetricFamily(
            "relay_plugin_queue_oldest_seconds",
            "How long the oldest in a plugin's queues waits.",
            labels=["plugin"],
        )
        by_plugin: dict[str, list[ToldQueue]] = {}
        for queue in self._looked.queues:
            by_plugin.setdefault(queue.plugin, []).append(queue)
        now = self._engine.now()
        for plugin, queues in by_plugin.items():
            waiting.add_metric([plugin], sum(queue.waiting for queue in queues))
            failing.add_metric([plugin], sum(queue.failing for queue in queues))
            since = min((queue.oldest_at for queue in queues if queue.oldest_at is not None), default=now)
            oldest.add_metric([plugin], max(0.0, now - since))
        yield from (waiting, failing, oldest)


def _overdue(engine: Engine, loaded: LoadedPlugin) -> float | None:
    return engine.schedules.of(loaded.name).overdue() if engine.schedules.registered(loaded.name) else None


_PLUGIN_FIGURES: Final = (
    ("jobs_overdue_seconds", "How long a plugin's next job has been due.", GaugeMetricFamily, _overdue),
    (
        "failures",
        "Failures of a plugin since the start.",
        CounterMetricFamily,
        lambda _engine, loaded: loaded.guard.failures,
    ),
    (
        "aside",
        "1 for a plugin that is set aside.",
        GaugeMetricFamily,
        lambda _engine, loaded: int(loaded.guard.quarantined),
    ),
    (
        "events_waiting",
        "Events that wait for a plugin's hooks.",
        GaugeMetricFamily,
        lambda engine, loaded: engine.plugin_tasks.waiting(loaded.name),
    ),
)


def _build_info() -> Metric:
    labels = {"version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    family = GaugeMetricFamily("relay_build_info", "1, with what is running in its labels.", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _counts(name: str, about: str, labels: tuple[str, str], counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(name: str, about: str, durations: Durations) -> Metric:
    family = HistogramMetricFamily(name, about)
    family.add_metric([], _ends(durations, _EDGES), durations.seconds)
    return family


def _durations(requests: Mapping[Request, Durations]) -> Metric:
    """Return how long requests took, by route."""
    family = HistogramMetricFamily(
        "relay_http_request_duration_seconds",
        "How long answers took, by method, route and the class of their status.",
        labels=["method", "route", "status"],
    )
    for kind, durations in sorted(requests.items()):
        labels = [kind.method, kind.route, f"{kind.status}xx"]
        family.add_metric(labels, _ends(durations, _FEW_EDGES), durations.seconds)
    return family


def _ends(durations: Durations, edges: range) -> list[tuple[str, float]]:
    """Return the buckets of a histogram: their ends, and how many took no longer."""
    found = sorted(durations.buckets.items())
    ends = [(f"{upper_end(edge):g}", float(sum(count for one, count in found if one <= edge))) for edge in edges]
    return [*ends, ("+Inf", float(sum(count for _, count in found)))]


def _backups(engine: Engine) -> Iterator[Metric]:
    """Yield the figures of backups: a time of 0 means that there is none."""
    backups, good = engine.backups, engine.backups.last_good
    at, size, seconds = (0.0, 0, 0.0) if good is None else (good.at, good.bytes or 0, good.seconds)
    yield GaugeMetricFamily("relay_backup_last_good_timestamp_seconds", "When the newest good backup began.", at)
    yield GaugeMetricFamily("relay_backup_last_good_bytes", "The size of the newest good backup.", size)
    yield GaugeMetricFamily("relay_backup_last_good_duration_seconds", "How long it took.", seconds)
    yield GaugeMetricFamily(
        "relay_backup_failing", "1 if the last backup failed.", int(backups.failing is not None)
    )
    about = "How long there has been no good backup, where that is too long."
    yield GaugeMetricFamily("relay_backup_overdue_seconds", about, backups.overdue() or 0.0)
    yield CounterMetricFamily("relay_backups_failed", "Backups that failed since the start.", backups.failed)


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
