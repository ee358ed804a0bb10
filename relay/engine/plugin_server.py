"""The server as one plugin uses it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from relay.engine.own_time import others_time
from relay.engine.sending import post_as, send_as
from relay.plugin.types import Draft, MessageType, Server
from relay.services.channels import Conversation
from relay.services.limits import TokenBuckets
from relay.storage import tombstones
from relay.storage.accounts import ensure_user
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Job
from relay.storage.log import Entry
from relay.wakeup import Wakeup

if TYPE_CHECKING:
    from relay.engine.engine import Engine
    from relay.engine.guard import Guard
    from relay.engine.registry import Registry

T = TypeVar("T")


class PluginServer(Server):
    """The server as one plugin sees it: `relay.plugin.Server`, where each method is described.

    Attributes:
        guard: the plugin's standing.
        counts: what it counted, by what and of which kind; see `count`.
    """

    def __init__(self, engine: Engine, guard: Guard, pace: TokenBuckets) -> None:
        self.engine = engine
        self.plugin = guard.plugin
        self.guard = guard
        self.log = logging.getLogger(f"relay.plugin.{guard.plugin}")
        self.memory: dict[str, Any] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self._pace = pace
        self._wakeup = Wakeup()

    @property
    def services(self) -> Engine:
        return self.engine

    def count(self, what: str, kind: str = "") -> None:
        self.counts[what, kind] += 1

    def now(self) -> float:
        return self.engine.now()

    @property
    def message_types(self) -> Registry:
        return self.engine.registry

    @property
    def handler_seconds(self) -> float:
        return self.guard.rules.seconds

    @property
    def failures(self) -> int:
        return self.guard.failures

    def failed(self, what: str, fault: BaseException) -> None:
        self.guard.failed(what, fault)

    async def read(self, job: Job[T], *, inline: bool = False) -> T:
        with others_time() as turn:
            return await self.engine.runner.read(turn.of(job), inline=inline)

    async def write(self, job: Job[T]) -> T:
        with others_time() as turn:
            return await self.engine.runner.write(turn.of(job))

    async def stored_beyond(self, position: int) -> int:
        return await self.engine.router.wait_beyond(position)

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
        with others_time():
            return await send_as(
                self.engine,
                user_id,
                type_name,
                payload,
                target_id,
                own_id=own_id,
                scopes=scopes,
                depth=depth,
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
        with others_time():
            return await post_as(self, user_id, type_name, payload, conversation, own_id, shape)

    async def check_draft(self, draft: Draft) -> None:
        await self.engine.hooks.before(draft)

    def check_size(self, type_: MessageType, payload: str) -> None:
        self.engine.dispatcher.check_size(type_, payload)

    def wake(self) -> None:
        self._wakeup.set()

    async def woken(self, seconds: float = math.inf) -> None:
        if await self._wakeup.wait(seconds):
            with suppress(StorageFailed):
                await self.write(lambda _connection: None)


ServerOf = Callable[[str], PluginServer]
"""The server of a plugin, by the plugin's name."""
