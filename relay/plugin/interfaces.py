"""Interfaces of a server by subject: its users, groups, conversations, messages, devices, presence and settings.

A plugin reaches each by its server: `server.groups`. They stay as they are between versions: they may grow, and
what they say here holds. `relay.engine.interfaces` implements them with the services of the day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from relay.plugin.claims import Claim
from relay.protocol.kinds import Role, ServerRole
from relay.services.channels import Conversation
from relay.services.reports import ReportReason
from relay.services.statuses import SeenStatus
from relay.settings.limits import LimitsSettings
from relay.settings.sections import ServerSettings
from relay.storage.accounts import User
from relay.storage.history import Record


class SignedInUser(NamedTuple):
    """A user who has signed in: their token, and when it expires, Unix seconds (None for never)."""

    token: str
    user_id: str
    expires_at: float | None


class Users(Protocol):
    """The users of a server, and their access to it."""

    def blocks(self, user_id: str, other_id: str) -> bool:
        """Return whether a user blocks another: then nothing of the other's calls for their attention."""

    async def get(self, user_id: str) -> User | None:
        """Return a user, a disabled one too; None where there is none of exactly this id."""

    async def find(self, typed: str) -> User | None:
        """Return the user whom somebody means who typed an id, in whatever case; None where that is nobody."""

    async def by_mail(self, address: str) -> User | None:
        """Return the user who has verified a mail address, in whatever case; None where nobody has."""

    async def sign_in(
        self,
        claim: Claim,
        *,
        address: str,
        client_id: str | None = None,
        created: Callable[[sqlite3.Connection], None] | None = None,
        check: Callable[[sqlite3.Connection], None] | None = None,
    ) -> SignedInUser:
        """Sign a user in whom the plugin knows, without a password, and return the token of a login.

        It is a login as any other: it is listed, revoked and expires as one, and earlier where the claim says so.
        Where there is no such user, and the claim allows it, the account is created.

        Args:
            claim: `admin` and `role` are not for it: a login has its account's rights.
            address: of who signs in: what `relay.http.count_attempt` returns.
            client_id: the device that the token is for.
            created: `created(connection)` runs in the transaction that creates the account, where one is created.
            check: `check(connection)` runs in the transaction that creates the token, and may refuse. Somebody
                else may have made an account of this name a moment before: then `created` was not called.

        Raises:
            RelayError: `forbidden` for an account that is disabled, with the reason `account_disabled`, and for a
                user who is not there; `conflict` where a group has the name, `invalid_payload` where it cannot be
                one; or another plugin's refusal of a new account.
        """

    async def has_password(self, user_id: str) -> bool:
        """Return whether a user can sign in by a password of relay's own."""

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """Disable a user, which ends their connections with 4502, or enable them again.

        Raises:
            RelayError: `not_found`; `conflict` for an account that was erased, and for the last owner.
        """

    async def set_role(self, user_id: str, role: ServerRole) -> None:
        """Give a user another role on this server.

        Raises:
            RelayError: `not_found`; `conflict` for an account that was erased, and for the last owner.
        """

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token, and end the connections that said hello with it with 4503.

        Raises:
            RelayError: `not_found`.
        """

    def forget_tokens(self) -> None:
        """Have tokens looked up again: call it after a `write` that changed `disabled` or `role`."""


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

    def may_write(self, user_id: str, conversation: Conversation) -> bool:
        """Return whether a member may write there now: by their rights, and no timeout or block forbids it.

        For what is said in somebody's name later than they asked for it. Slow mode does not count for it.
        """

    async def begin_message(self, user_id: str, conversation: Conversation, own_id: str) -> None:
        """Count a message that its sender begins now and stores later under this id, by a group's slow mode.

        The message itself is not counted again. In a conversation without slow mode it does nothing.

        Raises:
            RelayError: `rate_limited` with `retry_after`, for who has yet to wait.
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

    async def report(self, user_id: str, message_id: int, reason: ReportReason, text: str = "") -> int:
        """Report a message to the moderators, as any user, who need not see it; return the report's id.

        Raises:
            RelayError: `not_found` for a message that is gone; `conflict` where this user has reported it before;
                `forbidden` on a server without moderators; `invalid_payload` for one that no person wrote.
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
