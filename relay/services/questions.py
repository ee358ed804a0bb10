"""Questions that plugins are asked before something happens that is no message, and who answers them.

A service makes a question, has it asked, and goes on with what it says afterwards. Services know no plugins: they
are given an `Asked`, and `NOBODY` where there is none to ask.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.storage.attachments import CHUNK_BYTES
from relay.storage.names import check_name
from relay.storage.shown import check_shown

Way = Literal["register", "operator", "plugin", "authenticator", "sign_in"]
"""How an account comes to be: somebody registers; by a command; by a plugin's `ensure_user`; by a claim of an
`Authenticator` or of a `PasswordAuthenticator`."""

LONGEST_NAME: Final = 100
_LONGEST_FILE_NAME: Final = 255
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


@dataclass(slots=True, kw_only=True)
class NewUser:
    """An account that is about to be created.

    Attributes:
        user_id: its name; may be changed in a registration, and nowhere else.
        display_name: may be changed; None shows the user id.
        way: how it comes to be.
        invite: the code of the invite that somebody registers with; may be changed in a registration.
        address: the address of who registers or signs in; empty for the other ways.
    """

    user_id: str
    display_name: str | None
    way: Way
    invite: str | None = None
    address: str = ""

    def changeable(self) -> frozenset[str]:
        """Return the attributes that a plugin may change."""
        return frozenset({"display_name", "user_id", "invite"} if self.way == "register" else {"display_name"})

    def check(self) -> None:
        """Check what a plugin made of it.

        Raises:
            TypeError: naming what is right.
        """
        _fits("user_id", self.user_id, lambda text: check_name(text, "user_id"))
        if self.display_name is not None:
            _fits("display_name", self.display_name, lambda text: _check_name(text, "display_name"))
        if not isinstance(self.invite, str | None):
            raise TypeError(f"invite is {self.invite!r:.80}; it is a code, or None")


class RegisteredUser(NamedTuple):
    """An account that was created."""

    user_id: str
    display_name: str
    way: Way


@dataclass(slots=True, kw_only=True)
class NewName:
    """A name that is about to be shown: a user's display name, or a group's name.

    Attributes:
        text: may be changed.
        kind: "user" or "group".
        of: the id of the user or group.
        by: the user who chose it; None for an operator, a plugin, and who is not here yet.
    """

    text: str
    kind: Literal["user", "group"]
    of: str
    by: str | None

    def changeable(self) -> frozenset[str]:
        """Return the attributes that a plugin may change."""
        return frozenset({"text"})

    def check(self) -> None:
        """Check what a plugin made of it.

        Raises:
            TypeError: naming what is right.
        """
        _fits("text", self.text, lambda text: _check_name(text, "text"))


class _Fixed:
    """A question of which nothing may be changed."""

    __slots__ = ()

    def changeable(self) -> frozenset[str]:
        """Return the attributes that a plugin may change: none."""
        return frozenset()

    def check(self) -> None:
        """Check nothing: there is nothing to change."""


@dataclass(slots=True, kw_only=True)
class NewConversation(_Fixed):
    """A conversation that is about to begin: a user addresses another for the first time, or a group is created.

    Attributes:
        kind: of two users, or a group.
        by: the user who begins it; None for an operator or a plugin that creates a group.
        target_id: the other user, or the group's id.
        members: everybody who will be in it.
    """

    kind: ConversationKind
    by: str | None
    target_id: str
    members: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class MemberChange(_Fixed):
    """A change of a group's members that is about to be made.

    Attributes:
        by: the member who makes it; None for an operator or a plugin.
        role: the new role; None for who leaves or is removed.
        was: the role until now; None for who joins.
    """

    group_id: str
    user_id: str
    by: str | None
    role: Role | None
    was: Role | None


class _Parts:
    """Chunks, one after the other; not a generator, which whoever ends a loop early would have to close."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]] | None, count: int) -> None:
        self._read = read
        self._left = iter(range(count))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        number = next(self._left, None)
        if number is None or self._read is None:
            raise StopAsyncIteration
        return await self._read(number)


