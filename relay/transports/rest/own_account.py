"""All of one's own account: an export of it, and its end."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from quart import Blueprint, Response, current_app

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Body
from relay.http.views import Caller
from relay.protocol.errors import ErrorCode
from relay.transports.rest.accounts import Code, Password
from relay.transports.rest.admin_users import Erasure
from relay.transports.rest.attempts import attempt

blueprint = Blueprint("own_account", __name__)


class Farewell(Body, frozen=True):
    """The caller's password, where they have one, and a code of their second factor, where they have that."""

    current_password: Password | None = None
    code: Code | None = None


@blueprint.get("/api/users/me/export")
@endpoint(
    answers={200: bytes},
    answer_types=["application/zip"],
    refusals=[ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED],
    answer_headers={200: {"Content-Disposition": "the file's name"}},
)
async def export(engine: Engine, caller: Caller) -> Response:
    """Answer with a ZIP of the caller's account: profile, messages of theirs and to them alone, files."""
    parts = await engine.exports.archive(caller.user_id)
    response: Response = current_app.response_class(parts, mimetype="application/zip")
    day = datetime.fromtimestamp(engine.now(), UTC).date()
    response.headers["Content-Disposition"] = f'attachment; filename="relay-{caller.user_id}-{day}.zip"'
    return response


@blueprint.post("/api/users/me/erase")
@endpoint(
    body=Farewell,
    optional_body=True,
    answers={200: Erasure},
    refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED],
)
async def erase(engine: Engine, caller: Caller, body: Farewell) -> Erasure:
    """Erase the caller's account for good; one that takes long goes on after the answer."""
    with attempt(engine, caller.user_id):
        found = await engine.own_account.erase(caller.actor, caller.identity, body.current_password, body.code)
    return msgspec.convert(found._asdict(), Erasure)
