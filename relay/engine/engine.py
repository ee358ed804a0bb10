"""The services and the plugins, wired together: everything of a server that is not a socket.

The command line opens an engine to work on a database that no server runs on; the server opens one and
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

import msgspec
import trio

from relay.engine.assembling import load_plugins
from relay.engine.dispatch import Dispatcher
from relay.engine.plugin_server import PluginServer
from relay.engine.schema import migrate_plugins
from relay.engine.unshielding import GRACE_SECONDS
from relay.engine.watchdog import watching
from relay.http.paths import Claimed
from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.services.accounts import Accounts
from relay.services.attachments import Attachments
from relay.services.channels import ChannelManager
from relay.services.connections import WebSocketManager
from relay.services.expiry import Expiry
from relay.services.groups import Groups
from relay.services.history import HistorySaver
from relay.services.leaving import Leaving
from relay.services.limits import Rates, TokenBuckets
from relay.services.offline_queue import Delivered, OfflineQueue
from relay.services.presence import PresenceService
from relay.services.purging import Purging
from relay.services.refusals import Refusals
from relay.services.router import MessageRouter, Submission
from relay.services.supervision import supervise
from relay.settings import Settings
from relay.storage.batching import BatchingWriter
from relay.storage.conversations import ChannelRow
from relay.storage.database import open_runner, read_epoch
from relay.storage.errors import StorageFailed
from relay.storage.history import other_party
from relay.storage.jobs import Runner
from relay.storage.log import Entry, Log

log: Final = logging.getLogger("relay")


class Engine:
    """One server's services, by name; see each class.

    Attributes:
        now: Unix seconds.
        restartable: tasks whose fault costs nobody a message, by name.
        draining: True once the server takes nothing new.
        ends_at: when the drain is over, on trio's clock; 0 before there is one.
    """

    def __init__(
        self,
        settings: Settings,
        runner: Runner,
        rows: Log,
        facts: tuple[str, int],
        now: Callable[[], float],
        paths: Claimed | None = None,
    ) -> None:
        limits = settings.limits
        self.settings = settings
        self.runner = runner
        self.batched_writes = BatchingWriter(runner)
        self.log = rows
        self.now = now
        self.epoch, position = facts
        self.draining = False
        self.ends_at = 0.0
        self.registry = load_plugins(settings, paths or {})
        self._servers: dict[str, PluginServer] = {}
        self._plugin_pace = TokenBuckets(
            settings.plugins.messages_per_second,
            10 * settings.plugins.messages_per_second,
            "messages of this plugin",
            trio.current_time,
        )
        self.hooks = self.registry.hooks(self.server_of)
        self.connections = WebSocketManager(limits.connections_per_user, limits.connections)
        self.channels = ChannelManager(runner, now)
        self.router = MessageRouter(
            runner,
            rows,
            self.connections,
            now,
            batch=settings.storage.batch_messages,
            pending=limits.pending,
            position=position,
        )
        self.history = HistorySaver(runner, self.channels, self.registry.counted, limits.page_bytes)
        self.offline_queue = OfflineQueue(
            runner,
            self.epoch,
            settings.replay.limit,
            self.registry.priority,
            self._tell_delivered,
            limits.page_bytes,
        )
        self.groups = Groups(
            self.channels,
            self.router,
            rows,
            now,
            max_members=limits.group_members,
            max_groups=limits.groups_per_user,
        )
        self.rates = Rates(limits, trio.current_time)
        self.refusals = Refusals(trio.current_time)
        self.accounts = Accounts(
            runner,
            self.connections,
            now,
            token_days=settings.accounts.token_days,
            password_min_length=settings.accounts.password_min_length,
            registration=settings.accounts.registration,
            wrong_passwords=self.rates.wrong_passwords,
        )
        self.presence = PresenceService(
            runner,
            self.connections,
            now,
            grace_seconds=settings.presence.grace_seconds,
            max_following=limits.following_per_user,
            closed_directory=settings.accounts.directory == "shared",
        )
        self.expiry = Expiry(runner, now)
        self.router.observers += [self.presence.observe, self.expiry.observe, self._observe]
        files = settings.attachments
        self.attachments = Attachments(
            runner,
            now,
            max_bytes=files.max_bytes,
            quota_bytes=files.quota_bytes,
            at_once=files.uploads_at_once,
            upload_seconds=files.upload_minutes * 60,
            keep_seconds=files.keep_unused_hours * 3600,
            collect_seconds=files.collect_minutes * 60,
        )
        self.leaving = Leaving(runner, self.accounts, self.groups, self.attachments, now)
        self.purging = Purging(
            runner, settings.storage.purge_seconds, lambda connection: self.hooks.purge(connection)
        )
        self.restartable: dict[str, Callable[[], Awaitable[None]]] = {
            "typing": self.router.indicators.run,
            "expiry": self.expiry.run,
            "attachments": self.attachments.run,
            "purging": self.purging.run,
            "erasures": self.leaving.run,
            "presence": self.presence.run,
            "last seen": self.presence.keep,
        }
        self.dispatcher = Dispatcher(self)

    def server_of(self, plugin: str) -> PluginServer:
        """Return the server as a plugin may use it."""
        known = self._servers.get(plugin)
        if known is None:
            guard = self.registry.guard(plugin)
            assert guard is not None  # noqa: S101 - only loaded plugins are served
            known = self._servers[plugin] = PluginServer(self, guard, self._plugin_pace)
        return known

    def end_at(self, moment: float) -> None:
        """Note when the drain is over, on trio's clock: no plugin shields itself for longer."""
        self.ends_at = moment
        self.registry.rules.shields.end_at(moment)

    async def prepare_plugins(self) -> None:
        """Bring plugins' own tables to their newest schema, then let their hooks run."""
        now = self.now()
        failed = await self.runner.write(lambda connection: migrate_plugins(connection, self.registry, now))
        for name, reason in failed.items():
            self.registry.leave_out(name, reason)
            log.error("%s", self.registry.broken[-1])
        self.hooks = self.registry.hooks(self.server_of)
        self.presence.told = self.hooks.presence
        self.runner.observe(self.hooks)

    def _observe(self, submission: Submission) -> None:
        self.hooks.observe(submission)

    def _tell_delivered(self, delivered: list[Delivered]) -> None:
        """Tell senders, by a receipt of the server's, what reached a device of the other's."""
        for item in delivered:
            target_id = other_party(item.address, item.user_id)
            members = dict.fromkeys((item.user_id, target_id), Role.MEMBER)
            row = ChannelRow(item.channel_id, ConversationKind.USER, item.address, "", members, "start")
            submission = Submission(_delivered_receipt(item, target_id), self.channels.hold(row))
            with suppress(RelayError):  # overloaded: the next ack tells it
                self.router.submit_nowait(submission)


