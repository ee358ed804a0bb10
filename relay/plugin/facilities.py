"""Facilities of a server for plugins that need no message type: reading, writing, sending and waiting."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from relay.plugin.interfaces import (
    Conversations,
    Devices,
    Groups,
    Messages,
    Presence,
    SharedSettings,
    Users,
)
from relay.plugin.jobs import Jobs
from relay.plugin.messaging import Messaging
from relay.services.audit import About, Actor
from relay.storage.jobs import Job

T = TypeVar("T")


class Facilities(Messaging, Protocol):
    """The facilities of a server that need no message type: see `relay.plugin.Server`.

    Attributes:
        plugin: the plugin's own name.
        log: a logger of its name.
        memory: a dict of the plugin's own, kept as long as this server runs.
        users, groups, conversations, messages, devices, presence: the interfaces by subject.
        settings: the operator's settings that plugins may rely on.
        jobs: the plugin's scheduled jobs.
        epoch: the id of this database's log: a position of one log means nothing in another.
    """

    plugin: str
    log: logging.Logger
    memory: dict[str, Any]
    users: Users
    groups: Groups
    conversations: Conversations
    messages: Messages
    devices: Devices
    presence: Presence
    settings: SharedSettings
    jobs: Jobs
    epoch: str

    @property
    def position(self) -> int:
        """The log's end: the `message_id` up to which everything was sent out."""

    @property
    def handler_seconds(self) -> float:
        """The longest that one awaited call of the plugin's code may take: `[timeouts] handler_seconds`."""

    @property
    def failures(self) -> int:
        """How often the plugin's code failed, since the start."""

    def failed(self, what: str, fault: BaseException) -> None:
        """Count and log a failure of the plugin's own code that it caught itself; from any thread.

        Args:
            what: names the code that failed, for the log.
        """

    def count(self, what: str, kind: str = "") -> None:
        """Add one to a counter of the plugin's in `/metrics`.

        Args:
            what, kind: from a small fixed set: each pair is a counter of its own.
        """

    def now(self) -> float:
        """Return Unix seconds."""

    async def read(self, job: Job[T], *, inline: bool = False) -> T:
        """Run `job(connection)` on a connection that can only read, and return its answer.

        Args:
            inline: run it on the event loop, without a thread: for a row or two found by their key.
        """

    async def write(self, job: Job[T]) -> T:
        """Run `job(connection)` in a transaction; return its answer once that is committed.

        Raises:
            StorageFailed: the disk failed; nothing was written.
        """

    async def stored_beyond(self, position: int) -> int:
        """Wait until the log's end is beyond a position, and return it.

        Messages are not slowed down by it: so a task can follow the log by a cursor of its own.
        """

    async def erase(self, message_ids: Sequence[int]) -> list[int]:
        """Make tombstones of stream messages, as a deletion does, and return which became one.

        Args:
            message_ids: a few hundred at a time, as nothing else is stored meanwhile.

        Raises:
            StorageFailed: the disk failed; nothing was erased.
        """

    @property
    def actor(self) -> Actor:
        """On whose behalf the plugin's code runs: the caller of its view, or who runs its command.

        Anywhere else the plugin itself. It belongs to the task: ask for it before `write`, not in its job.
        """

    def audit(
        self,
        connection: sqlite3.Connection,
        actor: Actor,
        act: str,
        about: About | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an entry into the audit log, in the job of `write` that does the act.

        Args:
            actor: who did it; see `actor`.
            act: an area and what was done, such as "poll.closed".
            details: JSON values: what was before and after, a reason. Never a password, a token or a code.
        """

    async def ensure_user(self, user_id: str, display_name: str | None = None) -> bool:
        """Create a user where there is none, and tell whether one was created.

        Raises:
            RelayError: `conflict` when a group has the name, `invalid_payload` when it cannot be one.
        """

    def wake(self) -> None:
        """Wake the background task that waits in `woken`; from any thread, so that hooks can call it."""

    async def woken(self, seconds: float = math.inf) -> None:
        """Wait until `wake` is called, at most `seconds`; for one task of the plugin's.

        A transaction that was running when `wake` was called is committed by then.

        Raises:
            trio.BusyResourceError: another task waits here; give it a `Wakeup` of its own.
        """
