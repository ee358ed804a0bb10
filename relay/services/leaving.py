"""The end of accounts: access ends at once; groups follow and, of an erased one, messages and files."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.services.accounts import Accounts
from relay.services.attachments import Attachments
from relay.services.blocks import Blocks
from relay.services.groups import Groups
from relay.storage import conversations, leaving
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.leaving import Progress
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.accounts")
_AT_ONCE: Final = 100
_PAUSE: Final = 0.005
_RETRY_SECONDS: Final = 5.0


class Leaving:
    """Erases and deletes accounts, one after the other.

    Args:
        now: Unix seconds.
    """

    def __init__(
        self,
        runner: Runner,
        accounts: Accounts,
        groups: Groups,
        attachments: Attachments,
        now: Callable[[], float],
        blocks: Blocks,
    ) -> None:
        self._runner = runner
        self._accounts = accounts
        self._groups = groups
        self._attachments = attachments
        self._now = now
        self._blocks = blocks
        self._asked = Wakeup()
        self._progressed = trio.Event()

    async def erase(
        self, user_id: str, check: Callable[[sqlite3.Connection], None] = lambda _connection: None
    ) -> Progress:
        """Erase an account, and return once that is done.

        Its connections end with 4502. The erasure goes on if the caller is cancelled; calling again is harmless.

        Args:
            check: runs in the transaction that ends the account, before anything else.

        Raises:
            RelayError: `not_found`; or what `check` raises.
        """
        await self._accounts.end_for_good(user_id, check)
        self._blocks.forget_user(user_id)
        self._asked.set()
        while True:
            progressed = self._progressed  # taken before the read, so that no progress is missed
            found = await self._runner.read(lambda connection: leaving.progress(connection, user_id), inline=True)
            assert found is not None  # noqa: S101 - `end_for_good` made it
            if found.done_at is not None:
                return found
            await progressed.wait()

    async def delete(self, user_id: str, check: Callable[[sqlite3.Connection], None]) -> None:
        """Delete an account whose messages stay; its user leaves their groups, at once or after the next start.

        Args:
            check: runs in the transaction that ends the account, before anything else.

        Raises:
            RelayError: `not_found`; or what `check` raises.
        """
        await self._accounts.end_for_good(user_id, check, keep=True)
        self._blocks.forget_user(user_id)
        await self._leave_all(user_id)

    async def run(self) -> None:
        """Erase accounts for ever, first those that were not finished at the last end."""
        while True:
            try:
                while (left_over := await self._runner.read(leaving.deleted_member, inline=True)) is not None:
                    await self._leave_all(left_over)
                while found := await self._runner.read(leaving.pending, inline=True):
                    await self._erase(found)
                    self._progressed.set()
                    self._progressed = trio.Event()
            except (StorageFailed, RelayError) as failed:
                _log.warning("an account is erased later: %s", failed)
                await trio.sleep(_RETRY_SECONDS)
                continue
            await self._asked.wait()

    async def _erase(self, begun: Progress) -> None:
        user_id = begun.user_id
        await self._leave_all(user_id)
        reached: int | None = begun.reached
        while reached is not None:
            found, reached = await self._runner.read(
                partial(leaving.said_after, user_id=user_id, position=reached, limit=_AT_ONCE)
            )
            if found and reached is not None:
                await self._runner.write(
                    partial(
                        leaving.erase_some, user_id=user_id, message_ids=found, reached=reached, now=self._now()
                    )
                )
                await trio.sleep(_PAUSE)
        after: str | None = ""
        while after is not None:
            after = await self._runner.write(
                partial(leaving.drop_files, user_id=user_id, after=after, limit=_AT_ONCE)
            )
        await self._attachments.collect()
        await self._runner.write(partial(leaving.finish, user_id=user_id, now=self._now()))
        _log.warning("the account %r is erased", user_id)

    async def _leave_all(self, user_id: str) -> None:
        while groups := await self._runner.read(
            lambda found: conversations.groups_of(found, user_id, "", _AT_ONCE)
        ):
            for group_id, _name, role in groups:
                await self._leave(user_id, group_id, Role(role))

    async def _leave(self, user_id: str, group_id: str, role: Role) -> None:
        """Leave a group. An owner's group goes to the oldest other member; without one it is deleted."""
        try:
            with self._groups.kept.open():
                await self._hand_on_and_leave(user_id, group_id, role)
        except RelayError as refused:
            # Somebody else changed the group meanwhile; `_erase` reads it again.
            if refused.code not in (ErrorCode.NOT_FOUND, ErrorCode.CONFLICT):
                raise
            await trio.sleep(_PAUSE)

    async def _hand_on_and_leave(self, user_id: str, group_id: str, role: Role) -> None:
        if role is Role.OWNER:
            heir = await self._runner.read(lambda connection: leaving.heir(connection, user_id, group_id))
            if heir is None:
                await self._groups.delete(user_id, group_id)
                return
            await self._groups.put_member(user_id, group_id, heir, Role.OWNER, unasked=True)
        await self._groups.remove_member(user_id, group_id, user_id, unasked=True)
