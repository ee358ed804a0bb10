"""Which messages a webhook is for."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from relay.plugin import Name, group_address, user_address

Names = Annotated[list[Name], Meta(max_length=200)]
Pairs = Annotated[list[Annotated[str, Meta(max_length=129)]], Meta(max_length=200)]


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody chose; an empty list leaves all in.

    Attributes:
        types: message types.
        groups, users, conversations: where it was said: in a group, to or by a user, between two (`alice:bob`).
            A message that any of the three names is in.
        senders: who said it.
    """

    types: Names = []
    groups: Names = []
    users: Names = []
    conversations: Pairs = []
    senders: Names = []

    def __str__(self) -> str:
        parts = [
            ", ".join(self.types) or "all types",
            *(f"{word} {', '.join(named)}" for word, named in self._said() if named),
        ]
        return " ".join(parts)

    def _said(self) -> tuple[tuple[str, list[str]], ...]:
        return (
            ("in", self.groups),
            ("with", self.users),
            ("between", self.conversations),
            ("from", self.senders),
        )


class Said(NamedTuple):
    """A stored message, as far as choosing needs it."""

    message_id: int
    channel_id: int
    seq: int
    type: str
    sender_id: str
    address: str


class Chooser:
    """A choice, made ready to be asked for every message.

    Args:
        own_user: whom the webhook itself posts as; what they say is never for it, or it would answer itself.
    """

    def __init__(self, choice: Choice, own_user: str | None) -> None:
        self._types = frozenset(choice.types)
        self._senders = frozenset(choice.senders)
        self._users = frozenset(choice.users)
        between = (pair.split(":", 1) for pair in choice.conversations)
        self._addresses = {*map(group_address, choice.groups), *(user_address(*pair) for pair in between)}
        self._anywhere = not (choice.groups or choice.users or choice.conversations)
        self._own_user = own_user

    def wants(self, said: Said) -> bool:
        """Tell whether the webhook is for a message."""
        return (
            (not self._types or said.type in self._types)
            and said.sender_id != self._own_user
            and (not self._senders or said.sender_id in self._senders)
            and (self._anywhere or said.address in self._addresses or self._of_a_user(said.address))
        )

    def _of_a_user(self, address: str) -> bool:
        kind, *names = address.split(":")
        return kind in ("user", "self") and not self._users.isdisjoint(names)
