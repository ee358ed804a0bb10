"""Accounts: logging in and out, registering, and one's own name and password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Literal, cast

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import Answer, Body, NoQuery, invalid, read_body, read_query
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.limits import network_of
from relay.services.statuses import Person
from relay.storage import presence
from relay.storage.accounts import User, get_user
from relay.storage.presence import Kept
from relay.storage.shown import check_shown
from relay.transports.rest.context import caller_address, nothing, reply, the_caller, the_engine
from relay.transports.rest.texts import DisplayName, Password

_TOLD: Final = (ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED)
"""The refusals that the log tells of; a taken name, or too short a password, is nobody's attack."""

blueprint = Blueprint("accounts", __name__)


class Login(Body, frozen=True):
    """Who logs in, and on which device."""

    user_id: Name
    password: Password
    client_id: Name | None = None


class Registration(Login, frozen=True):
    """Who wants an account; the invite where the server asks for one."""

    invite: Name | None = None
    display_name: DisplayName | None = None


class Opened(Answer, frozen=True):
    """A token, seen this one time, and until when it stands; `expires_at` is null for one that does not expire."""

    token: str
    user_id: Name
    expires_at: float | None


class Me(Answer, frozen=True):
    """What the server knows of the caller; `token_expires_at` is null for a token that does not expire.

    `status`, `status_text` and `status_until` are what the caller chose to show, whoever sees it: `offline` is
    invisible.
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
    """What one can change of oneself; a new password needs the present one."""

    display_name: DisplayName | None = None
    password: Password | None = None
    current_password: Password | None = None
    presence_to: Literal["everyone", "shared", "nobody"] | None = None
    groups_from: Literal["everyone", "shared", "nobody"] | None = None
    receipts: bool | None = None


@blueprint.post("/api/login")
@described(
    query=NoQuery,
    body=Login,
    answers={200: Opened},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED],
    access="open",
)
async def login() -> Response:
    """Exchange a password for a token."""
    read_query(NoQuery)
    body = await read_body(Login)
    engine = the_engine()
    with _attempt(body.user_id) as address:
        user_id = await engine.accounts.name_of(body.user_id)
        token, expires_at = await engine.accounts.login(user_id, body.password, body.client_id, address)
    return reply(Opened(token=token, user_id=user_id, expires_at=expires_at))


@blueprint.post("/api/register")
@described(
    query=NoQuery,
    body=Registration,
    answers={201: Opened},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED],
    access="open",
)
async def register() -> Response:
    """Make an account and log it in."""
    read_query(NoQuery)
    body = await read_body(Registration)
    engine = the_engine()
    with _attempt(body.user_id) as address:
        display_name = None
        if body.display_name is not None:
            display_name = check_shown(body.display_name, "display_name")
        token, expires_at = await engine.accounts.register(
            body.user_id,
            body.password,
            invite=body.invite,
            display_name=display_name,
            client_id=body.client_id,
            address=address,
        )
    return reply(Opened(token=token, user_id=body.user_id, expires_at=expires_at), 201)


@blueprint.post("/api/logout")
@described(query=NoQuery, answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def logout() -> Response:
    """Revoke the token that the request was made with."""
    caller = await the_caller()
    read_query(NoQuery)
    await the_engine().accounts.revoke_token(caller.identity.token_id)
    return nothing()


@blueprint.get("/api/users/me")
@described(query=NoQuery, answers={200: Me}, refusals=[ErrorCode.NOT_FOUND])
async def me() -> Response:
    """Answer with what the server knows of the caller."""
    caller = await the_caller()
    read_query(NoQuery)
    return await _tell(caller)


@blueprint.patch("/api/users/me")
@described(query=NoQuery, body=MyChange, answers={200: Me}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED])
async def change_me() -> Response:
    """Change the caller's name, password, who sees their presence or adds them to groups, and their receipts."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(MyChange)
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
    engine = the_engine()
    # A stolen token must not be able to find the password out by trying.
    with nullcontext() if body.current_password is None else _attempt(caller.user_id):
        await engine.accounts.change(caller.identity, changes, body.password, body.current_password)
    if body.presence_to is not None:
        engine.presence.show_to(caller.user_id, body.presence_to)
    return await _tell(caller)


@contextmanager
def _attempt(user_id: str) -> Iterator[str]:
    """Count an attempt at an account by where it comes from, yield that, and log a refusal.

    Raises:
        RelayError: `rate_limited`.
    """
    engine, address = the_engine(), caller_address()
    try:
        engine.rates.logins.take(network_of(address))
        yield address
    except RelayError as refused:
        if refused.code in _TOLD:
            engine.refusals.login(user_id, address, refused.message)
        raise


async def _tell(caller: Caller) -> Response:
    identity, engine = caller.identity, the_engine()

    def read(connection: sqlite3.Connection) -> tuple[User, Kept]:
        user = get_user(connection, identity.user_id)
        if user is None:
            raise not_found(f"user {identity.user_id!r}")
        return user, presence.own(connection, identity.user_id)[0]

    found, kept = await engine.runner.read(read)
    person = Person(kept, engine.now())
    return reply(
        Me(
            user_id=found.user_id,
            display_name=found.display_name,
            admin=identity.admin,
            created_at=found.created_at,
            presence_to=found.presence_to,
            groups_from=found.groups_from,
            receipts=found.receipts,
            token_expires_at=identity.expires_at,
            status=cast(Any, person.chosen),
            status_text=person.text,
            status_until=person.until,
        )
    )
