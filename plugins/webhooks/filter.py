"""The filter of a webhook: which messages it gets."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from relay.plugin import Name, group_address, user_address

Names = Annotated[list[Name], Meta(max_length=200)]
Pairs = Annotated[list[Annotated[str, Meta(max_length=129)]], Meta(max_length=200)]

NAMED_ONLY = frozenset({"audit_event"})
"""Types that a webhook gets only if it names them: the audit log is not for everybody who gets all messages."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The messages that an admin chose for a webhook. An empty list excludes nothing.

    Attributes:
        types: message types; without them all but `audit_event`.
        groups, users, conversations: conversations: a group, all of a user's, or that of two users (`alice:bob`).
            A message that is in one of them is chosen.
        senders: users who sent the message.
    """

    types: Names = []
    groups: Names = []
    users: Names = []
    conversations: Pairs = []
    senders: Names = []

    def __str__(self) -> str:
        named = [
            ("in", self.groups),
            ("with", self.users),
            ("between", self.conversations),
            ("from", self.senders),
        ]
        places = [f"{word} {', '.join(names)}" for word, names in named if names]
        return " ".join([", ".join(self.types) or "all types", *places])


class StoredMessage(NamedTuple):
    """A row of the log, as far as a filter needs it."""

    message_id: int
    channel_id: int
    seq: int
    type: str
    sender_id: str
    address: str


class Filter:
    """A choice, prepared for a quick test of every message.

    Args:
        own_user: the user that the webhook posts answers as. It never gets their messages, so that it does not
            answer itself.
    """

    def __init__(self, choice: Choice, own_user: str | None) -> None:
        self._types = frozenset(choice.types)
        self._senders = frozenset(choice.senders)
        self._users = frozenset(choice.users)
        between = (pair.split(":", 1) for pair in choice.conversations)
        self._addresses = {*map(group_address, choice.groups), *(user_address(*pair) for pair in between)}
        self._anywhere = not (choice.groups or choice.users or choice.conversations)
        self._own_user = own_user

    def matches(self, message: StoredMessage) -> bool:
        """Return whether the webhook gets a message."""
        return (
            (message.type in self._types or not (self._types or message.type in NAMED_ONLY))
            and message.sender_id != self._own_user
            and (not self._senders or message.sender_id in self._senders)
            and (self._anywhere or message.address in self._addresses or self._has_chosen_user(message.address))
        )

    def _has_chosen_user(self, address: str) -> bool:
        kind, *names = address.split(":")
        return kind in ("user", "self") and not self._users.isdisjoint(names)
