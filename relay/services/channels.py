"""ChannelManager: conversations, of two users, of a group, of everybody.

A conversation that somebody talks in is held in memory with its members, so that asking who may send and
who receives costs no query. There is at most one object per conversation while anybody holds it: what a
membership change does to it, everybody sees at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from relay.protocol.errors import not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.storage.conversations import (
    ChannelRow,
    ensure_self_channel,
    ensure_user_channel,
    group_address,
    load_channel,
    self_address,
    user_address,
)
from relay.storage.history import other_party
from relay.storage.jobs import Runner

_KEPT: Final = 50_000
EVERYBODY: Final = "*"
"""The target id, and the address, of everybody's conversation."""


class Conversation:
    """A conversation in memory.

    Attributes:
        channel_id: its key in storage; 0 for a group whose creation is not committed yet.
        members: the present members' roles by user id; empty for everybody's conversation.
        history: what a newcomer sees, "join" or "start".
        spoke: who said something since it is in memory.
    """

    __slots__ = ("__weakref__", "address", "channel_id", "history", "kind", "members", "name", "spoke")

    def __init__(self, row: ChannelRow) -> None:
        self.channel_id = row.channel_id
        self.kind = row.kind
        self.address = row.address
        self.name = row.name
        self.members = row.members
        self.history = row.history
        self.spoke: set[str] = set()

    def target_id(self, user_id: str) -> str:
        """Return what a user calls it, as `meta.target_id` says; empty for their own channel."""
        return "" if self.kind is ConversationKind.SELF else other_party(self.address, user_id)


class ChannelManager:
    """Finds the conversation that a user means by a target id."""

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        self._runner = runner
        self._now = now
        self._by_address: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._by_target: dict[tuple[str, str], Conversation] = {}

    def find_nowait(self, user_id: str, target_id: str) -> Conversation | None:
        """Return the conversation when it is in memory; None says nothing about whether there is one."""
        return self._by_target.get((user_id, target_id))

    async def find(self, user_id: str, target_id: str) -> Conversation:
        """Return the conversation that `user_id` has with a user, or in a group, creating a user's.

        Raises:
            RelayError: `not_found` when there is no such target or the group is not theirs to see.
        """
        known = self.find_nowait(user_id, target_id)
        if known is None:
            known = await self._load(user_id, target_id)
            if len(self._by_target) >= _KEPT:
                self._by_target.clear()
            self._by_target[user_id, target_id] = known
        if user_id not in known.members:
            raise not_found(f"user or group {target_id!r}")
        return known

    async def own(self, user_id: str) -> Conversation:
        """Return a user's own channel, creating it where there is none; the user exists."""
        held = self._by_address.get(self_address(user_id))
        if held is None:
            known = await self._loaded(self_address(user_id))
            held = known or self.hold(
                await self._runner.write(lambda connection: ensure_self_channel(connection, user_id, self._now()))
            )
        return held

    def own_devices(self, user_id: str) -> Conversation:
        """Return what stands for a user's own devices where nothing is stored."""
        members = {user_id: Role.MEMBER}
        return Conversation(ChannelRow(0, ConversationKind.SELF, self_address(user_id), "", members, "start"))

    async def everybody(self) -> Conversation:
        """Return everybody's conversation."""
        found = await self.at(EVERYBODY)
        assert found is not None  # noqa: S101 - the schema creates it
        return found

    async def notified(self, target_id: str) -> Conversation:
        """Return where a notification to a user or a group is stored: the user's own channel, or the group's.

        Raises:
            RelayError: `not_found` when there is no such user or group.
        """
        kind = await self._kind(target_id)
        found = await self.own(target_id) if kind == "user" else await self.group(target_id)
        if found is None:
            raise not_found(f"user or group {target_id!r}")
        return found

    async def group(self, group_id: str) -> Conversation | None:
        """Return a group's conversation, whoever asks; None when there is none."""
        return await self.at(group_address(group_id))

    async def at(self, address: str) -> Conversation | None:
        """Return the conversation at an address, whoever asks; None when there is none, or no longer."""
        return self._by_address.get(address) or await self._loaded(address)

    async def _loaded(self, address: str) -> Conversation | None:
        # Read where it stands: on a thread an old answer could come back after a newer object was let go.
        row = await self._runner.read(lambda connection: load_channel(connection, address), inline=True)
        return self.hold(row) if row else None

    def hold(self, row: ChannelRow) -> Conversation:
        """Return the one object of a conversation, making it where nobody holds it."""
        held = self._by_address.get(row.address)
        if held is None:
            held = self._by_address[row.address] = Conversation(row)
        return held

    def forget(self, conversation: Conversation) -> None:
        """Drop a conversation that is no more; who still holds it finds it without members."""
        conversation.members.clear()
        self._by_address.pop(conversation.address, None)
        for key in [key for key, held in self._by_target.items() if held is conversation]:
            del self._by_target[key]

    async def _load(self, user_id: str, target_id: str) -> Conversation:
        held = self._by_address.get(user_address(user_id, target_id)) or self._by_address.get(
            group_address(target_id)
        )
        if held is not None:
            return held
        if await self._kind(target_id) == "group":
            group = await self.group(target_id)
            if group is None:
                raise not_found(f"user or group {target_id!r}")
            return group
        row = await self._runner.write(
            lambda connection: ensure_user_channel(connection, user_id, target_id, self._now())
        )
        return self.hold(row)

    async def _kind(self, name: str) -> str:
        """Return whether a name is a user's or a group's.

        Raises:
            RelayError: `not_found` when it is nobody's.
        """
        kind = await self._runner.read(
            lambda connection: connection.execute("SELECT kind FROM names WHERE name = ?", (name,)).fetchone(),
            inline=True,
        )
        if kind is None:
            raise not_found(f"user or group {name!r}")
        return str(kind[0])
