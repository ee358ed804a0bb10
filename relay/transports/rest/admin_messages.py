"""Notifications that admins send by REST, and messages of another system, as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from relay.engine import importing, notifying
from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, Query
from relay.http.views import Caller, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, RelayError
from relay.transports.rest.access import check_still
from relay.transports.rest.bodies import pace_body

blueprint = Blueprint("admin_messages", __name__)

IMPORT_PATH: Final = "/api/admin/import"
_LONGEST_LINE: Final = 1_000_000
_REFUSALS: Final = (ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.OVERLOADED)
_TYPES: Final = ["application/x-ndjson", "text/plain"]
Payload = dict[str, Any]


class Notice(Body, frozen=True):
    """A notification to a user, a group or `*` for everybody; `expires_in` is its life in seconds."""

    target_id: Name
    payload: Payload
    expires_in: Annotated[float, Meta(gt=0, le=3_153_600_000)] | None = None


class Noticed(Answer, frozen=True):
    """A notification that is stored."""

    message_id: Integer
    seq: Integer
    sender_id: Name


class ImportQuery(Query, frozen=True):
    """The choice to create senders and recipients that do not exist, and to go on after a refused line."""

    create_users: Annotated[bool, Meta(description="true or false")] = False
    go_on: Annotated[bool, Meta(description="true or false")] = False


class RefusedLine(Answer, frozen=True):
    """A line that was refused, counted from 1."""

    line: Integer
    code: str
    message: str


class ImportReport(Answer, frozen=True):
    """The result of an import.

    `problems` names the first hundred of the `refused` lines. `next_line` is where to begin again, null where all
    lines were handled; `busy` says why it stopped, if no line was at fault.
    """

    stored: Integer
    duplicates: Integer
    refused: Integer
    problems: list[RefusedLine]
    next_line: Integer | None
    busy: str | None


@blueprint.post("/api/admin/notifications")
@endpoint(body=Notice, answers={201: Noticed}, refusals=_REFUSALS, access="admin")
async def notify(engine: Engine, caller: Caller, body: Notice) -> Response:
    """Send a notification as the caller, and answer once it is stored."""
    stored = await notifying.notify(engine, caller.actor, body.target_id, body.payload, body.expires_in)
    return reply(Noticed(**stored), 201)


@blueprint.post(IMPORT_PATH)
@endpoint(
    query=ImportQuery,
    body=bytes,
    answers={200: ImportReport},
    refusals=[415],
    access="owner",
    body_types=_TYPES,
)
async def import_messages(engine: Engine, caller: Caller, query: ImportQuery) -> ImportReport:
    """Store messages of another system, one JSON envelope a line, as they come in."""
    if request.mimetype and request.mimetype not in _TYPES:
        raise UnsupportedMediaType(f"the body is {request.mimetype[:80]}; send lines, as {_TYPES[0]}")
    async with aclosing(_lines()) as lines:
        options = importing.Options(query.create_users, query.go_on)
        report = await importing.import_stream(engine, caller.actor, lines, options=options)
    problems = [RefusedLine(line=one.line, code=one.code, message=one.message) for one in report.problems]
    return ImportReport(**{**msgspec.structs.asdict(report), "problems": problems})


async def _lines() -> AsyncGenerator[str | RelayError, None]:
    """Yield the lines of the request's body as it comes in, no faster than they are stored."""
    flow, rest = pace_body(), b""
    async for part in request.body:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield _text(line)
        if len(rest) > 2 * _LONGEST_LINE:
            raise RelayError(ErrorCode.TOO_LARGE, f"a line has {_LONGEST_LINE:,} bytes at most")
        flow.taken(len(part))
        await check_still()
    yield _text(rest)


def _text(line: bytes) -> str | RelayError:
    """Return a line as text, or the refusal of one that is too long or no text."""
    if len(line) > _LONGEST_LINE:
        return RelayError(ErrorCode.TOO_LARGE, f"the line is longer than {_LONGEST_LINE:,} bytes")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return RelayError(ErrorCode.BAD_JSON, "the line is not UTF-8 text")
