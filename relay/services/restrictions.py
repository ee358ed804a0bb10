"""Timeouts and bans that are in force, in memory, so that a message costs one lookup; and their ends in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from relay.protocol.errors import CloseCode, Disconnect
from relay.storage import restrictions
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.restrictions import SERVER, Restriction, RestrictionKind, described, refusal
from relay.wakeup import Wakeup

_LONGEST_WAIT: Final = 3600.0
"""The system clock may be set meanwhile; so it is read again after this time at the latest."""

_RETRY_SECONDS: Final = 5.0
_REASON_BYTES: Final = 123
"""Bytes of a close frame's reason (RFC 6455 section 5.5.1)."""


class Restrictions:
    """Knows what holds now. `Moderation` makes and lifts restrictions.

    Attributes:
        now: Unix seconds.
        timeouts: of users who have any, by conversation; the key `SERVER` is for the whole server.
        bans: from the server, by user.
        ended: called when the bans of some users have ended by themselves.
    """

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        self._runner = runner
        self.now = now
        self._wakeup = Wakeup()
        self._next: float | None = None
        self.timeouts: dict[str, dict[int, Restriction]] = {}
        self.bans: dict[str, Restriction] = {}
        self.ended: Callable[[], None] = lambda: None

    async def recover(self) -> None:
        """Lift what ended while the server did not run, and take the rest into memory."""
        now = self.now()
        await self._runner.write(lambda connection: restrictions.lift_ended(connection, now))
        for one in await self._runner.read(restrictions.list_all):
            self.hold(one)

    def hold(self, restriction: Restriction) -> None:
        """Take a restriction into memory, once it is stored."""
        if restriction.kind == "timeout":
            self.timeouts.setdefault(restriction.user_id, {})[restriction.channel_id] = restriction
        elif restriction.channel_id == SERVER:
            self.bans[restriction.user_id] = restriction
        if restriction.until is not None and (self._next is None or restriction.until < self._next):
            self._next = restriction.until
            self._wakeup.set()

    def drop(self, channel_id: int, user_id: str, kind: RestrictionKind) -> None:
        """Forget a restriction that was lifted."""
        if kind == "timeout":
            held = self.timeouts.get(user_id, {})
            held.pop(channel_id, None)
            if not held:
                self.timeouts.pop(user_id, None)
        elif channel_id == SERVER:
            self.bans.pop(user_id, None)

    def forget_user(self, user_id: str) -> None:
        """Forget what held for an account that is erased."""
        self.timeouts.pop(user_id, None)
        self.bans.pop(user_id, None)

    def timeout_of(self, user_id: str, channel_id: int = SERVER) -> Restriction | None:
        """Return the timeout that holds for a user in a conversation, the server's first; None if none does."""
        held = self.timeouts.get(user_id)
        if held is None:
            return None
        now = self.now()
        found = (held.get(SERVER), held.get(channel_id))
        return next((one for one in found if one is not None and one.holds(now)), None)

    def check_write(self, user_id: str, channel_id: int = SERVER) -> None:
        """Refuse who may only read: in a conversation, or on the whole server.

        Raises:
            RelayError: `forbidden`, with until when and why.
        """
        found = self.timeout_of(user_id, channel_id)
        if found is not None:
            raise refusal(found)

    def closed(self, user_id: str) -> Disconnect:
        """Return what ends a connection of an account that is closed, by a ban or by an admin."""
        ban = self.bans.get(user_id)
        if ban is None:
            return Disconnect(CloseCode.ACCOUNT_DISABLED)
        return Disconnect(CloseCode.ACCOUNT_DISABLED, _short(described(ban)), refusal(ban).details)

    async def run(self) -> None:
        """Lift restrictions when their time is over, for ever."""
        while True:
            try:
                await self._lift_ended()
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            wait = float("inf") if self._next is None else min(max(self._next - self.now(), 0.0), _LONGEST_WAIT)
            await self._wakeup.wait(wait)

    async def _lift_ended(self) -> None:
        now = self.now()
        if self._next is None or self._next > now:
            return
        self._next = None  # from here on `hold` sets it, for restrictions that are made during the reads below
        try:
            ended = await self._runner.write(lambda connection: restrictions.lift_ended(connection, now))
            left = await self._runner.read(restrictions.next_end)
        except StorageFailed:
            self._next = now
            raise
        known = [until for until in (self._next, left) if until is not None]
        self._next = min(known, default=None)
        for one in ended:
            self.drop(one.channel_id, one.user_id, one.kind)
        if any(one.kind == "ban" and one.channel_id == SERVER for one in ended):
            self.ended()


def _short(text: str) -> str:
    """Return a text that fits into a close frame."""
    raw = text.encode()
    if len(raw) <= _REASON_BYTES:
        return text
    return raw[: _REASON_BYTES - 3].decode(errors="ignore") + "…"
