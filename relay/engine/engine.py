"""The engine: the services and the plugins of one server, wired together; all of a server but its sockets.

The command line opens an engine to work on a database that no server runs on; a server opens one and
puts its transports on top. Clock and database runner are injected, so that the same engine runs in a
test's virtual time.
"""

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

from relay.engine import factories
from relay.engine.asking import Asking
from relay.engine.authentication import Authentication
from relay.engine.dispatch import Dispatcher
from relay.engine.guard import PluginFailed
from relay.engine.hooks import Hooks
from relay.engine.loader import load_plugins
from relay.engine.migrations import migrate_plugins
from relay.engine.plugin_server import PluginServer
from relay.engine.plugin_tasks import PluginTasks
from relay.engine.receipts import DeliveredReceipts
from relay.engine.recipients import RecipientHooks
from relay.engine.registry import Registry
from relay.engine.reloading import Reloader
from relay.engine.required import RequiredPlugins
from relay.engine.schedules import Schedules
from relay.engine.slash_commands import PluginSlashCommands
from relay.engine.submitter import Submitter
from relay.engine.watchdog import watching
from relay.http.paths import Claimed
from relay.services.accounts import Accounts
from relay.services.channels import ChannelManager
from relay.services.draining import Drain
from relay.services.expiry import Expiry
from relay.services.history import HistorySaver
from relay.services.leaving import Leaving
from relay.services.limits import Rates
from relay.services.purging import Purging
from relay.services.refusals import Refusals
from relay.services.registration import Registration
from relay.services.supervision import supervise
from relay.settings import Settings
from relay.storage.batching import BatchingWriter
from relay.storage.database import open_runner, read_epoch
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.log import Log

log: Final = logging.getLogger("relay")


