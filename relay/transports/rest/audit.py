"""The audit log by REST: who did what, for admins."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Limit, Position, Query, Text, Time, Word
from relay.http.views import page_of
from relay.protocol.envelope import Integer
from relay.protocol.kinds import ServerRole
from relay.storage import audit
from relay.storage.audit import Found, Wanted

blueprint = Blueprint("audit", __name__)

Act = Annotated[
    Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,99}$(?!\n)")] | None,
    Meta(description="an act such as user.disabled, or its first word for all of them"),
]
AboutText = Annotated[
    Annotated[str, Meta(pattern=r"^[a-z_]{1,40}(:.{1,200})?$(?!\n)")] | None,
    Meta(description="a kind, or a kind and an id, such as user:bob"),
]


class AuditQuery(Query, frozen=True):
    """The choice of entries: an act, a user, a subject, a text, a span of time; and the page."""

    act: Act = None
    by: Word = None
    about: AboutText = None
    q: Text = None
    since: Time = msgspec.field(name="from", default=None)
    until: Time = msgspec.field(name="to", default=None)
    cursor: Position = None
    limit: Limit = 50


class AboutWhat(Answer, frozen=True):
    """The thing or person that an act is about."""

    kind: str
    id: str


class AuditEntry(Answer, frozen=True):
    """An entry; `by` is null for the operator and for plugins by themselves, `at` in Unix seconds."""

    message_id: Integer
    at: float
    act: str
    by: str | None
    role: ServerRole | None
    about: AboutWhat | None
    details: dict[str, Any]
    address: str
    client: str
    way: Literal["rest", "command line", "socket", "plugin"]


class AuditEntries(Answer, frozen=True):
    """A page of entries, newest first."""

    entries: list[AuditEntry]
    has_more: bool
    next_cursor: Integer | None


@blueprint.get("/api/admin/audit")
@endpoint(query=AuditQuery, answers={200: AuditEntries}, access="admin")
async def entries(engine: Engine, query: AuditQuery) -> AuditEntries:
    """Answer with the entries of the audit log that fit, newest first."""
    kind, _, about = (query.about or "").partition(":")
    wanted = Wanted(
        act=query.act,
        by=query.by,
        kind=kind or None,
        about=about or None,
        text=query.q,
        since=query.since,
        until=query.until,
        before=query.cursor,
    )
    rows = await engine.runner.read(lambda connection: audit.find(connection, wanted, query.limit + 1))
    page, has_more, next_cursor = page_of(rows, query.limit, lambda row: row.message_id)
    return AuditEntries(entries=[_entry(row) for row in page], has_more=has_more, next_cursor=next_cursor)


def _entry(row: Found) -> AuditEntry:
    return msgspec.convert({"message_id": row.message_id, "at": row.at, **row.payload}, AuditEntry)
