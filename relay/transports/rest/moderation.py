"""Moderation: timeouts and bans in groups and on the server, reports, and whom users block for themselves."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, Limit, Query, invalid
from relay.http.views import Caller, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ServerRole
from relay.storage.reports import Report, Reporter
from relay.storage.restrictions import Restriction, RestrictionKind
from relay.transports.rest.users import require_known

blueprint = Blueprint("moderation", __name__)

Reason = Annotated[str, Meta(max_length=500)]
ReportReason = Literal["spam", "abuse", "illegal", "other"]
_KINDS: Final[tuple[RestrictionKind, ...]] = ("timeout", "ban")


class RestrictionBody(Body, frozen=True):
    """A timeout or a ban: for some seconds, or until a time (Unix seconds); a ban without either has no end."""

    seconds: Annotated[float, Meta(gt=0, le=3_200_000_000)] | None = None
    until: Annotated[float, Meta(ge=0, le=2**53)] | None = None
    reason: Reason = ""


class RestrictionAnswer(Answer, frozen=True):
    """A timeout or a ban; `by` is null for the operator, `until` for a ban without an end."""

    kind: Literal["timeout", "ban"]
    user_id: Name
    by: Name | None
    reason: str
    made_at: float
    until: float | None


class RestrictionsAnswer(Answer, frozen=True):
    """The timeouts and bans that are in force, the newest first."""

    restrictions: list[RestrictionAnswer]


class OwnRestriction(Answer, frozen=True):
    """A timeout of the caller's; `group_id` is null where it holds on the whole server."""

    kind: Literal["timeout"]
    group_id: Name | None
    reason: str
    until: float


class OwnRestrictionsAnswer(Answer, frozen=True):
    """The timeouts of the caller's that are in force."""

    restrictions: list[OwnRestriction]


class RemovalBody(Body, frozen=True):
    """The reason for which a message is removed; its author is told."""

    reason: Reason = ""


class ReportBody(Body, frozen=True):
    """A report of a message; with `tell` the caller hears what became of it."""

    reason: ReportReason
    text: Annotated[str, Meta(max_length=2000)] = ""
    tell: bool = False


class FiledAnswer(Answer, frozen=True):
    """The report of a message, and how many people have reported it by now."""

    report_id: Integer
    reports: Integer


class ReportsQuery(Query, frozen=True):
    """The page of reports in a state, or of all."""

    state: Annotated[
        Literal["open", "resolved", "dismissed"] | None, Meta(description="open, resolved or dismissed")
    ] = None
    cursor: Annotated[Integer | None, Meta(description="`next_cursor` of the page before")] = None
    limit: Limit = 50


class ReporterAnswer(Answer, frozen=True):
    """Somebody who reported a message."""

    user_id: Name
    reason: ReportReason
    text: str
    at: float


class ReportAnswer(Answer, frozen=True):
    """A report; `message` is the reported message as it was, null once its author's account is erased."""

    report_id: Integer
    message_id: Integer
    author: Name
    state: Literal["open", "resolved", "dismissed"]
    by: Name | None
    closed_at: float | None
    note: str
    removed: bool
    reports: Integer
    message: dict[str, Any] | None
    reporters: list[ReporterAnswer]


class ReportsAnswer(Answer, frozen=True):
    """A page of reports, the newest first."""

    reports: list[ReportAnswer]
    has_more: bool
    next_cursor: Integer | None


class ReportChange(Body, frozen=True):
    """A change of a report, and a note for the other moderators."""

    state: Literal["open", "resolved", "dismissed"]
    note: Annotated[str, Meta(max_length=2000)] = ""


class BlockAnswer(Answer, frozen=True):
    """A person whom the caller blocks, and since when (Unix seconds)."""

    user_id: Name
    since: float


class BlocksAnswer(Answer, frozen=True):
    """The people whom the caller blocks, the last one first."""

    blocked: list[BlockAnswer]


_ACTS: Final = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED)


@blueprint.get("/api/users/me/restrictions")
@endpoint(answers={200: OwnRestrictionsAnswer})
async def own(engine: Engine, caller: Caller) -> dict[str, Any]:
    """Answer with the caller's timeouts; those that come later are told by `group_event` and `notification`."""
    return {"restrictions": await engine.moderation.of_user(caller.user_id)}