@dataclass(slots=True, kw_only=True)
class Upload:
    """A file that a user uploads.

    Attributes:
        name: may be changed.
        type: the media type, as recognized by the first bytes; may be changed.
        size: in bytes; before all are here the announced size, or None.
        sha256: of the bytes, in hexadecimal digits; empty before all are here.
        chunk: the server's own: reads one chunk of the stored bytes.
    """

    user_id: str
    name: str
    type: str
    size: int | None
    sha256: str = ""
    chunk: Callable[[int], Awaitable[bytes]] | None = None

    def parts(self) -> AsyncIterator[bytes]:
        """Return the stored bytes in order, 128 KiB at a time; none before all are here."""
        count = 0 if self.chunk is None or self.size is None else (self.size + CHUNK_BYTES - 1) // CHUNK_BYTES
        return _Parts(self.chunk, count)

    def changeable(self) -> frozenset[str]:
        """Return the attributes that a plugin may change."""
        return frozenset({"name", "type"})

    def check(self) -> None:
        """Check what a plugin made of it.

        Raises:
            TypeError: naming what is right.
        """
        _fits("name", self.name, lambda text: check_shown(text, "name"))
        if len(self.name) > _LONGEST_FILE_NAME or "/" in self.name or "\\" in self.name:
            raise TypeError(
                f"name is {self.name!r:.80}; it has at most {_LONGEST_FILE_NAME} characters, and no folder"
            )
        if not isinstance(self.type, str) or not _MEDIA_TYPE.fullmatch(self.type):
            raise TypeError(f"type is {self.type!r:.80}; it is a media type in lower case, such as image/png")


Question = NewUser | NewName | NewConversation | MemberChange | Upload


What = Literal["register", "user_name", "begin", "join", "leave", "change_role", "group_name", "upload", "scan"]
"""What may be refused: a new account; a display name; that a conversation begins; changes of a group's members;
its name; a file, once its first bytes are here; and again once it is stored, before anybody can see it."""


class Asked(Protocol):
    """Whoever is asked."""

    async def ask(self, what: What, question: Question) -> None:
        """Ask whether something may happen; the question may be changed by it.

        Raises:
            RelayError: it may not.
        """

    def registered(self, user: RegisteredUser) -> None:
        """Tell that an account was created."""


class _Nobody:
    """Nobody to ask: all may happen."""

    async def ask(self, what: What, question: Question) -> None:
        """Allow it."""

    def registered(self, user: RegisteredUser) -> None:
        """Tell nobody."""


NOBODY: Final[Asked] = _Nobody()


async def allowed_name(asked: Asked, text: str, kind: Literal["user", "group"], of: str, by: str | None) -> str:
    """Ask whether a name may be shown, and return it as it is to be shown.

    Raises:
        RelayError: a refusal.
    """
    new = NewName(text=text, kind=kind, of=of, by=by)
    await asked.ask("user_name" if kind == "user" else "group_name", new)
    return new.text


def _check_name(text: str, field: str) -> str:
    if len(text) > LONGEST_NAME:
        raise TypeError(f"{field} is {text!r:.80}…; it has at most {LONGEST_NAME} characters")
    return check_shown(text, field)


def _fits(field: str, value: object, check: Callable[[str], str]) -> None:
    """Check a text that a plugin may have changed.

    Raises:
        TypeError: it is no text, or `check` refuses it or would have it otherwise.
    """
    if not isinstance(value, str):
        raise TypeError(f"{field} is {value!r:.80}; it is a text")
    try:
        same = check(value) == value
    except RelayError as refused:
        raise TypeError(f"{field} is {value!r:.80}: {refused.message}") from None
    if not same:
        raise TypeError(f"{field} is {value!r:.80}; it has no space around it")
