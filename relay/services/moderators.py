"""The moderators' conversation: a group whose members are the moderators of the server, and those above them."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.services.channels import ChannelManager, Conversation
from relay.services.groups import Groups
from relay.storage import conversations, reports
from relay.storage.jobs import Runner

_IDS: Final = ("moderators", "server_moderators")
"""The ids that it may have; the second one where somebody has the first."""

_NAME: Final = "Moderators"


class Moderators:
    """Keeps the moderators' conversation: made when there is need of it, its members as the roles are."""

    def __init__(self, runner: Runner, channels: ChannelManager, groups: Groups) -> None:
        self._runner = runner
        self._channels = channels
        self._groups = groups
        self._turn = trio.Lock()

    async def recover(self) -> None:
        """Find out which group it is, if there is one."""
        await self._found()

    async def conversation(self) -> Conversation:
        """Return the moderators' conversation, made if need be.

        Raises:
            RelayError: `forbidden` on a server without moderators.
        """
        async with self._turn:
            found = await self._found()
            return found if found is not None else await self._make()

    async def keep_members(self) -> None:
        """Bring the members up to date, after a change of somebody's role or account."""
        async with self._turn:
            group = await self._found()
            wanted = await self._runner.read(reports.moderators, inline=True)
            if group is None or not wanted:
                return
            group_id = group.address.partition(":")[2]
            with self._groups.kept.open():
                owner = conversations.owner_of(group.members)
                if owner != wanted[0]:
                    await self._groups.put_member(
                        owner, group_id, wanted[0], Role.OWNER, acquaint=True, unasked=True
                    )
                for user_id, role in list(group.members.items()):
                    if user_id not in wanted:
                        await self._groups.remove_member(wanted[0], group_id, user_id, unasked=True)
                    elif role is Role.ADMIN:
                        await self._groups.put_member(wanted[0], group_id, user_id, Role.MEMBER, unasked=True)
                for user_id in wanted:
                    if user_id not in group.members:
                        await self._groups.put_member(
                            wanted[0], group_id, user_id, Role.MEMBER, acquaint=True, unasked=True
                        )

    async def _found(self) -> Conversation | None:
        group_id = await self._runner.read(reports.moderators_group, inline=True)
        found = None if group_id is None else await self._channels.group(group_id)
        self._groups.kept.address = None if found is None else found.address
        return found

    async def _make(self) -> Conversation:
        wanted = await self._runner.read(reports.moderators, inline=True)
        if not wanted:
            text = "this server has no moderators yet; tell who runs it"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "no_moderators"})
        for group_id in (*_IDS, conversations.made_up_id()):
            try:
                made = await self._groups.create(wanted[0], _NAME, wanted[1:], group_id, acquaint=True)
            except RelayError as refused:
                if refused.code is not ErrorCode.CONFLICT:
                    raise
                continue
            await self._runner.write(partial(reports.note_moderators_group, group_id=group_id))
            self._groups.kept.address = made.address
            return made
        raise RelayError(ErrorCode.CONFLICT, "the moderators' conversation could not be made; try again")