@blueprint.get("/api/groups/<group_id>/restrictions")
@endpoint(answers={200: RestrictionsAnswer}, refusals=[ErrorCode.FORBIDDEN])
async def in_group(engine: Engine, caller: Caller, group_id: str) -> dict[str, Any]:
    """Answer with the timeouts and bans in a group, to its owner and admins."""
    return _listed(await engine.moderation.in_force(caller.actor, group_id))


@blueprint.put("/api/groups/<group_id>/restrictions/<kind>/<user_id>")
@endpoint(body=RestrictionBody, optional_body=True, answers={200: RestrictionAnswer}, refusals=_ACTS)
async def restrict_in_group(
    engine: Engine, caller: Caller, body: RestrictionBody, group_id: str, kind: str, user_id: str
) -> dict[str, Any]:
    """Put a member of a group into a timeout, or ban somebody from it."""
    engine.restrictions.check_write(caller.user_id)
    engine.rates.messages.take(caller.user_id)
    made = await engine.moderation.restrict(
        caller.actor, _kind(kind), user_id, reason=body.reason, until=_until(engine, body), group_id=group_id
    )
    return made.told()


@blueprint.delete("/api/groups/<group_id>/restrictions/<kind>/<user_id>")
@endpoint(answers={204: None}, refusals=_ACTS)
async def lift_in_group(engine: Engine, caller: Caller, group_id: str, kind: str, user_id: str) -> None:
    """Take back a timeout or a ban in a group."""
    engine.restrictions.check_write(caller.user_id)
    engine.rates.messages.take(caller.user_id)
    await engine.moderation.lift(caller.actor, _kind(kind), user_id, group_id=group_id)


@blueprint.get("/api/admin/restrictions")
@endpoint(access="moderator", answers={200: RestrictionsAnswer})
async def on_server(engine: Engine, caller: Caller) -> dict[str, Any]:
    """Answer with the timeouts and bans on the whole server."""
    return _listed(await engine.moderation.in_force(caller.actor))


@blueprint.put("/api/admin/restrictions/<kind>/<user_id>")
@endpoint(
    access="moderator", body=RestrictionBody, optional_body=True, answers={200: RestrictionAnswer}, refusals=_ACTS
)
async def restrict(
    engine: Engine, caller: Caller, body: RestrictionBody, kind: str, user_id: str
) -> dict[str, Any]:
    """Put a user whose role is lower into a timeout on the whole server, or ban them from it."""
    made = await engine.moderation.restrict(
        caller.actor, _kind(kind), user_id, reason=body.reason, until=_until(engine, body)
    )
    return made.told()


@blueprint.delete("/api/admin/restrictions/<kind>/<user_id>")
@endpoint(access="moderator", answers={204: None}, refusals=_ACTS)
async def lift(engine: Engine, caller: Caller, kind: str, user_id: str) -> None:
    """Take back a timeout or a ban on the whole server."""
    await engine.moderation.lift(caller.actor, _kind(kind), user_id)


@blueprint.post("/api/messages/<int:message_id>/remove")
@endpoint(body=RemovalBody, optional_body=True, answers={204: None}, refusals=_ACTS)
async def remove(engine: Engine, caller: Caller, body: RemovalBody, message_id: int) -> None:
    """Remove a message of a group as its owner or an admin; its author is told why."""
    engine.rates.messages.take(caller.user_id)
    await engine.reports.remove_in_group(caller.actor, message_id, body.reason)


@blueprint.post("/api/messages/<int:message_id>/report")
@endpoint(body=ReportBody, answers={201: FiledAnswer}, refusals=_ACTS)
async def report(engine: Engine, caller: Caller, body: ReportBody, message_id: int) -> Response:
    """Report a message to the moderators of the server, who then see a copy of it."""
    engine.rates.messages.take(caller.user_id)
    filed = await engine.reports.file(caller.user_id, message_id, body.reason, body.text, tell=body.tell)
    return reply(FiledAnswer(report_id=filed.report_id, reports=filed.people), 201)


