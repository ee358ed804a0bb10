"""The second factor of the caller: set up, confirmed, recovery codes, turned off; and an admin's reset."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from quart import Blueprint

from relay.engine.engine import Engine
from relay.http import qr_codes
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body
from relay.http.views import Caller
from relay.protocol.envelope import Integer
from relay.protocol.errors import ErrorCode
from relay.transports.rest.accounts import Code, Password
from relay.transports.rest.attempts import attempt

blueprint = Blueprint("second_factors", __name__)

_PATH = "/api/users/me/second-factor"
_CHECKS = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED)


class SecondFactor(Answer, frozen=True):
    """The caller's second factor: `since` is null while logins need none; `required`: the server demands one."""

    since: float | None
    recovery_codes_left: Integer
    required: bool


class Beginning(Body, frozen=True):
    """The caller's password: somebody who found a session open must not lock its owner out."""

    current_password: Password


class Enrolment(Answer, frozen=True):
    """A secret for an authenticator app: as it is typed, as a link, and that link's QR code as rows of modules."""

    secret: str
    link: str
    qr: list[str]


class Confirmation(Body, frozen=True):
    """The first code that the app shows."""

    code: Code


class Proof(Body, frozen=True):
    """The caller's password, and a code of the app or a recovery code."""

    current_password: Password
    code: Code


class RecoveryCodes(Answer, frozen=True):
    """Codes that are good once each in place of the app's, shown this one time."""

    recovery_codes: Annotated[list[str], Meta(min_length=1)]


@blueprint.get(_PATH)
@endpoint(answers={200: SecondFactor})
async def get(engine: Engine, caller: Caller) -> SecondFactor:
    """Answer with the state of the caller's second factor."""
    return SecondFactor(**(await engine.logins.second_factors.state(caller.user_id))._asdict())


@blueprint.post(_PATH)
@endpoint(body=Beginning, answers={201: Enrolment}, refusals=_CHECKS)
async def begin(engine: Engine, caller: Caller, body: Beginning) -> Enrolment:
    """Make a secret for the caller's app; it counts once a code confirms it."""
    await _check_password(engine, caller, body.current_password)
    made = await engine.logins.second_factors.begin(caller.user_id)
    return Enrolment(secret=made.secret, link=made.link, qr=qr_codes.rows_of(made.link))


@blueprint.put(_PATH)
@endpoint(body=Confirmation, answers={200: RecoveryCodes}, refusals=_CHECKS)
async def confirm(engine: Engine, caller: Caller, body: Confirmation) -> dict[str, Any]:
    """Turn the second factor on by the first code of the app, and answer with the recovery codes."""
    with attempt(engine, caller.user_id):
        return {"recovery_codes": await engine.logins.second_factors.confirm(caller.user_id, body.code)}


@blueprint.post(f"{_PATH}/recovery-codes")
@endpoint(body=Proof, answers={200: RecoveryCodes}, refusals=_CHECKS)
async def renew(engine: Engine, caller: Caller, body: Proof) -> dict[str, Any]:
    """Make new recovery codes in place of those of before."""
    await _check_password(engine, caller, body.current_password)
    with attempt(engine, caller.user_id):
        codes = await engine.logins.second_factors.renew_recovery_codes(caller.user_id, body.code)
    return {"recovery_codes": codes}


@blueprint.post(f"{_PATH}/off")
@endpoint(body=Proof, answers={204: None}, refusals=_CHECKS)
async def turn_off(engine: Engine, caller: Caller, body: Proof) -> None:
    """Turn the caller's second factor off."""
    await _check_password(engine, caller, body.current_password)
    with attempt(engine, caller.user_id):
        await engine.logins.second_factors.turn_off(caller.user_id, body.code)


@blueprint.delete("/api/admin/users/<user_id>/second-factor")
@endpoint(answers={204: None}, access="admin")
async def reset(engine: Engine, caller: Caller, user_id: str) -> None:
    """Remove the second factor of somebody who has lost it."""
    await engine.logins.second_factors.reset(caller.actor, user_id)


async def _check_password(engine: Engine, caller: Caller, password: str) -> None:
    with attempt(engine, caller.user_id):
        await engine.logins.check_own_password(caller.user_id, password)
