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
