"""The condition of a running server: its queues, how far each lags behind, and how its plugins do."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

import msgspec
import trio

from relay.engine.engine import Engine
from relay.engine.registry import LoadedPlugin
from relay.protocol.errors import RelayError
from relay.services.diagnosis import ToldQueue
from relay.storage import sizes
from relay.storage.aggregates import percentile

_SECONDS: Final = 2.0
"""How long the devices that are away may be counted."""

_CACHED_SECONDS: Final = 30.0
_SLOW_SECONDS: Final = 1.0
_LOOKED_AT: Final = 100

State = Literal["good", "worth a look", "bad"]


class RouterCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Messages on their way into the log; `position` is its end."""

    waiting: int
    position: int
    stored: int
    refused: int
    deliveries: int


class WriterCondition(msgspec.Struct, frozen=True, kw_only=True):
    """The one writer of the database. `lag_seconds` is how long a job waits for it.

    `p50_seconds` and `p99_seconds` are of all commits of messages since the start; `last_seconds` is the longest
    of the newest hundred. `failing` says why the disk takes nothing; null while it does.
    """

    lag_seconds: float
    p50_seconds: float | None
    p99_seconds: float | None
    last_seconds: float | None
    failed: int
    failing: str | None


class DeviceCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Devices. `waiting` miss messages, of which the oldest one is after the position `waiting_from`.

    Null where counting them took too long. `slow` are connected and do not take what they are sent at once.
    """

    connected: int
    users: int
    slow: int
    away: int | None
    waiting: int | None
    waiting_from: int | None


class PluginCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin. `busy_seconds` is how long its code held the server's threads, from samples; null if unwatched."""

    name: str
    state: Literal["running", "set aside", "left out"]
    failures: int
    last_failure: str | None
    events_waiting: int
    busy_seconds: float | None
    jobs_overdue_seconds: float


class BackupCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Backups. `last_good_at` is null while there is none; `failing` says why the last one failed."""

    scheduled: bool
    running: bool
    last_good_at: float | None
    failing: str | None
    overdue_seconds: float | None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """The condition of the server, and in `remarks` what is worth a look, in plain words."""

    state: State
    remarks: list[str]
    at: float
    up_seconds: float
    router: RouterCondition
    writer: WriterCondition
    devices: DeviceCondition
    queues: list[ToldQueue]
    plugins: list[PluginCondition]
    backups: BackupCondition


class Conditions:
    """Tells the condition of one engine. What takes long is told again for half a minute."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted_at = -_CACHED_SECONDS
        self._away: tuple[int | None, int | None, int | None] = (None, None, None)
        self._lock = trio.Lock()

    async def condition(self) -> Condition:
        """Return the condition of the server at this moment."""
        engine = self._engine
        routed, tally = engine.router.statistics(), engine.tally
        router = RouterCondition(
            waiting=routed.waiting,
            position=routed.position,
            stored=routed.stored,
            refused=tally.refused,
            deliveries=tally.deliveries,
        )
        writer = await self._writer()
        queues = await engine.diagnosis.queues()
        plugins = [self._plugin(loaded) for loaded in engine.registry.loaded]
        plugins += [_left_out(one.name, one.reason) for one in engine.registry.broken]
        devices = await self._devices()
        backups = self._backups()
        state, remarks = _judged(writer, devices, queues, plugins, backups)
        return Condition(
            state=state,
            remarks=remarks,
            at=engine.now(),
            up_seconds=trio.current_time() - engine.began,
            router=router,
            writer=writer,
            devices=devices,
            queues=queues,
            plugins=plugins,
            backups=backups,
        )

    def _backups(self) -> BackupCondition:
        backups = self._engine.backups
        return BackupCondition(
            scheduled=backups.is_scheduled,
            running=backups.is_running,
            last_good_at=None if backups.last_good is None else backups.last_good.at,
            failing=backups.failing,
            overdue_seconds=backups.overdue(),
        )

    async def _writer(self) -> WriterCondition:
        engine, health = self._engine, self._engine.runner.health
        newest = [commit.seconds for commit, _ in zip(engine.tally.newest(), range(_LOOKED_AT), strict=False)]
        return WriterCondition(
            lag_seconds=await engine.readings.writer_lag() if health.reason is None else 0.0,
            p50_seconds=percentile(engine.tally.commits.buckets, 0.5),
            p99_seconds=percentile(engine.tally.commits.buckets, 0.99),
            last_seconds=max(newest, default=None),
            failed=health.failed,
            failing=health.reason,
        )

    async def _devices(self) -> DeviceCondition:
        engine = self._engine
        live = engine.connections.statistics()
        async with self._lock:
            if trio.current_time() - self._counted_at >= _CACHED_SECONDS:
                connected = {(one.user_id, one.client_id) for one in engine.connections}

                def count(connection: sqlite3.Connection) -> tuple[int, int, int | None]:
                    return sizes.waiting_devices(connection, connected)

                try:
                    self._away = await engine.runner.read(count, seconds=_SECONDS)
                except RelayError:
                    self._away = (None, None, None)
                self._counted_at = trio.current_time()
        away, waiting, lowest = self._away
        return DeviceCondition(
            connected=live.connections,
            users=live.users,
            slow=sum(1 for one in engine.connections if len(one.outbox)),
            away=away,
            waiting=waiting,
            waiting_from=lowest,
        )

    def _plugin(self, loaded: LoadedPlugin) -> PluginCondition:
        engine, name, rules = self._engine, loaded.name, self._engine.registry.rules
        watched = rules.loop.thread is not None
        busy = rules.loop.busy.get(name, 0.0) + rules.writer.busy.get(name, 0.0)
        scheduled = engine.schedules.registered(name)
        return PluginCondition(
            name=name,
            state="set aside" if loaded.guard.quarantined else "running",
            failures=loaded.guard.failures,
            last_failure=loaded.guard.reason or loaded.guard.last,
            events_waiting=engine.plugin_tasks.waiting(name),
            busy_seconds=busy if watched else None,
            jobs_overdue_seconds=engine.schedules.of(name).overdue() if scheduled else 0.0,
        )


def _left_out(name: str, reason: str) -> PluginCondition:
    return PluginCondition(
        name=name,
        state="left out",
        failures=0,
        last_failure=reason,
        events_waiting=0,
        busy_seconds=None,
        jobs_overdue_seconds=0.0,
    )


def _judged(
    writer: WriterCondition,
    devices: DeviceCondition,
    queues: list[ToldQueue],
    plugins: list[PluginCondition],
    backups: BackupCondition,
) -> tuple[State, list[str]]:
    """Return how the server does in one word, and what is worth a look."""
    if writer.failing is not None:
        return "bad", [f"the disk does not take what is written: {writer.failing}"]
    remarks = []
    if writer.lag_seconds > _SLOW_SECONDS:
        remarks.append(f"a job waits {writer.lag_seconds:.1f} s for the database's writer")
    if backups.failing is not None:
        remarks.append(f"the last backup failed: {backups.failing}")
    if backups.overdue_seconds is not None:
        remarks.append(f"there has been no good backup for {backups.overdue_seconds / 3600:.0f} hours")
    if devices.slow:
        remarks.append(f"{devices.slow} connected devices do not take what they are sent at once")
    for queue in queues:
        if queue.failing:
            text = f": {queue.text}" if queue.text else ""
            remarks.append(f"{queue.plugin}, {queue.name}: {queue.failing} fail, {queue.waiting} wait{text}")
    remarks += [
        f"the plugin {plugin.name} is {plugin.state}: {plugin.last_failure}"
        for plugin in plugins
        if plugin.state != "running"
    ]
    return ("worth a look" if remarks else "good"), remarks