def _delivered_receipt(item: Delivered, target_id: str) -> Entry:
    return Entry(
        channel_id=item.channel_id,
        type="read_receipt",
        kind=Kind.LATEST,
        sender_id=item.user_id,
        target_id=target_id,
        client_id=None,
        own_id=None,
        digest=None,
        payload=msgspec.json.encode({"up_to_seq": item.up_to_seq, "state": "delivered"}).decode(),
        sent_at=None,
        key="delivered",
        reads=False,
    )


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
        inline: whether database jobs run where they are asked for: for virtual time.
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
        engine = Engine(settings, runner, rows, (epoch, position), now, paths)
        await engine.prepare_plugins()
        await engine.presence.recover()
        rules, seconds = engine.registry.rules, 0 if inline else settings.plugins.blocking_seconds
        if not inline:
            rules.shields.give_up = partial(_leave, engine)
        with watching(rules.loop, rules.writer, seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rules.shields.run)
                nursery.start_soon(engine.router.run)
                nursery.start_soon(engine.batched_writes.run)
                nursery.start_soon(engine.offline_queue.run)
                nursery.start_soon(_run_plugins, engine, background)
                for name, run in engine.restartable.items():
                    nursery.start_soon(supervise, name, run)
                try:
                    yield engine
                finally:
                    if runner.health.broken is None:
                        await _save(engine)
                    nursery.cancel_scope.cancel()
                    rules.shields.close_at(max(engine.ends_at, trio.current_time() + GRACE_SECONDS))
                    with trio.CancelScope(shield=True):
                        await engine.hooks.ended.wait()
                    rules.shields.stop()


async def _save(engine: Engine) -> None:
    """Save what the services took, in a bounded time."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
        await engine.offline_queue.flush()
        await engine.presence.flush()
        await engine.router.wait_idle()
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 3), suppress(StorageFailed):
        await engine.purging.finish()  # what is not done in time is done after the next start


async def _run_plugins(engine: Engine, background: bool) -> None:
    """Run the plugins' own tasks; what they shield ends when the server has to."""
    with engine.registry.rules.shields.until_the_end():
        await engine.hooks.run(background=background)


async def _leave(engine: Engine) -> None:
    """End the process though a plugin's task takes no cancellation, once all is saved."""
    names = ", ".join(engine.hooks.still_running())
    log.error("the server ends without these plugins' tasks, which take no cancellation: %s", names or "unknown")
    with trio.CancelScope(shield=True):
        await engine.runner.aclose()
    logging.shutdown()
    os._exit(0)
