"""Parts by which a plugin is asked before something happens that is no message: accounts, groups, files, sign-in.

Their functions are plain or async. To return None is to allow; to raise `RelayError` is to refuse, with its text.
What fails refuses as well, with `plugin_failed`: what nobody could allow does not happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from relay.plugin import validation
from relay.plugin.claims import Claim
from relay.plugin.types import Server
from relay.services.questions import MemberChange, NewConversation, NewName, NewUser, RegisteredUser, Upload

Answered = Awaitable[None] | None


@dataclass(frozen=True, kw_only=True)
class AccountHook:
    """Code that is asked about accounts. Register it from `relay_account_hooks`.

    Args:
        register: `register(server, new)`: a `NewUser` is about to be created, in whichever way.
        name: `name(server, new)`: a `NewName` is about to be a user's display name.
        registered: `registered(server, user)`: a `RegisteredUser` was created. After the fact, in the plugin's own
            task; after a crash not at all.
        required: where the plugin does not work (it failed, or is in quarantine), refuse with `overloaded`, to be
            tried again; without it a plugin in quarantine is passed over.
        order: lower is asked first.
    """

    register: Callable[[Server, NewUser], Answered] | None = None
    name: Callable[[Server, NewName], Answered] | None = None
    registered: Callable[[Server, RegisteredUser], Answered] | None = None
    required: bool = False
    order: int = 0

    def __post_init__(self) -> None:
        validation.functions("AccountHook", self, "registered")
        _check(self, "register", "name")


@dataclass(frozen=True, kw_only=True)
class ConversationHook:
    """Code that is asked about conversations and groups. Register it from `relay_conversation_hooks`.

    Args:
        begin: `begin(server, new)`: a `NewConversation` is about to begin.
        join: `join(server, change)`: a user is about to become a member of a group; a `MemberChange`.
        leave: `leave(server, change)`: a member is about to leave a group, or to be removed.
        change_role: `change_role(server, change)`: a member is about to have another role.
        name: `name(server, new)`: a `NewName` is about to be a group's.
        required: where the plugin does not work (it failed, or is in quarantine), refuse with `overloaded`, to be
            tried again; without it a plugin in quarantine is passed over.
        order: lower is asked first.
    """

    begin: Callable[[Server, NewConversation], Answered] | None = None
    join: Callable[[Server, MemberChange], Answered] | None = None
    leave: Callable[[Server, MemberChange], Answered] | None = None
    change_role: Callable[[Server, MemberChange], Answered] | None = None
    name: Callable[[Server, NewName], Answered] | None = None
    required: bool = False
    order: int = 0

    def __post_init__(self) -> None:
        _check(self, "begin", "join", "leave", "change_role", "name")


@dataclass(frozen=True, kw_only=True)
class UploadHook:
    """Code that is asked about files. Register it from `relay_upload_hooks`.

    Args:
        upload: `upload(server, upload)`: an `Upload` begins; its first bytes are here, so that its type is known.
        scan: `scan(server, upload)`: all of its bytes are stored, and nobody can see it yet; `upload.parts()`
            reads them. Under `[attachments] scan_seconds`.
        required: where the plugin does not work (it failed, or is in quarantine), refuse with `overloaded`, to be
            tried again; without it a plugin in quarantine is passed over.
        order: lower is asked first.
    """

    upload: Callable[[Server, Upload], Answered] | None = None
    scan: Callable[[Server, Upload], Answered] | None = None
    required: bool = False
    order: int = 0

    def __post_init__(self) -> None:
        _check(self, "upload", "scan")


@dataclass(frozen=True, kw_only=True)
class PasswordAuthenticator:
    """A source of users who sign in by a password. Register it from `relay_password_authenticators`.

    Args:
        sign_in: `sign_in(server, name, password, address)` returns a `Claim`, or None where the name or the
            password is wrong; raises `RelayError` to refuse with a text of its own. relay's own passwords are
            tried first, then these, by their order.
        order: lower is asked first.
    """

    sign_in: Callable[[Server, str, str, str], Awaitable[Claim | None] | Claim | None]
    order: int = 0

    def __post_init__(self) -> None:
        validation.number("PasswordAuthenticator", "order", self.order)
        validation.functions("PasswordAuthenticator", self, "sign_in")


def _check(hook: Any, *names: str) -> None:
    """Check a hook when it is made.

    Args:
        names: its functions that can refuse.

    Raises:
        TypeError: naming what is wrong with it and what is right.
    """
    owner = type(hook).__name__
    validation.number(owner, "order", hook.order)
    validation.flag(owner, "required", hook.required)
    validation.functions(owner, hook, *names)
    if hook.required and all(getattr(hook, name) is None for name in names):
        raise TypeError(f"{owner}: required is for a hook that can refuse, with {' or '.join(names)}")
