"""ChannelManager: finds conversations, and holds those in use in memory, with their members.

So it costs no query to know who may send to a conversation and who receives. While anybody holds a conversation
there is one object for it, so everybody sees a change of its members at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from relay.protocol.errors import not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.protocol.rights import ORDINARY, Rights, is_restricted
from relay.services.questions import NOBODY, Asked, NewConversation
from relay.services.server_roles import check_may_address
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
from relay.storage.names import kind_of, same_name

_REMEMBERED: Final = 50_000
"""The most target ids whose conversation is remembered."""

EVERYBODY: Final = "*"
"""The target id, and the address, of the broadcast conversation."""


class Conversation:
    """A conversation in memory.

    Attributes:
        channel_id: its key in storage; 0 for a group whose creation is not committed yet.
        members: the present members' roles by user id; empty for the broadcast conversation.
        history: from when a new member sees it: "join" or "start".
        public: whether everybody may join it.
        chosen: the rights of a group that were chosen for it; for the others the server's defaults hold.
        rights: all of its rights. `set_rights` changes them.
        closed: whether a group is closed: nobody writes in it.
        restricted: whether there is something that not every member may do who may in an ordinary group: write,
            reply, react. Where it is False, a message needs no decision.
        slow_mode_seconds: the seconds between two messages of a plain member of a group; 0 for no slow mode.
        spoke: the members who have sent a message since it is in memory.
    """

    __slots__ = (
        "__weakref__", "address", "channel_id", "chosen", "closed", "history", "kind", "members", "name", "public",
        "restricted", "rights", "slow_mode_seconds", "spoke",
    )  # fmt: skip

    def __init__(self, row: ChannelRow, defaults: Rights = ORDINARY) -> None:
        self.channel_id = row.channel_id
        self.kind = row.kind
        self.address = row.address
        self.name = row.name
        self.members = row.members
        self.history = row.history
        self.public = row.public
        self.slow_mode_seconds = row.slow_mode_seconds
        self.spoke: set[str] = set()
        self.set_rights(row.rights, closed=row.closed, defaults=defaults)

    def set_rights(self, chosen: Mapping[str, str], *, closed: bool, defaults: Rights) -> None:
        """Set the rights that were chosen for a group, and whether it is closed.

        Args:
            defaults: the rights that hold where none was chosen.
        """
        self.chosen, self.rights, self.closed = chosen, defaults.with_set(chosen), closed
        self.restricted = is_restricted(self.rights, closed=closed)

    def target_id(self, user_id: str) -> str:
        """Return a user's target id for it, as in `meta.target_id`; empty for their own channel."""
        return "" if self.kind is ConversationKind.SELF else other_party(self.address, user_id)


