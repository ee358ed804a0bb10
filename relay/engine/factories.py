"""Factories: make each service that has settings, with its own part of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from relay.services.accounts import Accounts
from relay.services.attachments import Attachments
from relay.services.channels import ChannelManager
from relay.services.connections import WebSocketManager
from relay.services.draining import Drain
from relay.services.envelopes import PerRecipient
from relay.services.groups import Groups
from relay.services.limits import TokenBuckets
from relay.services.logins import Logins
from relay.services.offline_queue import Delivered, OfflineQueue
from relay.services.presence import PresenceService
from relay.services.questions import Asked
from relay.services.router import MessageRouter, Observer
from relay.settings import Settings
from relay.storage.jobs import Runner
from relay.storage.log import Log

Now = Callable[[], float]
"""Returns Unix seconds."""


def make_connections(settings: Settings) -> WebSocketManager:
    """Return the registry of connections."""
    return WebSocketManager(settings.limits.connections_per_user, settings.limits.connections)


def make_presence(
    settings: Settings,
    runner: Runner,
    connections: WebSocketManager,
    now: Now,
    on_change: Callable[[str, str], None],
    drain: Drain,
) -> PresenceService:
    """Return the presence service."""
    return PresenceService(
        runner,
        connections,
        now,
        grace_seconds=settings.presence.grace_seconds,
        max_following=settings.limits.following_per_user,
        closed_directory=settings.accounts.directory == "shared",
        on_change=on_change,
        drain=drain,
    )


def make_router(
    settings: Settings,
    runner: Runner,
    rows: Log,
    connections: WebSocketManager,
    now: Now,
    position: int,
    observers: Sequence[Observer],
    recipients: PerRecipient,
) -> MessageRouter:
    """Return the router, whose log ends at `position`."""
    return MessageRouter(
        runner,
        rows,
        connections,
        now,
        batch=settings.storage.batch_messages,
        pending=settings.limits.pending,
        position=position,
        observers=observers,
        recipients=recipients,
    )


def make_offline_queue(
    settings: Settings,
    runner: Runner,
    epoch: str,
    priority: Callable[[str], int],
    tell_delivered: Callable[[list[Delivered]], None],
    recipients: PerRecipient,
) -> OfflineQueue:
    """Return the offline queue."""
    limit, most = settings.replay.limit, settings.limits.page_bytes
    return OfflineQueue(runner, epoch, limit, priority, tell_delivered, most, recipients)


def make_groups(
    settings: Settings, channels: ChannelManager, router: MessageRouter, rows: Log, now: Now, asked: Asked
) -> Groups:
    """Return the group service."""
    members, groups = settings.limits.group_members, settings.limits.groups_per_user
    return Groups(channels, router, rows, now, max_members=members, max_groups=groups, asked=asked)


def make_logins(
    settings: Settings,
    runner: Runner,
    accounts: Accounts,
    connections: WebSocketManager,
    now: Now,
    wrong_passwords: TokenBuckets,
    asked: Asked,
) -> Logins:
    """Return the service of passwords and logins."""
    return Logins(
        runner,
        accounts,
        connections,
        now,
        token_days=settings.accounts.token_days,
        password_min_length=settings.accounts.password_min_length,
        asked=asked,
        wrong_passwords=wrong_passwords,
    )


def make_attachments(settings: Settings, runner: Runner, now: Now, asked: Asked) -> Attachments:
    """Return the attachment service."""
    files = settings.attachments
    return Attachments(
        runner,
        now,
        max_bytes=files.max_bytes,
        quota_bytes=files.quota_bytes,
        at_once=files.uploads_at_once,
        upload_seconds=files.upload_minutes * 60,
        keep_seconds=files.keep_unused_hours * 3600,
        collect_seconds=files.collect_minutes * 60,
        asked=asked,
    )


def make_plugin_pace(settings: Settings) -> TokenBuckets:
    """Return the bound on what each plugin sends and posts; ten seconds' worth may come at once."""
    rate = settings.plugins.messages_per_second
    return TokenBuckets(rate, 10 * rate, "messages of this plugin", trio.current_time)
