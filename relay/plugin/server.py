"""What a plugin is handed: the server, as this plugin may use it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from relay.plugin.bell import Bell
from relay.plugin.own_time import others_time
from relay.plugin.sending import post_as, send_as
from relay.plugin.types import Draft
from relay.services.channels import Conversation
from relay.services.limits import TokenBuckets
from relay.storage import erasing
from relay.storage.accounts import ensure_user
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Job
from relay.storage.log import Entry

if TYPE_CHECKING:
    from relay.plugin.engine import Engine
    from relay.plugin.guard import Guard

T = TypeVar("T")


class Server:
    """The server as one plugin sees it.

    Attributes:
        services: the engine's services by name: `server.services.presence`, `.groups`, `.channels`, …
        plugin: the plugin's own name.
        guard: the plugin's standing.
        log: a logger of its name.
        memory: the plugin's own, for what it keeps in mind while this server runs.
        counts: what it counted, by what and of which kind; see `count`.
    """

    def __init__(self, engine: Engine, guard: Guard, pace: TokenBuckets) -> None:
        self.services = engine
        self.plugin = guard.plugin
        self.guard = guard
        self.log = logging.getLogger(f"relay.plugin.{guard.plugin}")
        self.memory: dict[str, Any] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self._pace = pace
        self._bell = Bell()

    def count(self, what: str, kind: str = "") -> None:
        """Count something once more, since the start, for `/metrics`.

        Args:
            what, kind: from a small fixed set: each pair is a figure of its own.
        """
        self.counts[what, kind] += 1

    def now(self) -> float:
        """Return Unix seconds."""
        return self.services.now()

    async def read(self, job: Job[T]) -> T:
        """Run `job(connection)` on a connection that can only read, and return its answer."""
        with others_time() as turn:
            return await self.services.runner.read(turn.of(job))

    async def write(self, job: Job[T]) -> T:
        """Run `job(connection)` in a transaction; return its answer once that is committed.

        Raises:
            StorageFailed: the disk did not take it.
        """
        with others_time() as turn:
            return await self.services.runner.write(turn.of(job))

    async def stored_beyond(self, position: int) -> int:
        """Wait until something is stored beyond a position of the log, and return the log's end.

        It costs messages nothing, so it is how a task follows the log by a cursor of its own.
        """
        return await self.services.router.wait_beyond(position)

    async def erase(self, message_ids: Sequence[int]) -> list[int]:
        """Make tombstones of stream messages, as a deletion does, and return which became one.

        Args:
            message_ids: a few hundred at a time, as nothing else is stored meanwhile.

        Raises:
            StorageFailed: the disk did not take it.
        """
        at = self.now()
        return await self.write(lambda connection: erasing.erase(connection, message_ids, at))

    async def ensure_user(self, user_id: str, display_name: str | None = None) -> bool:
        """Create a user where there is none, and tell whether one was created.

        Raises:
            RelayError: `conflict` when a group has the name, `invalid_payload` when it cannot be one.
        """
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
        """Send a message as a user, through all that a message of theirs goes through; return it once stored.

        Args:
            own_id: the idempotency key: the same one again stores nothing and returns the first.
            scopes: what it may do besides what any user may.
            depth: of an answer that a program gives, `relay.plugin.sending.follow` of what it answers.

        Raises:
            RelayError: it is refused; `rate_limited` beyond `[plugins] messages_per_second`.
        """
        self._pace.take(self.plugin)
        with others_time():
            return await send_as(
                self.services,
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
        """Store a message of one of this plugin's own types, as any user, in any conversation; return it then.

        Nobody's permission is asked, and the type's `prepare` and `handle` are passed over: the plugin answers for
        what it says. The type may be one that clients cannot send.

        Args:
            own_id: the idempotency key, among the user's.
            shape: sets `apply`, `after`, `expires_at` and the like, as `prepare` would.

        Raises:
            ValueError: the type is another plugin's.
            RelayError: it is refused; `rate_limited` beyond `[plugins] messages_per_second`.
        """
        self._pace.take(self.plugin)
        with others_time():
            return await post_as(self, user_id, type_name, payload, conversation, own_id, shape)

    def wake(self) -> None:
        """Have the background task that waits in `woken` go on; for hooks, on whatever thread they run."""
        self._bell.ring()

    async def woken(self, seconds: float = math.inf) -> None:
        """Wait until `wake` is called, or for so long; for one task of the plugin's.

        What was being written when `wake` was called is committed by then.
        """
        if await self._bell.wait(seconds):
            with suppress(StorageFailed):
                await self.write(lambda _connection: None)


ServerOf = Callable[[str], Server]
"""The server of a plugin, by the plugin's name."""
