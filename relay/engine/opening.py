"""Opening an engine: the database and the plugins are made ready, its tasks run, and at the end all is saved."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import trio

from relay.engine.engine import Engine
from relay.engine.loader import load_plugins
from relay.engine.migrations import migrate
from relay.engine.registry import Registry
from relay.engine.watchdog import watching
from relay.http.paths import Claimed
from relay.services.supervision import supervise
from relay.settings import Settings
from relay.storage.database import open_runner, read_epoch
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Replication, Runner
from relay.storage.log import Log

log: Final = logging.getLogger("relay")


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,
    inline: bool = False,
    paths: Claimed | None = None,
    background: bool = True,
    replicate: Callable[[int], Replication] | None = None,
) -> AsyncIterator[Engine]:
    """Open the database and run the services until the block ends, then save what they took.

    Args:
        now: Unix seconds.
        inline: whether database jobs run on the event loop: for virtual time.
        paths: of routes that are relay's own, which no plugin may claim.
        background: whether plugins' background tasks run.
        replicate: makes what hands each transaction on to a cluster's other nodes; see `Runner.replicate`.

    Raises:
        StorageError: the database cannot be opened, or another relay is using it.
    """
    rows = Log()
    storage = settings.storage
    async with open_runner(
        Path(storage.path),
        durability=storage.durability,
        readers=storage.readers,
        read_seconds=storage.read_seconds,
        inline=inline,
        copy_before_upgrade=storage.copy_before_upgrade,
        recorded=replicate is not None,
        on_rollback=rows.forget,
    ) as runner:
        if replicate is not None:
            runner.replicate(replicate)
        epoch = await runner.read(read_epoch)
        position = await runner.write(rows.position)
        registry = await _prepared_plugins(settings, paths or {}, runner, now())
        engine = Engine(settings, runner, rows, registry, now, epoch=epoch, position=position, inline=inline)
        runner.observe(engine.hooks)
        await engine.presence.recover()
        await engine.restrictions.recover()
        await engine.blocks.recover()
        await engine.moderators.recover()
        rules, seconds = registry.rules, 0 if inline else settings.plugins.blocking_seconds
        give_up = None if inline else partial(_exit_without_tasks, engine)
        with watching(rules.loop, rules.writer, seconds):
            async with _running(engine, background, give_up):
                yield engine


async def _prepared_plugins(settings: Settings, paths: Claimed, runner: Runner, now: float) -> Registry:
    """Load the plugins and bring their tables to the newest schema; one that fails at it is left out."""
    registry = load_plugins(settings, paths)
    failed = await migrate(runner, registry, now)
    for name, reason in failed.items():
        registry.leave_out(name, reason)
        log.error("%s", registry.broken[-1])
    return registry


@asynccontextmanager
async def _running(
    engine: Engine, background: bool, give_up: Callable[[], Awaitable[None]] | None
) -> AsyncIterator[None]:
    """Run an engine's tasks until the block ends; then save, and end the plugins' tasks last."""
    shields = engine.registry.rules.shields
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shields.run, give_up)
        nursery.start_soon(engine.router.run)
        nursery.start_soon(engine.connections.run)
        nursery.start_soon(engine.batched_writes.run)
        nursery.start_soon(engine.offline_queue.run)
        nursery.start_soon(_run_plugins, engine, background)
        if background and engine.settings.metrics.history:
            nursery.start_soon(supervise, "figures", engine.figures.run)
        if background:
            engine.backups.open()
            nursery.start_soon(supervise, "backups", engine.backups.run)
        for name, run in engine.restartable().items():
            nursery.start_soon(supervise, name, run)
        try:
            yield
        finally:
            try:
                if engine.runner.health.broken is None:
                    await _save(engine)
            finally:
                nursery.cancel_scope.cancel()
                shields.close()
                with trio.CancelScope(shield=True):
                    await engine.plugin_tasks.ended.wait()
                shields.stop()  # nothing else ends its task, so it must be reached where saving fails


async def _save(engine: Engine) -> None:
    """Save what the services took, in a bounded time."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
        await engine.offline_queue.flush()
        await engine.presence.last_seen.flush()
        await engine.accounts.save_uses()
        await engine.router.wait_idle()
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 3), suppress(StorageFailed):
        await engine.purging.finish()  # what is not done in time is done after the next start


async def _run_plugins(engine: Engine, background: bool) -> None:
    """Run the plugins' own tasks; code that they shield may go on until the server must have ended."""
    with engine.registry.rules.shields.until_the_end():
        await engine.plugin_tasks.run(background=background)


async def _exit_without_tasks(engine: Engine) -> None:
    """End the process though a plugin's task takes no cancellation, once all is saved."""
    names = ", ".join(engine.plugin_tasks.still_running())
    log.error("the server ends without these plugins' tasks, which take no cancellation: %s", names or "unknown")
    with trio.CancelScope(shield=True):
        await engine.runner.aclose()
    logging.shutdown()
    os._exit(0)
