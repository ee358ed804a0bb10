"""The engine: the services and the plugins of one server, wired together; all of a server but its sockets.

The command line opens an engine to work on a database that no server runs on; a server opens one and
puts its transports on top. Clock and database runner are injected, so that the same engine runs in a
test's virtual time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from relay.engine import factories
from relay.engine.asking import Asking
from relay.engine.authentication import Authentication
from relay.engine.cluster_office import ClusterOffice
from relay.engine.diagnosis import PluginDiagnosis
from relay.engine.dispatch import Dispatcher
from relay.engine.guard import PluginFailed
from relay.engine.hooks import Hooks
from relay.engine.interfaces import shared_settings
from relay.engine.live_settings import LiveSettings
from relay.engine.plugin_server import PluginServer
from relay.engine.plugin_tasks import PluginTasks
from relay.engine.readings import Readings
from relay.engine.receipts import DeliveredReceipts
from relay.engine.recipients import RecipientHooks
from relay.engine.registry import Registry
from relay.engine.reloading import Reloader
from relay.engine.required import RequiredPlugins
from relay.engine.schedules import Schedules
from relay.engine.slash_commands import PluginSlashCommands
from relay.engine.submitter import Submitter
from relay.services.access import Access
from relay.services.accounts import Accounts
from relay.services.administration import Administration
from relay.services.backups import Backups
from relay.services.blocks import Blocks
from relay.services.channels import ChannelManager
from relay.services.departures import Departures
from relay.services.draining import Drain
from relay.services.expiry import Expiry
from relay.services.exporting import Exports
from relay.services.figures import Figures
from relay.services.gallery import Gallery
from relay.services.group_admin import GroupAdministration
from relay.services.history import HistorySaver
from relay.services.invitations import Invitations
from relay.services.leaving import Leaving
from relay.services.limits import Rates
from relay.services.moderation import Moderation
from relay.services.moderators import Moderators
from relay.services.own_account import OwnAccount
from relay.services.probes import Probes
from relay.services.purging import Purging
from relay.services.refusals import Refusals
from relay.services.registration import Registration
from relay.services.reports import Reports
from relay.services.restrictions import Restrictions
from relay.services.slow_mode import SlowMode
from relay.services.standing import Standing
from relay.services.tally import Tally
from relay.services.threads import Threads
from relay.services.tracing import Tracing
from relay.services.usage import StorageUsage
from relay.settings import Settings
from relay.storage.batching import BatchingWriter
from relay.storage.jobs import Runner
from relay.storage.log import Log


class Engine:
    """One server's services, by name; see each class.

    The order of construction is that of the needs, with one exception: hooks hand each plugin its server, which
    knows services that call hooks. So they are given `server_of`, and call it only once all is there.

    Args:
        registry: the plugins, with their tables migrated.
        rows: the log; `position` is its end.

    Attributes:
        now: Unix seconds.
        began: when the engine was made, in monotonic seconds.
        drain: whether the server is ending.
        cluster: what knows the other nodes; None for a server that is in no cluster.
        leads: tells whether nobody else writes to this database's log by now; a server alone knows that.
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
        self.began = trio.current_time()
        self.epoch = epoch
        self.cluster: ClusterOffice | None = None
        self.leads: Callable[[], Awaitable[bool]] = _alone
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
        self.probes = Probes(trio.current_time)
        self.live = LiveSettings(self)
        self._make_messaging(rows, position)
        self._make_accounts(rows)
        self._make_dispatch()
        self._make_diagnosis()
        self._make_reloader(inline)

    def _make_messaging(self, rows: Log, position: int) -> None:
        """Make what stores, delivers and finds messages."""
        settings, runner, now = self.settings, self.runner, self.now
        self.batched_writes = BatchingWriter(runner)
        self.connections = factories.make_connections(settings)
        self.tally, self.departures, self.blocks = Tally(), Departures(), Blocks(runner, now)
        self.channels = ChannelManager(runner, now, self.asking, self.blocks.check_direct)
        self._arrange_rights()
        self.expiry = Expiry(runner, now)
        self.restrictions = Restrictions(runner, now)
        self.standing = Standing(self.restrictions, self.blocks)
        self.presence = factories.make_presence(
            settings, runner, self.connections, now, self.hooks.presence, self.drain, self.blocks
        )
        self.blocks.changed = self.presence.blocking_changed
        observers = [self.presence.observe, self.expiry.observe, self.hooks.observe]
        self.router = factories.make_router(
            settings, runner, rows, self.connections, now, position, observers, self.recipients, self.tally
        )
        most = settings.limits.page_bytes
        self.gallery = Gallery(runner, self.recipients, most)
        self.history = HistorySaver(runner, self.channels, self.registry.counted, most, self.recipients)
        self.threads = Threads(runner, most, self.recipients)
        receipts = DeliveredReceipts(self.channels, self.router)
        self.offline_queue = factories.make_offline_queue(
            settings, runner, self.epoch, self.registry.priority, receipts.send, self.recipients
        )
        self.groups = factories.make_groups(settings, self.channels, self.router, rows, now, self.asking)

    def _make_accounts(self, rows: Log) -> None:
        """Make what knows users and what they uploaded, and ends both."""
        settings, runner, now = self.settings, self.runner, self.now
        self.audit = factories.make_audit(settings, runner, rows, now)
        self.refusals = Refusals(trio.current_time)
        self.accounts = Accounts(runner, self.connections, now, self.restrictions)
        self.logins = factories.make_logins(
            settings, runner, self.accounts, now, self.audit, self.rates, self.asking
        )
        self.mailer = factories.make_mailer(settings, runner, now)
        self.recovery = factories.make_recovery(
            settings, runner, self.accounts, self.logins, self.mailer, self.audit, now, self.rates.links
        )
        mode = settings.accounts.registration
        self.invitations = Invitations(runner, self.groups, self.channels, self.audit, now, mode)
        self.registration = Registration(runner, self.logins, now, self.invitations, mode=mode, asked=self.asking)
        self.authentication = Authentication(
            accounts=self.accounts,
            registration=self.registration,
            refusals=self.refusals,
            parts=self.registry.parts,
            server_of=self.server_of,
            runner=runner,
        )
        self.attachments = factories.make_attachments(settings, runner, now, self.asking)
        self.leaving = Leaving(runner, self.accounts, self.groups, self.attachments, now, self.blocks)
        parts = (self.audit, self.accounts, self.logins, self.registration, self.leaving, self.connections)
        self.administration = Administration(runner, *parts, now, asked=self.asking)
        self.own_account = OwnAccount(
            runner, self.audit, self.logins, self.administration, now, allowed=settings.accounts.erase_own
        )
        self.exports = Exports(runner, self.attachments, self.recipients, now, settings.limits.page_bytes)
        self.access = Access(runner, self.audit, self.accounts, self.connections, now)
        self.group_administration = GroupAdministration(self.groups, self.channels, self.audit)
        self._make_moderation(rows)
        path = Path(settings.storage.path)
        self.backups = Backups(runner, self.audit, now, path, settings.backup)
        self.purging = Purging(runner, settings.storage.purge_seconds, self.hooks.purge)

    def _make_moderation(self, rows: Log) -> None:
        """Make what restricts users, and takes reports."""
        self.moderators = Moderators(self.runner, self.channels, self.groups)
        self.moderation = Moderation(
            self,
            rows,
            kept=self.groups.kept,
            asked=self.asking,
            deletable=self.registry.is_deletable,
            owned=self.hooks.owned,
        )
        self.administration.roles_changed = self.moderators.keep_members
        self.slow_mode = SlowMode(self, kept=self.groups.kept)
        self.reports = Reports(self, self.moderators, self.moderation, self.registry.is_written)

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
            restrictions=self.restrictions,
            blocks=self.blocks,
            standing=self.standing,
            content_characters=limits.content_characters,
            payload_bytes=limits.message_bytes,
        )
        self.submitter = Submitter(runner=self.runner, dispatcher=self.dispatcher, router=self.router)
        self.slash_commands = PluginSlashCommands(self.registry.parts, self.server_of)
        self._plugin_pace = factories.make_plugin_pace(self.settings)
        self._servers: dict[str, PluginServer] = {}

    def _make_diagnosis(self) -> None:
        """Make what tells operators what became of a message, and what the server has been doing."""
        path, tally = Path(self.settings.storage.path), self.tally
        self.readings = Readings(path, self.runner, self.router, self.connections, self.registry, tally)
        self.figures = Figures(self.runner, self.readings.reading, self.now)
        self.diagnosis = PluginDiagnosis(self.registry.parts, self.server_of, self.recipients, self.runner)
        kept = self.settings.metrics.history
        self.usage = StorageUsage(path, self.runner, self.diagnosis, self.now, history=kept)
        self.tracing = Tracing(
            self.runner,
            self.connections,
            self.departures,
            self.tally,
            self.diagnosis,
            self.audit,
            self.now,
            self.settings.replay.limit,
            self.registry.priority,
        )

    def _make_reloader(self, inline: bool) -> None:
        """Make what changes plugins, and tell the services that keep something of them."""
        for arrange in (
            self._forget_servers,
            self.required.arrange,
            self.recipients.forget,
            self.hooks.arrange,
            self.authentication.arrange,
            self.plugin_tasks.arrange,
            self._arrange_rights,
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

    def _arrange_rights(self) -> None:
        """Have groups that chose no rights take those that the message types say."""
        self.channels.set_default_rights(factories.make_default_rights(self.registry.types))

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

    def take_settings(self, settings: Settings) -> None:
        """Have other settings in force, whose keys are live; see `relay.engine.live_settings`."""
        self.settings, limits, audit = settings, settings.limits, settings.audit
        self.rates.change(limits)
        self.connections.limit(limits.connections_per_user, limits.connections)
        self.groups.limit(limits.group_members, limits.groups_per_user)
        self.presence.limit(limits.following_per_user)
        self.audit.change(audit.keep_days, audit.addresses)
        self._take_accounts(settings)
        files = settings.attachments
        self.attachments.limit(
            files.max_bytes, files.quota_bytes, files.uploads_at_once, files.upload_minutes * 60
        )
        self.attachments.collect_every(files.collect_minutes * 60, files.keep_unused_hours * 3600)
        self.asking.scan_seconds = files.scan_seconds
        self.backups.change(settings.backup)
        for server in self._servers.values():
            server.settings = shared_settings(settings)

    def _take_accounts(self, settings: Settings) -> None:
        accounts, logins = settings.accounts, self.logins
        self.registration.mode = self.invitations.mode = accounts.registration
        logins.token_days, logins.by_password = accounts.token_days, accounts.password_login
        logins.password_min_length, logins.most = accounts.password_min_length, settings.limits.logins_per_user
        logins.second_factors.required_for = accounts.require_second_factor_for
        self.own_account.allowed = accounts.erase_own
        self.recovery.domains = factories.mail_domains(settings)
        self.mailer.use(factories.make_delivery(settings))

    def restartable(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the tasks whose fault costs nobody a message, by name."""
        return {
            "typing": self.router.indicators.run,
            "expiry": self.expiry.run,
            "timeouts and bans": self.restrictions.run,
            "attachments": self.attachments.run,
            "purging": self.purging.run,
            "erasures": self.leaving.run,
            "uses of tokens": self.accounts.run,
            "mails": self.mailer.run,
            "links": self.recovery.run,
            "invitations": self.invitations.run,
            "audit log": self.audit.run,
            "presence": self.presence.run,
            "last seen": self.presence.last_seen.run,
        }


async def _alone() -> bool:
    return True
