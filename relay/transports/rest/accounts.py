"""Accounts: logging in and out, registering, and one's own name and password."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.engine.engine import Engine
from relay.engine.registry import Owned
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, DisplayName, invalid
from relay.http.views import Caller
from relay.plugin.sign_in_ways import SignInWay
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, not_found
from relay.protocol.kinds import ServerRole
from relay.services.passwords import MAX_PASSWORD
from relay.services.presence_state import stored_choice
from relay.storage import pictures, presence
from relay.storage.accounts import User, get_user
from relay.storage.presence import PresenceRow
from relay.storage.shown import check_shown
from relay.transports.rest.attempts import attempt

Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
"""A password; a new one has a minimum length as well, which the settings give."""

Code = Annotated[str, Meta(min_length=1, max_length=64)]
"""A code of a second factor, or a recovery code; blanks and hyphens in it do not count."""

blueprint = Blueprint("accounts", __name__)


class Entrance(Body, frozen=True):
    """A name and a password, and the device that comes in with them."""

    user_id: Name
    password: Password
    client_id: Name | None = None


class Login(Entrance, frozen=True):
    """A login, with the code of the second factor, or a recovery code, where the account has one."""

    code: Code | None = None


class Registration(Entrance, frozen=True):
    """A new account; with an invite where the server requires one: its code, or the whole link."""

    invite: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    display_name: DisplayName | None = None


class Way(Answer, frozen=True):
    """A way of signing in that a plugin brings: what people call it, and where its views begin.

    `linkable`: a signed-in user may connect their account with it.
    """

    name: str
    title: str
    path: str
    linkable: bool


class WayIn(Answer, frozen=True):
    """The way to an account: `first` says that there are no users yet, so that the first one is still to come.

    With `domain`, an address of one of the `mail_domains` is enough; `mail` says whether this server sends mails.
    `password_login`: whether people sign in by a password; `ways`: the other ways, of plugins.
    """

    registration: Literal["open", "invite", "domain", "closed"]
    first: bool
    password_min_length: int
    mail: bool
    mail_domains: list[str]
    password_login: bool
    ways: list[Way]


class Opened(Answer, frozen=True):
    """A new token, shown this one time; `expires_at` is null for a token that does not expire."""

    token: str
    user_id: Name
    expires_at: float | None


class LoggedIn(Opened, frozen=True, omit_defaults=True):
    """A new token, with the recovery codes of a second factor where this login has set one up."""

    recovery_codes: tuple[str, ...] = ()


class Me(Answer, frozen=True):
    """The account of the caller; `token_expires_at` is null for a token that does not expire.

    `role` is the caller's role on this server; `admin` tells whether that is admin or owner. `status`,
    `status_text` and `status_until` are the caller's choice, also where others do not see it: `offline`
    is invisible. `has_password`: whether they sign in by a password here; `may_erase`: whether users may erase
    their own accounts on this server.
    """

    user_id: Name
    display_name: str
    picture: Name | None
    admin: bool
    role: ServerRole
    created_at: float
    presence_to: Literal["everyone", "shared", "nobody"]
    groups_from: Literal["everyone", "shared", "nobody"]
    receipts: bool
    token_expires_at: float | None
    status: Literal["online", "away", "busy", "offline"]
    status_text: str | None
    status_until: float | None
    has_password: bool
    may_erase: bool


class MyChange(Body, frozen=True):
    """Changes of the caller's account; a new password needs the current one.

    `picture` is an upload of the caller's, an image; null for none.
    """

    display_name: DisplayName | None = None
    password: Password | None = None
    current_password: Password | None = None
    presence_to: Literal["everyone", "shared", "nobody"] | None = None
    groups_from: Literal["everyone", "shared", "nobody"] | None = None
    receipts: bool | None = None
    picture: Name | UnsetType | None = UNSET


@blueprint.get("/api/registration")
@endpoint(answers={200: WayIn}, access="open")
async def registration(engine: Engine) -> WayIn:
    """Answer how one signs in, and gets an account."""
    ways: Sequence[Owned[SignInWay]] = engine.registry.parts["relay_sign_in_ways"]
    return WayIn(
        registration=cast(Any, engine.registration.mode),
        first=await engine.registration.awaits_first(),
        password_min_length=engine.logins.password_min_length,
        mail=engine.mailer.is_set_up,
        mail_domains=sorted(engine.recovery.domains),
        password_login=engine.logins.by_password,
        ways=[
            Way(name=way.name, title=way.title, path=way.path, linkable=way.linkable)
            for way in (owned.part for owned in ways if not owned.guard.quarantined)
        ],
    )


@blueprint.post("/api/login")
@endpoint(
    body=Login,
    answers={200: LoggedIn},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
    access="open",
)
async def login(engine: Engine, body: Login) -> LoggedIn:
    """Exchange a password, with the code of a second factor where there is one, for a token."""
    with attempt(engine, body.user_id) as address:
        made = await engine.logins.login(
            body.user_id,
            body.password,
            body.client_id,
            address,
            code=body.code,
            elsewhere=engine.authentication.sign_in,
        )
    return LoggedIn(
        token=made.token, user_id=made.user_id, expires_at=made.expires_at, recovery_codes=made.recovery_codes
    )


@blueprint.post("/api/register")
@endpoint(
    body=Registration,
    answers={201: Opened},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
    access="open",
)
async def register(engine: Engine, body: Registration) -> Opened:
    """Create an account and log it in."""
    with attempt(engine, body.user_id) as address:
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
    refusals=[ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED, ErrorCode.TOO_LARGE],
)
async def change_me(engine: Engine, caller: Caller, body: MyChange) -> Me:
    """Change the caller's profile, password and receipts, and who sees their presence or adds them to groups."""
    named = {"presence_to": body.presence_to, "groups_from": body.groups_from, "receipts": body.receipts}
    changes: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    if body.display_name is not None:
        changes["display_name"] = check_shown(body.display_name, "display_name")
    if body.picture is not UNSET:
        changes["picture"] = body.picture
    if not changes and body.password is None and body.current_password is None:
        raise invalid(
            "there is nothing to change; the body has some of display_name, picture, presence_to, groups_from"
            " and receipts, or password and current_password"
        )
    if (body.password is None) != (body.current_password is None):
        missing = "password" if body.password is None else "current_password"
        raise invalid(f"a new password needs password and current_password; {missing} is missing", field=missing)
    # A stolen token must not be able to find the password out by trying.
    with nullcontext() if body.current_password is None else attempt(engine, caller.user_id):
        await engine.logins.change(caller.identity, changes, body.password, body.current_password)
    if body.presence_to is not None:
        engine.presence.visibility_changed(caller.user_id, body.presence_to)
    return await _me(engine, caller)


async def _me(engine: Engine, caller: Caller) -> Me:
    identity = caller.identity

    def read(connection: sqlite3.Connection) -> tuple[User, PresenceRow, str | None]:
        user = get_user(connection, identity.user_id)
        if user is None:
            raise not_found(f"user {identity.user_id!r}")
        own = presence.read_own(connection, identity.user_id)[0]
        return user, own, pictures.of(connection, identity.user_id)

    found, row, picture = await engine.runner.read(read)
    has_password = await engine.own_account.has_password(identity.user_id)
    choice = stored_choice(row, engine.now())
    return Me(
        user_id=found.user_id,
        display_name=found.display_name,
        picture=picture,
        admin=identity.admin,
        role=identity.role,
        created_at=found.created_at,
        presence_to=found.presence_to,
        groups_from=found.groups_from,
        receipts=found.receipts,
        token_expires_at=identity.expires_at,
        status=cast(Any, choice.status),
        status_text=choice.text,
        status_until=choice.until,
        has_password=has_password,
        may_erase=engine.own_account.allowed,
    )
