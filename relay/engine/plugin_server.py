"""The server as one plugin sees it: what hooks, tasks, views and commands are given."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from relay.engine import interfaces
from relay.engine.dispatch import Dispatcher
from relay.engine.guard import Guard, PluginFailed
from relay.engine.hooks import Hooks
from relay.engine.interfaces import Services
from relay.engine.jobs import PluginJobs
from relay.engine.moved import MovedServices
from relay.engine.recipients import RecipientHooks
from relay.engine.registry import Registry
from relay.engine.submitter import InternalSender, Submitter, check_recipients
from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.actions import ActionAnswer, ActionOutcome
from relay.plugin.invocations import SlashCommands
from relay.plugin.types import Draft, MessageType, Server
from relay.protocol.envelope import SentEnvelope, encode_json
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Kind
from relay.services.audit import About, Actor, acting_now
from relay.services.channels import Conversation
from relay.services.envelopes import envelopes
from relay.services.limits import TokenBuckets
from relay.storage import tombstones
from relay.storage.accounts import Identity
from relay.storage.entry import Entry
from relay.storage.errors import StorageFailed
from relay.storage.history import Record
from relay.storage.jobs import Job, Runner
from relay.wakeup import Wakeup

T = TypeVar("T")


class PluginServer(Server):
    """Implements `relay.plugin.Server`, where each method is described, for one plugin.

    Args:
        pace: bounds the messages of each plugin.
        now: Unix seconds.

    Attributes:
        guard: the plugin's guard.
        counts: what the plugin counted; see `count`.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        services: Services,
        runner: Runner,
        registry: Registry,
        hooks: Hooks,
        recipients: RecipientHooks,
        dispatcher: Dispatcher,
        submitter: Submitter,
        slash_commands: SlashCommands,
        pace: TokenBuckets,
        jobs: PluginJobs,
        now: Callable[[], float],
    ) -> None:
        self.plugin = guard.plugin
        self.guard = guard
        self.log = logging.getLogger(f"relay.plugin.{guard.plugin}")
        self.memory: dict[str, Any] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.users = interfaces.PluginUsers(services, guard.plugin)
        self.groups = interfaces.PluginGroups(services)
        self.conversations = interfaces.PluginConversations(services)
        self.messages = interfaces.PluginMessages(services)
        self.devices = interfaces.PluginDevices(services)
        self.presence = interfaces.PluginPresence(services)
        self.settings = interfaces.shared_settings(services.settings)
        self.epoch = services.epoch
        self._services = services
        self._runner = runner
        self._registry = registry
        self._hooks = hooks
        self._recipients = recipients
        self._dispatcher = dispatcher
        self._submitter = submitter
        self._slash_commands = slash_commands
        self._pace = pace
        self.jobs = jobs
        self._now = now
        self._wakeup = Wakeup()

    @property
    def services(self) -> MovedServices:
        """The names that plugins of earlier versions reached services by; each raises with the new one."""
        return MovedServices()

    @property
    def position(self) -> int:
        return self._services.router.position

    @property
    def message_types(self) -> Registry:
        return self._registry

    @property
    def slash_commands(self) -> SlashCommands:
        return self._slash_commands

    @property
    def handler_seconds(self) -> float:
        return self.guard.rules.seconds

    @property
    def failures(self) -> int:
        return self.guard.failures

    def failed(self, what: str, fault: BaseException) -> None:
        self.guard.failed(what, fault)

    def count(self, what: str, kind: str = "") -> None:
        self.counts[what, kind] += 1

    def now(self) -> float:
        return self._now()

    async def read(self, job: Job[T], *, inline: bool = False) -> T:
        with waiting_for_relay() as wait:
            return await self._runner.read(wait.ends_with(job), inline=inline)

    async def write(self, job: Job[T]) -> T:
        with waiting_for_relay() as wait:
            return await self._runner.write(wait.ends_with(job))

    async def stored_beyond(self, position: int) -> int:
        return await self._services.router.wait_beyond(position)

    async def erase(self, message_ids: Sequence[int]) -> list[int]:
        at = self.now()
        return await self.write(lambda connection: tombstones.erase_messages(connection, message_ids, at))

    @property
    def actor(self) -> Actor:
        return acting_now() or Actor.plugin(self.plugin)

    def audit(
        self,
        connection: sqlite3.Connection,
        actor: Actor,
        act: str,
        about: About | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._services.audit.write(connection, actor, act, about, details)

    async def ensure_user(self, user_id: str, display_name: str | None = None) -> bool:
        with waiting_for_relay():
            return await self._services.registration.ensure(user_id, display_name, "plugin")

    async def send(
        self,
        user_id: str,
        type_name: str,
        payload: dict[str, Any],
        target_id: str | None,
        *,
        own_id: str | None = None,
        scopes: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> Entry:
        self._pace.take(self.plugin)
        with waiting_for_relay():
            return await self._submitter.send_as(
                user_id, type_name, payload, target_id, own_id=own_id, scopes=scopes, depth=depth
            )

    async def post(
        self,
        user_id: str,
        type_name: str,
        payload: dict[str, Any],
        conversation: Conversation,
        *,
        own_id: str | None = None,
        shape: Callable[[Draft], None] | None = None,
    ) -> Entry:
        self._pace.take(self.plugin)
        type_ = self._own_type(type_name)
        with waiting_for_relay():
            draft = self._draft(user_id, type_, payload, conversation)
            if shape is not None:
                shape(draft)
            return await self._submitter.post(draft, own_id)

    def tell(
        self,
        conversation: Conversation,
        type_name: str,
        payload: dict[str, Any],
        *,
        sender_id: str,
        client_id: str | None = None,
        only: tuple[str, str] | None = None,
    ) -> None:
        type_ = self._own_type(type_name)
        if type_.kind is not Kind.TRANSIENT:
            raise ValueError(f"a {type_name} is stored; only transient messages are told")
        entry = Entry(
            channel_id=conversation.channel_id,
            type=type_name,
            kind=Kind.TRANSIENT,
            sender_id=sender_id,
            target_id=conversation.target_id(sender_id),
            client_id=client_id,
            own_id=None,
            digest=None,
            payload=type_.check(type_.read(msgspec.Raw(encode_json(payload)))),
            sent_at=None,
        )
        self._services.router.tell(entry, conversation, only)

    def when_stored(self, user_id: str, own_id: str, call: Callable[[Entry], None] | None) -> None:
        told = None if call is None else partial(self._tell_stored, call)
        self._services.router.when_stored(user_id, own_id, told)

    def _tell_stored(self, call: Callable[[Entry], None], entry: Entry) -> None:
        with suppress(PluginFailed, RelayError):
            self.guard.call("when_stored", call, entry)

    async def whisper(
        self,
        user_ids: Sequence[str],
        type_name: str,
        payload: dict[str, Any],
        conversation: Conversation,
        *,
        sender_id: str,
        own_id: str | None = None,
    ) -> list[Entry]:
        self._pace.take(self.plugin)
        type_ = self._own_type(type_name)
        check_recipients(type_, user_ids, conversation)
        with waiting_for_relay():
            drafts = [self._draft(sender_id, type_, payload, conversation) for _ in user_ids]
            for draft, user_id in zip(drafts, user_ids, strict=True):
                draft.only_for = user_id
            return await self._submitter.whisper(drafts, own_id)

    def _own_type(self, type_name: str) -> MessageType:
        """Return one of the plugin's own types.

        Raises:
            ValueError: it is another plugin's.
        """
        type_ = self._registry.types.get(type_name)
        if type_ is None or self._registry.owner(type_name).plugin != self.plugin:
            raise ValueError(f"{type_name!r} is not a message type of the plugin {self.plugin!r}; use send")
        return type_

    def _draft(
        self, user_id: str, type_: MessageType, payload: dict[str, Any], conversation: Conversation
    ) -> Draft:
        checked = type_.read(msgspec.Raw(encode_json(payload)))
        sender, target_id = InternalSender(Identity(user_id=user_id)), conversation.target_id(user_id)
        return Draft(type_, checked, sender, conversation, target_id, self)

    async def check_draft(self, draft: Draft) -> None:
        await self._hooks.before(draft)

    def call_acted(self, connection: sqlite3.Connection, answer: ActionAnswer) -> ActionOutcome | None:
        type_ = self._registry.types.get(answer.type)
        if type_ is None:
            return None
        return self._hooks.acted(self._registry.owner(type_.name), type_, connection, answer)

    def differs(self, type_name: str) -> bool:
        return self._recipients.concern(type_name)

    def envelopes(self, user_id: str, records: Sequence[Record]) -> list[SentEnvelope]:
        return envelopes(records, user_id, self._recipients)

    def check_size(self, type_: MessageType, payload: str) -> None:
        self._dispatcher.check_size(type_, payload)

    def wake(self) -> None:
        self._wakeup.set()

    async def woken(self, seconds: float = math.inf) -> None:
        if await self._wakeup.wait(seconds):
            with suppress(StorageFailed):
                await self.write(lambda _connection: None)
