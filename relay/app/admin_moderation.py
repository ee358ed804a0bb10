"""The operator's operations of moderation: timeouts and bans, and reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.app.admin_groups import Answer
from relay.engine.engine import Engine
from relay.services.audit import Actor
from relay.storage.reports import Report, Reporter
from relay.storage.restrictions import RestrictionKind

Reason = Annotated[str, Meta(max_length=500)]
Seconds = Annotated[float, Meta(gt=0, le=3_200_000_000)]


async def restrict(
    engine: Engine,
    actor: Actor,
    user_id: str,
    kind: RestrictionKind,
    seconds: Seconds | None = None,
    until: float | None = None,
    reason: Reason = "",
    group_id: str | None = None,
) -> Answer:
    """Put a user into a timeout or ban them, in a group or on the whole server; return what holds now.

    Raises:
        RelayError: `not_found`, `forbidden`, `invalid_payload`.
    """
    until = until if seconds is None else engine.now() + seconds
    made = await engine.moderation.restrict(actor, kind, user_id, reason=reason, until=until, group_id=group_id)
    return made.told()


async def lift(
    engine: Engine, actor: Actor, user_id: str, kind: RestrictionKind, group_id: str | None = None
) -> Answer:
    """Take back a timeout or a ban; return what it was.

    Raises:
        RelayError: `not_found`.
    """
    return (await engine.moderation.lift(actor, kind, user_id, group_id=group_id)).told()


async def list_restrictions(engine: Engine, group_id: str | None = None) -> list[Answer]:
    """Return the timeouts and bans that are in force on the server, or in a group, the newest first.

    Raises:
        RelayError: `not_found`.
    """
    return [one.told() for one in await engine.moderation.in_force(Actor.operator(None), group_id)]


async def list_reports(
    engine: Engine,
    state: Literal["open", "resolved", "dismissed"] | None = None,
    before: int | None = None,
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000,
) -> list[Answer]:
    """Return reports, the newest first."""
    return [_report(one, reporters) for one, reporters in await engine.reports.page(state, before, limit)]


async def close_report(
    engine: Engine,
    actor: Actor,
    report_id: int,
    state: Literal["open", "resolved", "dismissed"],
    note: Annotated[str, Meta(max_length=2000)] = "",
) -> None:
    """Resolve or dismiss a report, or open it again.

    Raises:
        RelayError: `not_found`, `conflict`.
    """
    await engine.reports.close(actor, report_id, state, note)


async def remove_reported(engine: Engine, actor: Actor, report_id: int, reason: Reason = "") -> None:
    """Remove a reported message; its author is told why.

    Raises:
        RelayError: `not_found`.
    """
    await engine.reports.remove(actor, report_id, reason)


def _report(report: Report, reporters: list[Reporter]) -> dict[str, Any]:
    return {
        "report_id": report.report_id,
        "message_id": report.message_id,
        "author": report.author,
        "state": report.state,
        "by": report.closed_by,
        "closed_at": report.closed_at,
        "note": report.note,
        "removed": report.removed,
        "reasons": sorted({one.reason for one in reporters}),
        "reporters": [one.user_id for one in reporters],
    }
