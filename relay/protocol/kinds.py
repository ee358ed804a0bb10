"""The three kinds of message type, by what is stored, replayed and dropped; kinds of conversation; roles."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The lifetime of a type's messages (the wire contract, section 2)."""

    STREAM = "stream"
    """Stored, each one with a `seq`; resume brings every one; never dropped."""

    LATEST = "latest"
    """Only the newest per (conversation, type, sender, key); an older value gives way in the queue."""

    TRANSIENT = "transient"
    """Never stored; resume brings nothing; dropped first."""


class ConversationKind(StrEnum):
    """The members of a conversation, by its kind."""

    USER = "user"
    """Two people (or one with themself)."""

    GROUP = "group"
    """A named group with members and roles."""

    SELF = "self"
    """One user's own channel: notifications to them."""

    BROADCAST = "broadcast"
    """Everybody."""


class Role(StrEnum):
    """The rights of a member of a group, the most first."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class ServerRole(StrEnum):
    """The rights of a user on this server, the most first."""

    OWNER = "owner"
    """Everything, and alone: making owners and admins."""

    ADMIN = "admin"
    """The administration of the server, and of the accounts below."""

    MODERATOR = "moderator"
    """What the server's calls for moderators offer."""

    MEMBER = "member"
    """An ordinary user."""

    GUEST = "guest"
    """A user who meets only the people of the conversations that they were put into."""

    def reaches(self, least: ServerRole) -> bool:
        """Return whether this role is `least` or a higher one."""
        return _ORDER.index(self) <= _ORDER.index(least)


_ORDER = tuple(ServerRole)