@blueprint.get("/api/admin/reports")
@endpoint(access="moderator", query=ReportsQuery, answers={200: ReportsAnswer})
async def reports(engine: Engine, query: ReportsQuery) -> dict[str, Any]:
    """Answer with reports, the newest first."""
    found = await engine.reports.page(query.state, query.cursor, query.limit + 1)
    page, more = found[: query.limit], len(found) > query.limit
    rows = [_report(one, reporters) for one, reporters in page]
    return {"reports": rows, "has_more": more, "next_cursor": rows[-1]["report_id"] if more else None}


@blueprint.post("/api/admin/reports/<int:report_id>")
@endpoint(access="moderator", body=ReportChange, answers={204: None}, refusals=_ACTS)
async def change_report(engine: Engine, caller: Caller, body: ReportChange, report_id: int) -> None:
    """Resolve or dismiss a report, or open it again; who wished to hear of it is told."""
    await engine.reports.close(caller.actor, report_id, body.state, body.note)


@blueprint.post("/api/admin/reports/<int:report_id>/remove")
@endpoint(access="moderator", body=RemovalBody, optional_body=True, answers={204: None}, refusals=_ACTS)
async def remove_reported(engine: Engine, caller: Caller, body: RemovalBody, report_id: int) -> None:
    """Remove a reported message, wherever it is; its author is told why."""
    await engine.reports.remove(caller.actor, report_id, body.reason)


@blueprint.get("/api/users/me/blocked")
@endpoint(answers={200: BlocksAnswer})
async def blocked(engine: Engine, caller: Caller) -> dict[str, Any]:
    """Answer with the people whom the caller blocks."""
    found = await engine.blocks.of(caller.user_id)
    return {"blocked": [{"user_id": one.blocked_id, "since": one.made_at} for one in found]}


@blueprint.put("/api/users/<user_id>/block")
@endpoint(answers={204: None}, refusals=[ErrorCode.RATE_LIMITED])
async def block(engine: Engine, caller: Caller, user_id: str) -> None:
    """Block somebody for oneself; they are not told."""
    engine.rates.messages.take(caller.user_id)
    if caller.identity.role is ServerRole.GUEST:  # everybody else learns the same by writing to somebody
        await require_known(engine, caller, user_id)
    await engine.blocks.put(caller.user_id, user_id)


@blueprint.delete("/api/users/<user_id>/block")
@endpoint(answers={204: None}, refusals=[ErrorCode.RATE_LIMITED])
async def unblock(engine: Engine, caller: Caller, user_id: str) -> None:
    """Unblock somebody."""
    engine.rates.messages.take(caller.user_id)
    await engine.blocks.remove(caller.user_id, user_id)


def _kind(named: str) -> RestrictionKind:
    """Return the kind of restriction that a path names.

    Raises:
        RelayError: `not_found`.
    """
    for kind in _KINDS:
        if kind == named:
            return kind
    raise RelayError(ErrorCode.NOT_FOUND, f"there is no restriction {named[:40]!r}; there are timeout and ban")


def _until(engine: Engine, body: RestrictionBody) -> float | None:
    """Return when a restriction ends.

    Raises:
        RelayError: `invalid_payload` for both of two ways to say it.
    """
    if body.seconds is None:
        return body.until
    if body.until is not None:
        raise invalid("the body has either seconds or until, not both", field="until")
    return engine.now() + body.seconds


def _listed(found: list[Restriction]) -> dict[str, Any]:
    return {"restrictions": [one.told() for one in found]}


def _report(report: Report, reporters: list[Reporter]) -> dict[str, Any]:
    payload = None if report.payload is None else msgspec.json.decode(report.payload)
    return {
        "report_id": report.report_id,
        "message_id": report.message_id,
        "author": report.author,
        "state": report.state,
        "by": report.closed_by,
        "closed_at": report.closed_at,
        "note": report.note,
        "removed": report.removed,
        "reports": report.people,
        "message": None if payload is None else payload["message"],
        "reporters": [
            {"user_id": one.user_id, "reason": one.reason, "text": one.text, "at": one.at} for one in reporters
        ],
    }
