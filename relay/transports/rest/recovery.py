"""Links that do one thing with an account: a new password, a mail address, an account by an address."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint, request

from relay.engine.engine import Engine
from relay.http import qr_codes
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.services.mail_texts import Language
from relay.storage.invites import code_of
from relay.transports.rest.accounts import Password
from relay.transports.rest.attempts import attempt
from relay.transports.rest.invites import page_of_links

blueprint = Blueprint("recovery", __name__)

_REFUSALS = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED)
LinkCode = Annotated[str, Meta(min_length=1, max_length=500)]
"""The code of a link, or the whole link."""

Address = Annotated[str, Meta(min_length=3, max_length=254)]


class Forgotten(Body, frozen=True):
    """The name, or the verified mail address, of somebody who has forgotten their password."""

    user: Annotated[str, Meta(min_length=1, max_length=254)]


class NewPassword(Body, frozen=True):
    """A new password, by a link's code."""

    code: LinkCode
    password: Password


class Whose(Answer, frozen=True):
    """The user whose link it was."""

    user_id: Name


class MyMail(Answer, frozen=True):
    """The caller's verified address, and the one that they have still to verify; null for none."""

    address: str | None
    verified_at: float | None
    pending: str | None


class MailChange(Body, frozen=True):
    """A new address, or null for none, with the caller's password."""

    address: Address | None
    current_password: Password


class Opened(Body, frozen=True):
    """The code of a link that was opened."""

    code: LinkCode


class Verified(Answer, frozen=True):
    """The user, and the address that is theirs from now on."""

    user_id: Name
    address: str


class Joining(Body, frozen=True):
    """The address of somebody who wants an account."""

    address: Address


class ResetPage(Body, frozen=True):
    """The address at which people open the page, where `[server] public_url` names none."""

    page: Annotated[str, Meta(min_length=8, max_length=300)] | None = None


class ResetLink(Answer, frozen=True):
    """A link that sets a new password, shown this one time; `qr` is it as rows of dark and light modules."""

    user_id: Name
    code: str
    link: str
    qr: list[str]
    expires_at: float


@blueprint.post("/api/password-reset/mail")
@endpoint(body=Forgotten, answers={204: None}, refusals=_REFUSALS, access="open")
async def ask_for_reset(engine: Engine, body: Forgotten) -> None:
    """Send a link for a new password to a user's verified address; the answer is the same if there is none."""
    with attempt(engine, body.user):
        engine.logins.check_by_password()
        engine.recovery.ask_for_reset(body.user, language())


@blueprint.post("/api/password-reset")
@endpoint(body=NewPassword, answers={200: Whose}, refusals=_REFUSALS, access="open")
async def reset(engine: Engine, body: NewPassword) -> Whose:
    """Set a new password by a link's code, and end all sessions of its user."""
    with attempt(engine, None):
        return Whose(user_id=await engine.recovery.reset(code_of(body.code), body.password, language()))


@blueprint.get("/api/users/me/mail")
@endpoint(answers={200: MyMail})
async def my_address(engine: Engine, caller: Caller) -> MyMail:
    """Answer with the caller's mail address."""
    return await _address(engine, caller)


async def _address(engine: Engine, caller: Caller) -> MyMail:
    verified, pending = await engine.recovery.address(caller.user_id)
    if verified is None:
        return MyMail(address=None, verified_at=None, pending=pending)
    return MyMail(address=verified.address, verified_at=verified.verified_at, pending=pending)


@blueprint.put("/api/users/me/mail")
@endpoint(body=MailChange, answers={200: MyMail}, refusals=_REFUSALS)
async def change_address(engine: Engine, caller: Caller, body: MailChange) -> MyMail:
    """Send a link to the caller's new address, which counts once it is opened; null removes the present one."""
    with attempt(engine, caller.user_id):
        await engine.logins.check_own_password(caller.user_id, body.current_password)
    await engine.recovery.change_address(caller.user_id, body.address, language())
    return await _address(engine, caller)


@blueprint.post("/api/mail-verification")
@endpoint(body=Opened, answers={200: Verified}, refusals=_REFUSALS, access="open")
async def verify(engine: Engine, body: Opened) -> Verified:
    """Verify an address by the code of the link that was sent to it."""
    with attempt(engine, None):
        made = await engine.recovery.verify(code_of(body.code), language())
    return Verified(user_id=made.user_id, address=made.address)


@blueprint.post("/api/registration/mail")
@endpoint(body=Joining, answers={204: None}, refusals=_REFUSALS, access="open")
async def ask_to_join(engine: Engine, body: Joining) -> None:
    """Send a link that makes an account to an address of one of the server's domains."""
    with attempt(engine, None):
        engine.recovery.ask_to_join(body.address, language())


@blueprint.post("/api/admin/users/<user_id>/reset-link")
@endpoint(
    body=ResetPage,
    optional_body=True,
    answers={201: ResetLink},
    refusals=[ErrorCode.CONFLICT],
    access="admin",
)
async def make_reset_link(engine: Engine, caller: Caller, body: ResetPage, user_id: str) -> ResetLink:
    """Make a link that sets a new password for somebody, to be handed to them."""
    page = page_of_links(engine, body.page)
    code, expires_at = await engine.recovery.make_reset_link(caller.actor, user_id)
    link = f"{page}/#reset={code}"
    return ResetLink(user_id=user_id, code=code, link=link, qr=qr_codes.rows_of(link), expires_at=expires_at)


def language() -> Language:
    """Return the language of the mails that a request leads to."""
    return "fr" if request.accept_languages.best_match(["en", "fr"]) == "fr" else "en"
