"""Invitations: an admin makes one, with its link and the QR code of that, lists them, takes one back."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Final, Literal, cast
from urllib.parse import urlsplit

from msgspec import Meta, structs
from quart import Blueprint, Response, request

from relay.engine.engine import Engine
from relay.http import qr_codes
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Body, Limit, Query, Word, invalid
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode
from relay.storage import invites

blueprint = Blueprint("invites", __name__)

_DAY: Final = 86_400.0

InvitedRole = Literal["user", "guest", "moderator", "admin"]
"""Whom an invite makes; "user" is a member."""


class NewInvite(Body, frozen=True):
    """A new invite: for how many registrations, for how many days (0: until it is taken back), and whom it makes.

    `page` is the address at which people open the page, where `[server] public_url` names none.
    """

    uses: Annotated[int, Meta(ge=1, le=1000)] = 1
    days: Annotated[float, Meta(ge=0, le=365)] = 7.0
    role: InvitedRole = "user"
    page: Annotated[str, Meta(min_length=8, max_length=300)] | None = None
    label: Annotated[str, Meta(max_length=100)] = ""
    groups: Annotated[list[Name], Meta(max_length=50)] = []


class InviteUse(Answer, frozen=True):
    """One registration with an invite."""

    user_id: Name
    used_at: float


class Invite(Answer, frozen=True):
    """An invite; `expires_at` is null for one that does not expire, `revoked_at` for one that was not taken back.

    Whoever registers with it joins the `groups`; `mail` is the address that it was sent to, where it was asked for
    by mail.
    """

    invite_id: Name
    created_by: Name | None
    created_at: float
    expires_at: float | None
    uses_left: Integer
    role: InvitedRole
    label: str
    groups: list[Name]
    mail: str | None
    revoked_at: float | None
    used_by: list[InviteUse]


class MadeInvite(Invite, frozen=True):
    """A new invite, with its code, this one time; `qr` is its link as rows of dark (1) and light (0) modules."""

    code: str
    link: str
    qr: list[str]


class InvitesQuery(Query, frozen=True):
    """The page, and whether those are in it that can no longer be used."""

    ended: Annotated[bool, Meta(description="true or false")] = False
    cursor: Word = None
    limit: Limit = MAX_PAGE


class Invites(Answer, frozen=True):
    """A page of invites, by their ids."""

    invites: list[Invite]
    has_more: bool
    next_cursor: Name | None


@blueprint.post("/api/admin/invites")
@endpoint(
    body=NewInvite,
    optional_body=True,
    answers={201: MadeInvite},
    refusals=[ErrorCode.CONFLICT, ErrorCode.NOT_FOUND],
    access="admin",
)
async def create(engine: Engine, caller: Caller, body: NewInvite) -> Response:
    """Make an invite, and answer with its code and link."""
    engine.invitations.require_use()
    page = page_of_links(engine, body.page)
    code, made = await engine.invitations.make(
        caller.actor,
        uses=body.uses,
        seconds=body.days * _DAY if body.days else None,
        role=body.role,
        label=body.label,
        group_ids=body.groups,
    )
    link = f"{page}/#invite={code}"
    answer = MadeInvite(
        **structs.asdict(_described(made, [])),
        code=code,
        link=link,
        qr=qr_codes.rows_of(link),
    )
    return reply(answer, 201)


@blueprint.get("/api/admin/invites")
@endpoint(query=InvitesQuery, answers={200: Invites}, access="admin")
async def listed(engine: Engine, query: InvitesQuery) -> Invites:
    """Answer with the invites that can still be used, or with all of them, without their codes."""

    def read(connection: sqlite3.Connection) -> list[Invite]:
        found = invites.listed(
            connection, engine.now(), after=query.cursor or "", limit=query.limit + 1, ended=query.ended
        )
        return [_described(one, invites.uses_of(connection, one.invite_id)) for one in found]

    rows = await engine.runner.read(read)
    page, has_more, next_cursor = page_of(rows, query.limit, lambda row: row.invite_id)
    return Invites(invites=page, has_more=has_more, next_cursor=next_cursor)


@blueprint.delete("/api/admin/invites/<invite_id>")
@endpoint(answers={204: None}, access="admin")
async def delete(engine: Engine, caller: Caller, invite_id: str) -> None:
    """Take an invite back, named by its id or its code."""
    await engine.invitations.revoke(caller.actor, invite_id)


def _described(invite: invites.Invite, uses: list[invites.Use]) -> Invite:
    return Invite(
        invite_id=invite.invite_id,
        created_by=invite.created_by,
        created_at=invite.created_at,
        expires_at=invite.expires_at,
        uses_left=invite.uses_left,
        role=cast(InvitedRole, invite.role),
        label=invite.label,
        groups=list(invite.group_ids),
        mail=invite.mail,
        revoked_at=invite.revoked_at,
        used_by=[InviteUse(user_id=one.user_id, used_at=one.used_at) for one in uses],
    )


def page_of_links(engine: Engine, named: str | None) -> str:
    """Return the address of the page that links lead to, without a slash at its end.

    Raises:
        RelayError: `invalid_payload` for what is no address.
    """
    page = engine.settings.server.public_url or named
    if page is None:
        return f"{request.scheme}://{request.headers.get('Host', '')}"
    try:
        parts = urlsplit(page)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise invalid("page is an address like https://chat.example.org, without ? and #", field="page")
    return page.rstrip("/")
