"""The interfaces of `relay.plugin.interfaces`, implemented with the engine's services.

What a plugin waits for here is relay's time, not the plugin's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.claims import Claim
from relay.plugin.interfaces import (
    ConnectedDevice,
    Conversations,
    Devices,
    Groups,
    Messages,
    Presence,
    SharedSettings,
    SignedInUser,
    Users,
)
from relay.protocol.kinds import Role, ServerRole
from relay.protocol.rights import Act
from relay.services import groups
from relay.services.access import Access
from relay.services.accounts import Accounts
from relay.services.administration import Administration
from relay.services.audit import Actor, AuditLog, acting_now
from relay.services.blocks import Blocks
from relay.services.channels import EVERYBODY, ChannelManager, Conversation
from relay.services.connections import WebSocketManager
from relay.services.history import HistorySaver
from relay.services.logins import Logins, SignedIn
from relay.services.permissions import require_member, require_role, user
from relay.services.presence import PresenceService
from relay.services.registration import Registration
from relay.services.reports import ReportReason, Reports
from relay.services.router import MessageRouter
from relay.services.slow_mode import SlowMode
from relay.services.standing import Standing
from relay.services.statuses import SeenStatus
from relay.settings import Settings
from relay.storage import account_links
from relay.storage.accounts import User, get_user, password_hash
from relay.storage.conversations import address_of
from relay.storage.history import Record
from relay.storage.jobs import Runner
from relay.storage.names import same_name


class Services(Protocol):
    """The services that the interfaces stand on: an engine has them all."""

    settings: Settings
    runner: Runner
    access: Access
    accounts: Accounts
    administration: Administration
    audit: AuditLog
    blocks: Blocks
    channels: ChannelManager
    connections: WebSocketManager
    groups: groups.Groups
    history: HistorySaver
    logins: Logins
    presence: PresenceService
    registration: Registration
    reports: Reports
    router: MessageRouter
    slow_mode: SlowMode
    standing: Standing
    epoch: str


class PluginUsers(Users):
    """Implements `relay.plugin.Users`."""

    def __init__(self, services: Services, plugin: str) -> None:
        self._runner = services.runner
        self._accounts = services.accounts
        self._registration = services.registration
        self._logins = services.logins
        self._administration = services.administration
        self._access = services.access
        self._plugin = plugin
        self._blocks = services.blocks

    def blocks(self, user_id: str, other_id: str) -> bool:
        return self._blocks.holds(user_id, other_id)

    async def get(self, user_id: str) -> User | None:
        with waiting_for_relay():
            return await self._runner.read(lambda connection: get_user(connection, user_id), inline=True)

    async def find(self, typed: str) -> User | None:
        with waiting_for_relay():
            return await self._runner.read(
                lambda connection: get_user(connection, same_name(connection, typed)), inline=True
            )

    async def by_mail(self, address: str) -> User | None:
        def find(connection: sqlite3.Connection) -> User | None:
            owner = account_links.owner_of(connection, address)
            return None if owner is None else get_user(connection, owner)

        with waiting_for_relay():
            return await self._runner.read(find, inline=True)

    async def sign_in(
        self,
        claim: Claim,
        *,
        address: str,
        client_id: str | None = None,
        created: Callable[[sqlite3.Connection], None] | None = None,
        check: Callable[[sqlite3.Connection], None] | None = None,
    ) -> SignedInUser:
        if not isinstance(claim, Claim) or claim.admin or claim.role is not None:
            raise TypeError(f"sign_in takes a Claim without admin and role, not {claim!r:.200}")
        with waiting_for_relay():
            if claim.create:
                await self._registration.ensure(claim.user_id, claim.display_name, "sign_in", address, created)
            who = SignedIn(claim.user_id, claim.expires_at, tuple(sorted(claim.scopes)))
            made = await self._registration.admit(who, client_id, address, check)
        return SignedInUser(made.token, made.user_id, made.expires_at)

    async def has_password(self, user_id: str) -> bool:
        if not self._logins.by_password:
            return False
        with waiting_for_relay():
            return await self._runner.read(
                lambda connection: password_hash(connection, user_id) is not None, inline=True
            )

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        with waiting_for_relay():
            await self._administration.set_disabled(self._actor(), user_id, disabled)

    async def set_role(self, user_id: str, role: ServerRole) -> None:
        with waiting_for_relay():
            await self._administration.set_role(self._actor(), user_id, role)

    async def revoke_token(self, token_id: str) -> None:
        with waiting_for_relay():
            await self._access.revoke_token(self._actor(), token_id)

    def _actor(self) -> Actor:
        return Actor.plugin(self._plugin, acting_now())

    def forget_tokens(self) -> None:
        self._accounts.forget()


class PluginGroups(Groups):
    """Implements `relay.plugin.Groups`."""

    def __init__(self, services: Services) -> None:
        self._channels = services.channels
        self._groups = services.groups

    async def get(self, group_id: str) -> Conversation | None:
        with waiting_for_relay():
            return await self._channels.group(group_id)

    async def role(self, group_id: str, user_id: str) -> Role | None:
        group = await self.get(group_id)
        return None if group is None else group.members.get(user_id)

    async def require_role(self, group_id: str, user_id: str, least: Role = Role.MEMBER) -> Conversation:
        group = require_member(user_id, await self.get(group_id), f"group {group_id!r}")
        require_role(user_id, group, least)
        return group

    async def create(
        self, owner_id: str, name: str, member_ids: Sequence[str] = (), group_id: str | None = None
    ) -> Conversation:
        with waiting_for_relay():
            return await self._groups.create(owner_id, name, list(member_ids), group_id)

    async def put_member(self, actor_id: str, group_id: str, user_id: str, role: Role = Role.MEMBER) -> None:
        with waiting_for_relay():
            await self._groups.put_member(actor_id, group_id, user_id, role)

    async def remove_member(self, actor_id: str, group_id: str, user_id: str) -> None:
        with waiting_for_relay():
            await self._groups.remove_member(actor_id, group_id, user_id)


class PluginConversations(Conversations):
    """Implements `relay.plugin.Conversations`."""

    def __init__(self, services: Services) -> None:
        self._runner = services.runner
        self._channels = services.channels
        self._history = services.history
        self._services = services

    def may_write(self, user_id: str, conversation: Conversation) -> bool:
        return self._services.standing.decide(user(user_id), Act.WRITE, conversation).allowed

    async def begin_message(self, user_id: str, conversation: Conversation, own_id: str) -> None:
        with waiting_for_relay():
            await self._services.slow_mode.begin(user_id, conversation, own_id)

    async def find(self, user_id: str, target_id: str) -> Conversation:
        with waiting_for_relay():
            return await self._channels.find(user_id, target_id)

    async def at(self, address: str) -> Conversation | None:
        _check_address(address)
        with waiting_for_relay():
            return await self._channels.at(address)

    async def by_id(self, channel_id: int) -> Conversation | None:
        if not isinstance(channel_id, int):
            raise TypeError(f"by_id takes an entry's channel_id, not {channel_id!r}; an address is for `at`")
        with waiting_for_relay():
            address = await self._runner.read(lambda connection: address_of(connection, channel_id), inline=True)
            return None if address is None else await self._channels.at(address)

    async def of_message(self, user_id: str, message_id: int) -> Conversation:
        with waiting_for_relay():
            found = await self._history.find(user_id, message_id)
            return require_member(user_id, await self._channels.at(found.address), f"message {message_id}")

    async def own(self, user_id: str) -> Conversation:
        with waiting_for_relay():
            return await self._channels.own(user_id)

    def own_devices(self, user_id: str) -> Conversation:
        return self._channels.own_devices(user_id)


class PluginMessages(Messages):
    """Implements `relay.plugin.Messages`."""

    def __init__(self, services: Services) -> None:
        self._history = services.history
        self._services = services

    async def get(self, user_id: str, message_id: int) -> Record:
        with waiting_for_relay():
            return (await self._history.find(user_id, message_id)).record

    async def report(self, user_id: str, message_id: int, reason: ReportReason, text: str = "") -> int:
        with waiting_for_relay():
            filed = await self._services.reports.file(user_id, message_id, reason, text, unseen=True)
        return filed.report_id


class PluginDevices(Devices):
    """Implements `relay.plugin.Devices`."""

    def __init__(self, services: Services) -> None:
        self._connections = services.connections

    def of(self, user_id: str) -> list[ConnectedDevice]:
        return [
            ConnectedDevice(one.client_id, one.active, one.address)
            for one in self._connections.of(user_id).values()
        ]

    def users(self) -> list[str]:
        return self._connections.users()


class PluginPresence(Presence):
    """Implements `relay.plugin.Presence`."""

    def __init__(self, services: Services) -> None:
        self._presence = services.presence

    async def status(self, user_id: str, *, seen_by: str | None = None) -> SeenStatus:
        with waiting_for_relay():
            (status,) = await self._presence.statuses(seen_by or user_id, [user_id])
        return SeenStatus(**status)

    async def follow(
        self, user_id: str, other_ids: Sequence[str], *, follow: bool
    ) -> tuple[list[SeenStatus], list[str]]:
        with waiting_for_relay():
            statuses, unknown = await self._presence.follow(user_id, other_ids, follow=follow)
        return [SeenStatus(**status) for status in statuses], unknown


def shared_settings(settings: Settings) -> SharedSettings:
    """Return the sections that plugins may rely on."""
    return SharedSettings(settings.limits, settings.server)


def _check_address(address: Any) -> None:
    """Refuse what is no address of a conversation, and say what it looks like.

    Raises:
        ValueError: naming the method for it.
    """
    if isinstance(address, int):
        raise ValueError(f"at takes an address such as 'group:team', not {address!r}; a channel_id is for `by_id`")
    if address != EVERYBODY and not str(address).startswith(("user:", "group:", "self:")):
        raise ValueError(
            f"{address!r} is no address: use group_address, user_address or draft.conversation.address;"
            " what a user names is for `find`"
        )
