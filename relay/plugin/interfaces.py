"""Interfaces of a server by subject: its users, groups, conversations, messages, devices, presence and settings.

A plugin reaches each by its server: `server.groups`. They stay as they are between versions: they may grow, and
what they say here holds. `relay.engine.interfaces` implements them with the services of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.protocol.kinds import Role
from relay.services.channels import Conversation
from relay.services.statuses import SeenStatus
from relay.settings.limits import LimitsSettings
from relay.settings.sections import ServerSettings
from relay.storage.accounts import User
from relay.storage.history import Record


class Users(Protocol):
    """The users of a server, and their access to it."""

    async def get(self, user_id: str) -> User | None:
        """Return a user, a disabled one too; None where there is none of exactly this id."""

    async def find(self, typed: str) -> User | None:
        """Return the user whom somebody means who typed an id, in whatever case; None where that is nobody."""

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """Disable a user, which ends their connections with 4502, or enable them again.

        Raises:
            RelayError: `not_found`; `conflict` for an account that was erased.
        """

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token, and end the connections that said hello with it with 4503.

        Raises:
            RelayError: `not_found`.
        """

    def forget_tokens(self) -> None:
        """Have tokens looked up again: call it after a `write` that changed `disabled` or `admin`."""


class Groups(Protocol):
    """The groups of a server, and who is in them. A change is told to the group's members."""

    async def get(self, group_id: str) -> Conversation | None:
        """Return a group's conversation, whoever is in it; None where there is no such group."""

    async def role(self, group_id: str, user_id: str) -> Role | None:
        """Return a user's role in a group; None for who is no member, and for a group that does not exist."""

    async def require_role(self, group_id: str, user_id: str, least: Role = Role.MEMBER) -> Conversation:
        """Return a group's conversation if the user is in it, in this role or a higher one.

        Raises:
            RelayError: `not_found` for who is no member, as for a group that does not exist; `forbidden` for a
                member with a lower role.
        """

    async def create(
        self, owner_id: str, name: str, member_ids: Sequence[str] = (), group_id: str | None = None
    ) -> Conversation:
        """Create a group and return its conversation. The members are not asked.

        Args:
            group_id: None for one that relay makes up.

        Raises:
            RelayError: `conflict` for an id that is taken; `invalid_payload` for a name that shows nothing, too
                many members or one who does not exist; `forbidden` for an owner of too many groups.
        """

    async def put_member(self, actor_id: str, group_id: str, user_id: str, role: Role = Role.MEMBER) -> None:
        """Add a member to a group, or change a member's role, in the name of the owner or an admin of the group.

        Raises:
            RelayError: `not_found` for a group that the actor is not in, and for an unknown user; `forbidden`
                where the actor may not, or the group is full; `conflict` where another change came first.
        """

    async def remove_member(self, actor_id: str, group_id: str, user_id: str) -> None:
        """Remove a member from a group, in the name of the owner or an admin, or of the member: then they leave.

        Raises:
            RelayError: `not_found`; `forbidden`, also for the owner, who cannot leave.
        """


class Conversations(Protocol):
    """The conversations of a server. While anybody holds one, there is one object for it, and it is up to date."""

    async def find(self, user_id: str, target_id: str) -> Conversation:
        """Return a user's conversation by the target that the user names: another user's id, or a group's.

        The conversation of two users is created if need be.

        Raises:
            RelayError: `not_found` for a target that does not exist, and for a group that the user is not in.
        """

    async def at(self, address: str) -> Conversation | None:
        """Return the conversation at an address: `group_address(…)`, `user_address(…)`, `self:USER`, `*`.

        None where there is none yet, or its group is deleted. Nobody's membership is checked.

        Raises:
            ValueError: it is no address: a `channel_id`, which `by_id` takes, or a target, which `find` takes.
        """

    async def by_id(self, channel_id: int) -> Conversation | None:
        """Return the conversation with an id, such as `entry.channel_id`.

        None where its group is deleted, and for 0, the id of what is not stored. Nobody's membership is checked.

        Raises:
            TypeError: it is no number; an address is for `at`.
        """

    async def of_message(self, user_id: str, message_id: int) -> Conversation:
        """Return the conversation of a stored message that a user may see.

        Raises:
            RelayError: `not_found`, as for a message that does not exist, where the user may not see it.
        """

    async def own(self, user_id: str) -> Conversation:
        """Return the own channel of a user who exists: what is stored there is for this user alone."""

    def own_devices(self, user_id: str) -> Conversation:
        """Return a conversation with a user's own connected devices, for what is not stored."""


class Messages(Protocol):
    """The stored messages of a server, for those who may see them."""

    async def get(self, user_id: str, message_id: int) -> Record:
        """Return a stored message of the kind stream, a tombstone too, if the user may see it.

        Raises:
            RelayError: `not_found`, as for a message that does not exist, where the user may not see it.
        """


class ConnectedDevice(NamedTuple):
    """One connected device of a user.

    Attributes:
        active: False while its application is in the background.
        address: the peer's address.
    """

    client_id: str
    active: bool
    address: str


class Devices(Protocol):
    """The devices that are connected at this moment. Call its methods on relay's event loop, not in a job."""

    def of(self, user_id: str) -> list[ConnectedDevice]:
        """Return the connected devices of a user."""

    def users(self) -> list[str]:
        """Return the users who have a connected device."""


class Presence(Protocol):
    """The statuses of users: what they chose, or what their devices say."""

    async def status(self, user_id: str, *, seen_by: str | None = None) -> SeenStatus:
        """Return a user's status as another user may see it; by default as the user does.

        Raises:
            RelayError: `not_found` for a user who does not exist, or whom the other may not find.
        """

    async def follow(
        self, user_id: str, other_ids: Sequence[str], *, follow: bool
    ) -> tuple[list[SeenStatus], list[str]]:
        """Have all devices of a user follow others' statuses from now on, or no longer.

        Returns:
            The statuses of those who exist, and the ids of the others, or of whom the user may not find.

        Raises:
            RelayError: `forbidden` where the user would follow too many; nothing changes then.
        """


class SharedSettings(NamedTuple):
    """The sections of the operator's settings that plugins may rely on; docs/configuration.md has each key.

    Attributes:
        limits: `[limits]`; 0 lifts a limit.
        server: `[server]`: the address that the server listens on, and the origins and proxies that it trusts.
    """

    limits: LimitsSettings
    server: ServerSettings
