"""Accounts: logging in and out, registering, and one's own name and password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any, Final, Literal, cast

from msgspec import Meta
from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, DisplayName, invalid
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.limits import network_of
from relay.services.passwords import MAX_PASSWORD
from relay.services.presence_state import stored_choice
from relay.storage import presence
from relay.storage.accounts import User, get_user
from relay.storage.presence import PresenceRow
from relay.storage.shown import check_shown
from relay.transports.rest.access import caller_address

_LOGGED: Final = (ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED)
"""The refusals that go to the log; a taken name, or too short a password, is nobody's attack."""

Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
"""A password; a new one has a minimum length as well, which the settings give."""

blueprint = Blueprint("accounts", __name__)


class Login(Body, frozen=True):
    """A login, and the device that it is for."""

    user_id: Name
    password: Password
    client_id: Name | None = None


class Registration(Login, frozen=True):
    """A new account; with an invite where the server requires one."""

    invite: Name | None = None
    display_name: DisplayName | None = None


class Opened(Answer, frozen=True):
    """A new token, shown this one time; `expires_at` is null for a token that does not expire."""

    token: str
    user_id: Name
    expires_at: float | None


class Me(Answer, frozen=True):
    """The account of the caller; `token_expires_at` is null for a token that does not expire.

    `status`, `status_text` and `status_until` are the caller's choice, also where others do not see it: `offline`
    is invisible.
    """

    user_id: Name
    display_name: str
    admin: bool
    created_at: float
    presence_to: Literal["everyone", "shared", "nobody"]
    groups_from: Literal["everyone", "shared", "nobody"]
    receipts: bool
    token_expires_at: float | None
    status: Literal["online", "away", "busy", "offline"]
    status_text: str | None
    status_until: float | None


class MyChange(Body, frozen=True):
    """Changes of the caller's account; a new password needs the current one."""

    display_name: DisplayName | None = None
    password: Password | None = None
    current_password: Password | None = None
    presence_to: Literal["everyone", "shared", "nobody"] | None = None
    groups_from: Literal["everyone", "shared", "nobody"] | None = None
    receipts: bool | None = None


@blueprint.post("/api/login")
@endpoint(
    body=Login,
    answers={200: Opened},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
    access="open",
)
async def login(engine: Engine, body: Login) -> Opened:
    """Exchange a password for a token."""
    with _attempt(engine, body.user_id) as address:
        made = await engine.logins.login(
            body.user_id, body.password, body.client_id, address, elsewhere=engine.authentication.sign_in
        )
    return Opened(token=made.token, user_id=made.user_id, expires_at=made.expires_at)


@blueprint.post("/api/register")
@endpoint(
    body=Registration,
    answers={201: Opened},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
    access="open",
)
async def register(engine: Engine, body: Registration) -> Opened:
    """Create an account and log it in."""
    with _attempt(engine, body.user_id) as address:
        display_name = None
        if body.display_name is not None:
            display_name = check_shown(body.display_name, "display_name")
        made = await engine.registration.register(
            body.user_id,
            body.password,
            invite=body.invite,
            display_name=display_name,
            client_id=body.client_id,
            address=address,
        )
    return Opened(token=made.token, user_id=made.user_id, expires_at=made.expires_at)


@blueprint.post("/api/logout")
@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def logout(engine: Engine, caller: Caller) -> None:
    """Revoke the token that the request was made with."""
    await engine.accounts.revoke_token(caller.identity.token_id)


@blueprint.get("/api/users/me")
@endpoint(answers={200: Me}, refusals=[ErrorCode.NOT_FOUND])
async def me(engine: Engine, caller: Caller) -> Me:
    """Answer with what the server knows of the caller."""
    return await _me(engine, caller)


@blueprint.patch("/api/users/me")
@endpoint(
    body=MyChange,
    answers={200: Me},
    refusals=[ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
)
async def change_me(engine: Engine, caller: Caller, body: MyChange) -> Me:
    """Change the caller's name, password, who sees their presence or adds them to groups, and their receipts."""
    named = {"presence_to": body.presence_to, "groups_from": body.groups_from, "receipts": body.receipts}
    changes: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    if body.display_name is not None:
        changes["display_name"] = check_shown(body.display_name, "display_name")
    if not changes and body.password is None and body.current_password is None:
        raise invalid(
            "there is nothing to change; the body has some of display_name, presence_to, groups_from and receipts,"
            " or password and current_password"
        )
    if (body.password is None) != (body.current_password is None):
        missing = "password" if body.password is None else "current_password"
        raise invalid(f"a new password needs password and current_password; {missing} is missing", field=missing)
    # A stolen token must not be able to find the password out by trying.
    with nullcontext() if body.current_password is None else _attempt(engine, caller.user_id):
        await engine.logins.change(caller.identity, changes, body.password, body.current_password)
    if body.presence_to is not None:
        engine.presence.visibility_changed(caller.user_id, body.presence_to)
    return await _me(engine, caller)


@contextmanager
def _attempt(engine: Engine, user_id: str) -> Iterator[str]:
    """Count an attempt at an account by its address, yield the address, and log a refusal.

    Raises:
        RelayError: `rate_limited`.
    """
    address = caller_address()
    try:
        engine.rates.logins.take(network_of(address))
        yield address
    except RelayError as refused:
        if refused.code in _LOGGED:
            engine.refusals.login(user_id, address, refused.message)
        raise


async def _me(engine: Engine, caller: Caller) -> Me:
    identity = caller.identity

    def read(connection: sqlite3.Connection) -> tuple[User, PresenceRow]:
        user = get_user(connection, identity.user_id)
        if user is None:
            raise not_found(f"user {identity.user_id!r}")
        return user, presence.read_own(connection, identity.user_id)[0]

    found, row = await engine.runner.read(read)
    choice = stored_choice(row, engine.now())
    return Me(
        user_id=found.user_id,
        display_name=found.display_name,
        admin=identity.admin,
        created_at=found.created_at,
        presence_to=found.presence_to,
        groups_from=found.groups_from,
        receipts=found.receipts,
        token_expires_at=identity.expires_at,
        status=cast(Any, choice.status),
        status_text=choice.text,
        status_until=choice.until,
    )
