"""The contents of an export, whichever system it is of: people, conversations, messages."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Protocol

import msgspec


class PlaceKind(StrEnum):
    """The kinds of conversation that exports have."""

    GROUP = "group"
    DIRECT = "direct"
    SELF = "self"


class Person(msgspec.Struct):
    """Somebody who wrote, or could have: a person, or a program.

    Attributes:
        key: the id there.
        called: what the id here is made of.
        user_id: the id here.
        disabled: whether the account was closed there, or is not in the export.
    """

    key: str
    called: str
    user_id: str = ""
    display_name: str = ""
    email: str | None = None
    bot: bool = False
    guest: bool = False
    disabled: bool = False


class Place(msgspec.Struct):
    """A conversation.

    Attributes:
        key: the id there.
        name: what it is called; empty for one of two, and for one's own.
        group_id: its id here, for a group.
        members: ids of people here; of one of two both, of one's own the one.
        owner, admins: the member who owns a group, and others who look after it.
        created_at: Unix seconds; 0 where that is not known.
        closed_at: when it was archived; None for one that is in use.
    """

    key: str
    kind: PlaceKind
    members: list[str]
    name: str = ""
    group_id: str = ""
    owner: str = ""
    admins: list[str] = []
    description: str = ""
    public: bool = False
    created_at: float = 0.0
    closed_at: float | None = None


class File(msgspec.Struct, frozen=True):
    """A file that belongs to a message, and its name in the archive."""

    name: str
    inside: str


class Reacted(msgspec.Struct, frozen=True):
    """A reaction; `at` is 0 where the export does not say when."""

    user_id: str
    emoji: str
    at: float = 0.0


class Post(msgspec.Struct):
    """A message.

    Attributes:
        key: the id by which it is known again when it is imported once more.
        at, edited_at: Unix seconds.
        thread: the key of the root of the thread that it replies in.
        shown: whether the conversation shows a reply beside its thread.
        saved_by, followers: who saved it for themselves, and who follows its thread.
        event: what the system says of a group, as a `group_event` has it; there is no text then.
        deleted: whether only its place is left.
    """

    key: str
    place: Place
    user_id: str
    at: float
    text: str
    where: str
    mentions: tuple[str, ...] = ()
    thread: str | None = None
    shown: bool = False
    edited_at: float | None = None
    files: list[File] = []
    reactions: list[Reacted] = []
    pinned: bool = False
    saved_by: list[str] = []
    followers: list[str] = []
    event: dict[str, Any] | None = None
    deleted: bool = False


class Export(Protocol):
    """An export that was read through once, so that all its people and places are known."""

    source: str
    """Names the system that it is of, the same in each export of it."""

    def people(self) -> list[Person]:
        """Return everybody, in the order of their ids."""

    def places(self) -> list[Place]:
        """Return all conversations."""

    def posts(self) -> Iterator[Post]:
        """Yield all messages in the order of their times; a root comes before its replies."""
