"""Factories: make each service that has settings, with its own part of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import trio

from relay.http.smtp import SmtpClient
from relay.plugin.types import MessageType
from relay.protocol.rights import BY_CHOICE, BY_RIGHT, ORDINARY, Rights
from relay.services.accounts import Accounts
from relay.services.attachments import Attachments
from relay.services.audit import AuditLog
from relay.services.blocks import Blocks
from relay.services.channels import ChannelManager
from relay.services.connections import WebSocketManager
from relay.services.draining import Drain
from relay.services.envelopes import PerRecipient
from relay.services.groups import Groups
from relay.services.limits import Rates, TokenBuckets
from relay.services.logins import Logins
from relay.services.mailer import Deliver, Mailer
from relay.services.offline_queue import Delivered, OfflineQueue
from relay.services.permissions import holds
from relay.services.presence import PresenceService
from relay.services.questions import Asked
from relay.services.recovery import Recovery
from relay.services.router import MessageRouter, Observer
from relay.services.second_factors import SecondFactors
from relay.services.tally import Tally
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
    blocks: Blocks,
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
        blocks=blocks,
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
    tally: Tally,
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
        tally=tally,
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
    now: Now,
    audit: AuditLog,
    rates: Rates,
    asked: Asked,
) -> Logins:
    """Return the service of passwords and logins."""
    return Logins(
        runner,
        accounts,
        now,
        make_second_factors(settings, runner, audit, now, rates),
        token_days=settings.accounts.token_days,
        password_min_length=settings.accounts.password_min_length,
        most=settings.limits.logins_per_user,
        asked=asked,
        wrong_passwords=rates.wrong_passwords,
        by_password=settings.accounts.password_login,
    )


def make_second_factors(
    settings: Settings, runner: Runner, audit: AuditLog, now: Now, rates: Rates
) -> SecondFactors:
    """Return the service of second factors; apps show them by the host of the page's address."""
    return SecondFactors(
        runner,
        audit,
        now,
        required_for=settings.accounts.require_second_factor_for,
        issuer=urlsplit(settings.server.public_url).hostname or "relay",
        wrong_codes=rates.wrong_codes,
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
        shared=settings.accounts.directory == "shared",
        keep_seconds=files.keep_unused_hours * 3600,
        collect_seconds=files.collect_minutes * 60,
        asked=asked,
    )


def make_plugin_pace(settings: Settings) -> TokenBuckets:
    """Return the bound on what each plugin sends and posts; ten seconds' worth may come at once."""
    rate = settings.plugins.messages_per_second
    return TokenBuckets(rate, 10 * rate, "messages of this plugin", trio.current_time)


def make_default_rights(types: Mapping[str, MessageType]) -> Rights:
    """Return the rights of groups that chose none: an ordinary group's, as the types' `roles` change them."""
    said = {BY_RIGHT[one.act]: holds(one.roles) for one in types.values() if one.act in BY_CHOICE}
    return ORDINARY.with_set(said)


def make_mailer(settings: Settings, runner: Runner, now: Now) -> Mailer:
    """Return what sends mails; it sends none where `[mail]` names no server."""
    return Mailer(runner, now, make_delivery(settings))


def make_delivery(settings: Settings) -> Deliver | None:
    """Return what hands mails to the server of `[mail]`; None where it names none."""
    return SmtpClient(settings.mail).send if settings.mail.smtp_host else None


def mail_domains(settings: Settings) -> frozenset[str]:
    """Return the domains whose mail addresses may have an account without an invitation."""
    by_domain = settings.accounts.registration == "domain"
    return frozenset(settings.accounts.mail_domains if by_domain else ())


def make_recovery(
    settings: Settings,
    runner: Runner,
    accounts: Accounts,
    logins: Logins,
    mailer: Mailer,
    audit: AuditLog,
    now: Now,
    links: TokenBuckets,
) -> Recovery:
    """Return the service of links for passwords, addresses and new accounts."""
    return Recovery(
        runner,
        accounts,
        logins,
        mailer,
        audit,
        now,
        page=settings.server.public_url.rstrip("/"),
        domains=mail_domains(settings),
        links=links,
    )


def make_audit(settings: Settings, runner: Runner, rows: Log, now: Now) -> AuditLog:
    """Return the audit log."""
    audit = settings.audit
    return AuditLog(runner, rows, now, keep_days=audit.keep_days, addresses=audit.addresses)