class ChannelManager:
    """Finds the conversation that a user means by a target id.

    Args:
        asked: who may refuse that two users begin to talk.
        check_direct: refuses that two users begin to talk of whom one blocks the other.
    """

    def __init__(
        self,
        runner: Runner,
        now: Callable[[], float],
        asked: Asked = NOBODY,
        check_direct: Callable[[str, str], None] = lambda _user_id, _other: None,
    ) -> None:
        self._runner = runner
        self._now = now
        self._asked = asked
        self._check_direct = check_direct
        self._by_address: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._by_target: dict[tuple[str, str], Conversation] = {}
        self.default_rights = ORDINARY

    def set_default_rights(self, rights: Rights) -> None:
        """Set the rights of groups for which none were chosen: message types say some of them."""
        self.default_rights = rights
        for held in list(self._by_address.values()):
            held.set_rights(held.chosen, closed=held.closed, defaults=rights)

    def find_nowait(self, user_id: str, target_id: str) -> Conversation | None:
        """Return the conversation if it is in memory; None does not mean that there is none."""
        return self._by_target.get((user_id, target_id))

    async def find(self, user_id: str, target_id: str) -> Conversation:
        """Return a user's conversation with another user, which is created if need be, or in a group.

        Raises:
            RelayError: `not_found` if there is no such user or group, or the user is not a member of the group; or
                a plugin's refusal to let the two begin.
        """
        known = self.find_nowait(user_id, target_id)
        if known is None:
            known = await self._load(user_id, target_id)
            if len(self._by_target) >= _REMEMBERED:
                self._by_target.clear()
            self._by_target[user_id, target_id] = known
        if user_id not in known.members:
            raise not_found(f"user or group {target_id!r}")
        return known

    async def own(self, user_id: str) -> Conversation:
        """Return a user's own channel, which is created if need be; the user exists."""
        held = self._by_address.get(self_address(user_id))
        if held is None:
            known = await self._loaded(self_address(user_id))
            held = known or self.hold(
                await self._runner.write(lambda connection: ensure_self_channel(connection, user_id, self._now()))
            )
        return held

    def own_devices(self, user_id: str) -> Conversation:
        """Return a conversation with a user's own devices, for messages that are not stored."""
        members = {user_id: Role.MEMBER}
        return Conversation(ChannelRow(0, ConversationKind.SELF, self_address(user_id), "", members, "start"))

    async def everybody(self) -> Conversation:
        """Return the broadcast conversation."""
        found = await self.at(EVERYBODY)
        assert found is not None  # noqa: S101 - the schema creates it
        return found

    async def notified(self, target_id: str) -> Conversation:
        """Return the conversation that stores a notification to a user, their own channel, or to a group.

        Raises:
            RelayError: `not_found` if there is no such user or group.
        """
        kind = await self._kind(target_id)
        found = await self.own(target_id) if kind == "user" else await self.group(target_id)
        if found is None:
            raise not_found(f"user or group {target_id!r}")
        return found

    async def in_its_case(self, user_id: str) -> str:
        """Return the id of the user whose id was typed in another case; unchanged if there is none."""
        return await self._runner.read(lambda connection: same_name(connection, user_id), inline=True)

    async def group(self, group_id: str) -> Conversation | None:
        """Return a group's conversation without a check of membership; None if there is none."""
        return await self.at(group_address(group_id))

    async def at(self, address: str) -> Conversation | None:
        """Return the conversation at an address without a check of membership; None if there is none."""
        return self._by_address.get(address) or await self._loaded(address)

    async def _loaded(self, address: str) -> Conversation | None:
        # Inline: the row that a thread read could arrive late, after a newer object was dropped from memory.
        row = await self._runner.read(lambda connection: load_channel(connection, address), inline=True)
        return self.hold(row) if row else None

    def hold(self, row: ChannelRow) -> Conversation:
        """Return the one object of a conversation; it is made from the row if nobody holds one."""
        held = self._by_address.get(row.address)
        if held is None:
            held = self._by_address[row.address] = Conversation(row, self.default_rights)
        return held

    def forget(self, conversation: Conversation) -> None:
        """Forget a conversation that was deleted. Code that still holds it finds no members in it."""
        conversation.members.clear()
        self._by_address.pop(conversation.address, None)
        for key in [key for key, held in self._by_target.items() if held is conversation]:
            del self._by_target[key]

    async def _load(self, user_id: str, target_id: str) -> Conversation:
        known = await self._known(user_id, target_id)
        if known is not None:
            return known
        if user_id != target_id:
            self._check_direct(user_id, target_id)
            members, kind = (user_id, target_id), ConversationKind.USER
            await self._asked.ask(
                "begin", NewConversation(kind=kind, by=user_id, target_id=target_id, members=members)
            )
        row = await self._runner.write(
            lambda connection: ensure_user_channel(connection, user_id, target_id, self._now())
        )
        return self.hold(row)

    async def _known(self, user_id: str, target_id: str) -> Conversation | None:
        """Return the conversation that a target id means if there is one; None for two users who may begin one.

        Raises:
            RelayError: `not_found`.
        """
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
        known = await self._loaded(user_address(user_id, target_id))
        if known is None:
            await self._runner.read(
                lambda connection: check_may_address(connection, user_id, target_id), inline=True
            )
        return known

    async def _kind(self, name: str) -> str:
        """Return the kind of a name: "user" or "group".

        Raises:
            RelayError: `not_found` if nobody has it.
        """
        kind = await self._runner.read(lambda connection: kind_of(connection, name), inline=True)
        if kind is None:
            raise not_found(f"user or group {name!r}")
        return kind
