"""The audit log: who did what to whom, from where, as a message of the server's own that nobody can change.

An entry is written in the transaction of its act: there is none without the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal, NamedTuple

import trio

from relay.protocol.kinds import ServerRole
from relay.storage import audit, tombstones
from relay.storage.accounts import Identity
from relay.storage.audit import Indexed
from relay.storage.entry import made_here
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.log import Log

Way = Literal["rest", "command line", "socket", "plugin"]
"""The way that an act came in by."""

_DAY: Final = 86_400.0
_SWEEP_SECONDS: Final = 3600.0
_RETRY_SECONDS: Final = 60.0
_AT_ONCE: Final = 200


class Actor(NamedTuple):
    """Somebody who acts, and the place they act from.

    Attributes:
        by: the user; None for the operator at the command line, and for a plugin that acts by itself.
        role: the user's role on this server; None where there is no user: then there is nothing they may not do.
        address: the address that the request came from, or "".
        client: the device or program, such as "phone-1" or "command line, uid 0".
        trusted: whether a plugin acts for the user, with rights of its own, which are all.
    """

    by: str | None
    role: ServerRole | None
    way: Way
    address: str = ""
    client: str = ""
    trusted: bool = False

    @property
    def rights(self) -> ServerRole | None:
        """The role whose rights the act has; None where there is nothing that it may not do."""
        return None if self.trusted else self.role

    @classmethod
    def of(cls, identity: Identity, way: Way, address: str = "", client: str = "") -> Actor:
        """Return the user of a token as somebody who acts."""
        return cls(identity.user_id, identity.role, way, address, client)

    @classmethod
    def operator(cls, uid: int | None) -> Actor:
        """Return the operator at the command line, by the id of the system's user."""
        return cls(None, None, "command line", "", "command line" if uid is None else f"command line, uid {uid}")

    @classmethod
    def plugin(cls, name: str, behalf: Actor | None = None) -> Actor:
        """Return a plugin that acts by itself, or on somebody's behalf, with rights of its own."""
        by, role, address = (None, None, "") if behalf is None else (behalf.by, behalf.role, behalf.address)
        return cls(by, role, "plugin", address, f"plugin {name}", trusted=True)


class About(NamedTuple):
    """The thing or person that an act is about: a kind such as "user", and its id."""

    kind: str
    id: str


_acting: Final[ContextVar[Actor | None]] = ContextVar("relay_acting", default=None)


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Run a block on somebody's behalf: a plugin's code in it finds them by `server.actor`."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def acting_now() -> Actor | None:
    """Return on whose behalf the present task runs a plugin's code; None where that is nobody's."""
    return _acting.get()


class AuditLog:
    """Writes entries into the audit log, and lets them go after their time.

    Args:
        now: Unix seconds.
        keep_days: how long entries are kept; 0 means for ever.
        addresses: whether entries have the address that an act came from.
    """

    def __init__(
        self,
        runner: Runner,
        log: Log,
        now: Callable[[], float],
        *,
        keep_days: float = 0,
        addresses: bool = True,
    ) -> None:
        self._runner = runner
        self._log = log
        self._now = now
        self._keep_days = keep_days
        self._addresses = addresses
        self._changed = trio.Event()

    def write(
        self,
        connection: sqlite3.Connection,
        actor: Actor,
        act: str,
        about: About | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an entry, in the transaction of its act: call it in the job of `runner.write` that does it.

        Not in a job of the `BatchingWriter`, which undoes single jobs without the log's knowing.

        Args:
            act: an area and what was done, such as "user.disabled".
            details: JSON values: what was before and after, a reason. Never a password, a token or a code.
        """
        now = self._now()
        payload = {
            "act": act,
            "by": actor.by,
            "role": actor.role,
            "about": None if about is None else about._asdict(),
            "details": dict(details or {}),
            "address": actor.address if self._addresses else "",
            "client": actor.client,
            "way": actor.way,
        }
        entry = made_here(audit.channel_of(connection), audit.TYPE, actor.by or "", "", payload, reads=False)
        self._log.append(connection, [entry], now)
        assert entry.message_id is not None  # noqa: S101 - an entry without an own id is stored, or raises
        kind, id_ = about or (None, None)
        audit.index(connection, entry.message_id, Indexed(act, actor.by, kind, id_), now)

    def change(self, keep_days: float, addresses: bool) -> None:
        """Keep entries for another time from now on, with addresses or without them."""
        self._keep_days, self._addresses = keep_days, addresses
        self._changed.set()
        self._changed = trio.Event()

    async def record(
        self, actor: Actor, act: str, about: About | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write an entry of an act that changes nothing in the database, in a transaction of its own."""
        await self._runner.write(lambda connection: self.write(connection, actor, act, about, details))

    async def run(self) -> None:
        """Let entries go that are older than `keep_days`, but for those on legal hold, for ever."""
        while True:
            if not self._keep_days:
                await self._changed.wait()
                continue
            try:
                await self._sweep(self._now() - self._keep_days * _DAY)
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            with trio.move_on_after(_SWEEP_SECONDS):
                await self._changed.wait()

    async def _sweep(self, before: float) -> None:
        """Erase the entries from before a moment, in small transactions."""
        at = self._now()

        def erase(connection: sqlite3.Connection) -> bool:
            found = audit.due(connection, before, _AT_ONCE)
            if not found:
                return False
            gone = tombstones.erase_messages(connection, found, at, audited=True)
            audit.forget(connection, gone)
            return len(gone) == _AT_ONCE

        while await self._runner.write(erase):
            await trio.lowlevel.checkpoint()
