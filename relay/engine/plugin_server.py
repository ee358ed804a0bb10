"""The server as one plugin sees it: what hooks, tasks, views and commands are given."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from relay.engine import interfaces
from relay.engine.dispatch import Dispatcher
from relay.engine.guard import Guard
from relay.engine.hooks import Hooks
from relay.engine.interfaces import Services
from relay.engine.jobs import PluginJobs
from relay.engine.moved import MovedServices
from relay.engine.registry import Registry
from relay.engine.submitter import InternalSender, Submitter
from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.actions import ActionAnswer, ActionOutcome
from relay.plugin.invocations import SlashCommands
from relay.plugin.types import Draft, MessageType, Server
from relay.protocol.envelope import encode_json
from relay.services.channels import Conversation
from relay.services.limits import TokenBuckets
from relay.storage import tombstones
from relay.storage.accounts import Identity, ensure_user
from relay.storage.entry import Entry
from relay.storage.errors import StorageFailed
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
        self.users = interfaces.PluginUsers(services)
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

    async def ensure_user(self, user_id: str, display_name: str | None = None) -> bool:
        now = self.now()
        return await self.write(
            lambda connection: ensure_user(connection, user_id, now, display_name=display_name)
        )

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
        type_ = self._registry.types.get(type_name)
        if type_ is None or self._registry.owner(type_name) is not self.guard:
            raise ValueError(f"{type_name!r} is not a message type of the plugin {self.plugin!r}; use send")
        with waiting_for_relay():
            checked = type_.read(msgspec.Raw(encode_json(payload)))
            sender, target_id = InternalSender(Identity(user_id=user_id)), conversation.target_id(user_id)
            draft = Draft(type_, checked, sender, conversation, target_id, self)
            if shape is not None:
                shape(draft)
            return await self._submitter.post(draft, own_id)

    async def check_draft(self, draft: Draft) -> None:
        await self._hooks.before(draft)

    def call_acted(self, connection: sqlite3.Connection, answer: ActionAnswer) -> ActionOutcome | None:
        type_ = self._registry.types.get(answer.type)
        if type_ is None or type_.acted is None:
            return None
        return self._hooks.acted(self._registry.owner(type_.name), type_, connection, answer)

    def check_size(self, type_: MessageType, payload: str) -> None:
        self._dispatcher.check_size(type_, payload)

    def wake(self) -> None:
        self._wakeup.set()

    async def woken(self, seconds: float = math.inf) -> None:
        if await self._wakeup.wait(seconds):
            with suppress(StorageFailed):
                await self.write(lambda _connection: None)
