"""Saves what changed in memory to the state file, one transaction at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from relay.client.inbox import Inbox
from relay.client.outbox import Outbox
from relay.client.state import Change, Saved, StateFile, Value

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a piece of disk work to its end."""


async def in_thread(job: Callable[[], None]) -> None:
    """Run a short piece of disk work in a thread; it cannot be cancelled."""
    await trio.to_thread.run_sync(job)


@dataclass(slots=True)
class Identity:
    """The ids that this client and the server know each other by."""

    client_id: str
    session_id: str | None = None
    user_id: str | None = None
    epoch: str | None = None


class Persistence:
    """Owns the state file, if there is one; without it, everything counts as written at once."""

    def __init__(self, where: Path | None, run: Run = in_thread) -> None:
        self._where = where
        self._run = run
        self._file: StateFile | None = None
        self._facts: dict[str, Value] = {}
        self._lock = trio.Lock()
        self._changed = trio.Event()

    @property
    def durable(self) -> bool:
        """Whether there is a state file."""
        return self._where is not None

    async def open(self) -> Saved:
        """Open the file and return what it holds.

        Raises:
            StateError: The file cannot be used.
        """
        if self._where is None:
            return Saved()
        where = self._where
        saved = Saved()

        def read() -> None:
            nonlocal saved
            self._file = StateFile.open(where)
            saved = self._file.load()

        await self._run(read)
        self._facts = dict(saved.facts)
        return saved

    def wake(self) -> None:
        """Ask `run` to save soon."""
        self._changed.set()

    async def run(self, save: Callable[[], Awaitable[None]]) -> None:
        """Save after each `wake`; changes that come during one write share the next."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            await save()

    async def save(self, identity: Identity, inbox: Inbox, outbox: Outbox) -> None:
        """Write all that changed since the last time; it then survives this process.

        Raises:
            StateError: The file cannot be written.
        """
        if self._file is None:
            inbox.written(inbox.unwritten())
            return
        async with self._lock:
            change = self._collect(identity, inbox, outbox)
            if not change:
                return
            file = self._file
            await self._run(lambda: file.write(change))
            self._facts.update(change.facts)
            inbox.written(change.taken)
            outbox.written(change.added, change.removed)

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with trio.CancelScope(shield=True):
                await self._run(self._file.close)
            self._file = None

    def _collect(self, identity: Identity, inbox: Inbox, outbox: Outbox) -> Change:
        facts: dict[str, Value] = {
            "client_id": identity.client_id,
            "session_id": identity.session_id,
            "user_id": identity.user_id,
            "epoch": identity.epoch,
            "cursor": inbox.cursor,
        }
        changed = {name: value for name, value in facts.items() if self._facts.get(name) != value}
        added, removed = outbox.unwritten()
        return Change(changed, added, removed, inbox.unwritten(), new_log="epoch" in changed)