class Engine:
    """One server's services, by name; see each class.

    The order of construction is that of the needs, with one exception: hooks hand each plugin its server, which
    knows services that call hooks. So they are given `server_of`, and call it only once all is there.

    Args:
        registry: the plugins, with their tables migrated.
        rows: the log; `position` is its end.

    Attributes:
        now: Unix seconds.
        drain: whether the server is ending.
    """

    def __init__(
        self,
        settings: Settings,
        runner: Runner,
        rows: Log,
        registry: Registry,
        now: Callable[[], float],
        *,
        epoch: str,
        position: int,
        inline: bool = False,
    ) -> None:
        self.settings = settings
        self.runner = runner
        self.registry = registry
        self.now = now
        self.epoch = epoch
        self.drain = Drain(registry.rules.shields.end_at)
        self.schedules = Schedules(registry.parts, runner, now, settings.plugins.scheduled_jobs)
        self.plugin_tasks = PluginTasks(registry.parts, self.server_of, self.schedules)
        self.required = RequiredPlugins(registry, settings.plugins.required)
        self.hooks = Hooks(registry.parts, self.server_of, self.plugin_tasks, self.required)
        most = settings.limits.message_bytes
        self.recipients = RecipientHooks(registry, self.server_of, self.required, most)
        queue, scan_seconds = self.plugin_tasks.queue, settings.attachments.scan_seconds
        self.asking = Asking(registry.parts, self.server_of, queue, self.required, scan_seconds)
        self.rates = Rates(settings.limits, trio.current_time)
        self._make_messaging(rows, position)
        self._make_accounts()
        self._make_dispatch()
        self._make_reloader(inline)

    def _make_messaging(self, rows: Log, position: int) -> None:
        """Make what stores, delivers and finds messages."""
        settings, runner, now = self.settings, self.runner, self.now
        self.batched_writes = BatchingWriter(runner)
        self.connections = factories.make_connections(settings)
        self.channels = ChannelManager(runner, now, self.asking)
        self.expiry = Expiry(runner, now)
        self.presence = factories.make_presence(
            settings, runner, self.connections, now, self.hooks.presence, self.drain
        )
        observers = [self.presence.observe, self.expiry.observe, self.hooks.observe]
        self.router = factories.make_router(
            settings, runner, rows, self.connections, now, position, observers, self.recipients
        )
        most = settings.limits.page_bytes
        self.history = HistorySaver(runner, self.channels, self.registry.counted, most, self.recipients)
        receipts = DeliveredReceipts(self.channels, self.router)
        self.offline_queue = factories.make_offline_queue(
            settings, runner, self.epoch, self.registry.priority, receipts.send, self.recipients
        )
        self.groups = factories.make_groups(settings, self.channels, self.router, rows, now, self.asking)

    def _make_accounts(self) -> None:
        """Make what knows users and what they uploaded, and ends both."""
        settings, runner, now = self.settings, self.runner, self.now
        self.refusals = Refusals(trio.current_time)
        self.accounts = Accounts(runner, self.connections, now)
        self.logins = factories.make_logins(
            settings, runner, self.accounts, self.connections, now, self.rates.wrong_passwords, self.asking
        )
        mode = settings.accounts.registration
        self.registration = Registration(runner, self.logins, now, mode=mode, asked=self.asking)
        self.authentication = Authentication(
            accounts=self.accounts,
            registration=self.registration,
            refusals=self.refusals,
            parts=self.registry.parts,
            server_of=self.server_of,
            runner=runner,
        )
        self.attachments = factories.make_attachments(settings, runner, now, self.asking)
        self.leaving = Leaving(runner, self.accounts, self.groups, self.attachments, now)
        self.purging = Purging(runner, settings.storage.purge_seconds, self.hooks.purge)

    def _make_dispatch(self) -> None:
        """Make the ways in for messages: of clients, and of plugins and the command line."""
        limits = self.settings.limits
        self.dispatcher = Dispatcher(
            registry=self.registry,
            channels=self.channels,
            rates=self.rates,
            hooks=self.hooks,
            server_of=self.server_of,
            now=self.now,
            content_characters=limits.content_characters,
            payload_bytes=limits.message_bytes,
        )
        self.submitter = Submitter(runner=self.runner, dispatcher=self.dispatcher, router=self.router)
        self.slash_commands = PluginSlashCommands(self.registry.parts, self.server_of)
        self._plugin_pace = factories.make_plugin_pace(self.settings)
        self._servers: dict[str, PluginServer] = {}

    def _make_reloader(self, inline: bool) -> None:
        """Make what changes plugins, and tell the services that keep something of them."""
        for arrange in (
            self._forget_servers,
            self.required.arrange,
            self.recipients.forget,
            self.hooks.arrange,
            self.authentication.arrange,
            self.plugin_tasks.arrange,
        ):
            self.registry.when_changed(arrange)
        self.reloader = Reloader(
            registry=self.registry,
            dispatcher=self.dispatcher,
            router=self.router,
            runner=self.runner,
            tasks=self.plugin_tasks,
            settings=self.settings,
            drain=self.drain,
            now=self.now,
            inline=inline,
        )

    def _forget_servers(self) -> None:
        """Forget the servers that code of before was given: new code gets one of its own, without its memory."""
        known = self._servers.items()
        self._servers = {name: one for name, one in known if self.registry.guard(name) is one.guard}

    def server_of(self, plugin: str) -> PluginServer:
        """Return the server as a plugin sees it, by the plugin's name.

        Raises:
            PluginFailed: the plugin was taken out a moment ago.
        """
        known = self._servers.get(plugin)
        if known is None:
            guard = self.registry.guard(plugin)
            if guard is None:
                raise PluginFailed
            known = self._servers[plugin] = PluginServer(
                guard,
                services=self,
                runner=self.runner,
                registry=self.registry,
                hooks=self.hooks,
                recipients=self.recipients,
                dispatcher=self.dispatcher,
                submitter=self.submitter,
                slash_commands=self.slash_commands,
                pace=self._plugin_pace,
                jobs=self.schedules.of(plugin),
                now=self.now,
            )
        return known

    def restartable(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the tasks whose fault costs nobody a message, by name."""
        return {
            "typing": self.router.indicators.run,
            "expiry": self.expiry.run,
            "attachments": self.attachments.run,
            "purging": self.purging.run,
            "erasures": self.leaving.run,
            "presence": self.presence.run,
            "last seen": self.presence.last_seen.run,
        }


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,
    inline: bool = False,
    paths: Claimed | None = None,
    background: bool = True,
) -> AsyncIterator[Engine]:
    """Open the database and run the services until the block ends, then save what they took.

    Args:
        now: Unix seconds.
        inline: whether database jobs run on the event loop: for virtual time.
        paths: of routes that are relay's own, which no plugin may claim.
        background: whether plugins' background tasks run.

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
        on_rollback=rows.forget,
    ) as runner:
        epoch = await runner.read(read_epoch)
        position = await runner.write(rows.position)
        registry = await _prepared_plugins(settings, paths or {}, runner, now())
        engine = Engine(settings, runner, rows, registry, now, epoch=epoch, position=position, inline=inline)
        runner.observe(engine.hooks)
        await engine.presence.recover()
        rules, seconds = registry.rules, 0 if inline else settings.plugins.blocking_seconds
        give_up = None if inline else partial(_exit_without_tasks, engine)
        with watching(rules.loop, rules.writer, seconds):
            async with _running(engine, background, give_up):
                yield engine


async def _prepared_plugins(settings: Settings, paths: Claimed, runner: Runner, now: float) -> Registry:
    """Load the plugins and bring their tables to the newest schema; one that fails at it is left out."""
    registry = load_plugins(settings, paths)
    failed = await runner.write(lambda connection: migrate_plugins(connection, registry, now))
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
        nursery.start_soon(engine.batched_writes.run)
        nursery.start_soon(engine.offline_queue.run)
        nursery.start_soon(_run_plugins, engine, background)
        for name, run in engine.restartable().items():
            nursery.start_soon(supervise, name, run)
        try:
            yield
        finally:
            if engine.runner.health.broken is None:
                await _save(engine)
            nursery.cancel_scope.cancel()
            shields.close()
            with trio.CancelScope(shield=True):
                await engine.plugin_tasks.ended.wait()
            shields.stop()


async def _save(engine: Engine) -> None:
    """Save what the services took, in a bounded time."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
        await engine.offline_queue.flush()
        await engine.presence.last_seen.flush()
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
