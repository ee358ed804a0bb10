"""The administration of access by REST: users' tokens, their devices, and who is connected."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Body, Limit, Query, Text, Word, invalid
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode
from relay.services.access import Live
from relay.services.connections import Connection
from relay.storage.access_lists import BEGINNING, After, DeviceRow, TokenRow
from relay.transports.rest.devices import DeviceQuery

blueprint = Blueprint("admin_access", __name__)

Scope = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$(?!\n)")]


class IssuedToken(Answer, frozen=True):
    """A token of a user, without the token itself; `expires_at` is null for one that does not expire.

    `last_used_at` is when somebody last called or connected with it; null for never.
    """

    token_id: Name
    user_id: Name
    origin: str
    label: str
    scopes: list[str]
    created_at: float
    expires_at: float | None
    last_used_at: float | None


class IssuedTokens(Answer, frozen=True):
    """The tokens of a user, oldest first."""

    tokens: list[IssuedToken]


class NewToken(Body, frozen=True):
    """A new token: a label, the rights that its user alone does not have, and its days (0: for ever)."""

    label: Annotated[str, Meta(max_length=100)] = ""
    scopes: Annotated[list[Scope], Meta(max_length=50)] = []
    days: Annotated[float, Meta(ge=0, le=36_500)] = 0.0


class MadeToken(Answer, frozen=True):
    """A new token, shown this one time."""

    token: str


class AdminDevice(Answer, frozen=True):
    """A device of a user; `address` and `active` are those of its connection."""

    client_id: Name
    agent: str
    created_at: float
    seen_at: float
    connected: bool
    active: bool
    address: str


class AdminDevices(Answer, frozen=True):
    """The devices of a user that are not revoked, last seen first."""

    devices: list[AdminDevice]


_Cursor = Annotated[
    Annotated[str, Meta(max_length=160)] | None, Meta(description="a text, as an answer of this call gave it")
]


class AllTokensQuery(Query, frozen=True):
    """The text to look for, the user, how they were made, and the page."""

    q: Text = None
    user: Word = None
    origin: Word = None
    cursor: _Cursor = None
    limit: Limit = 50


class AllTokens(Answer, frozen=True):
    """A page of tokens, the newest first."""

    tokens: list[IssuedToken]
    has_more: bool
    next_cursor: str | None


class AllDevicesQuery(Query, frozen=True):
    """The text to look for, the user, and the page."""

    q: Text = None
    user: Word = None
    cursor: _Cursor = None
    limit: Limit = 50


class AnyDevice(AdminDevice, frozen=True):
    """A device of some user; `acked` is the position up to which it has said that it has all."""

    user_id: Name
    acked: Integer


class AllDevices(Answer, frozen=True):
    """A page of devices that are not revoked, last seen first; `position` is the end of the log."""

    devices: list[AnyDevice]
    position: Integer
    has_more: bool
    next_cursor: str | None


class ConnectionsQuery(Query, frozen=True):
    """The user, and the page."""

    user: Word = None
    cursor: _Cursor = None
    limit: Limit = MAX_PAGE


class ConnectionQuery(Query, frozen=True):
    """The user and the device whose connection ends."""

    user: Annotated[Name, Meta(description="a user id")]
    client_id: Annotated[Name, Meta(description="the id of one of their devices")]


class LiveConnection(Answer, frozen=True):
    """A device that is connected.

    `since` is when it came, null while it is still being sent what it missed. `waiting` frames, of
    `waiting_bytes`, have not gone out to it yet; `in_flight` messages of its own wait for their commit. `sent` is
    the position up to which it was sent what concerns it, `acked` up to which it has said that it has all.
    """

    user_id: Name
    client_id: Name
    agent: str
    address: str
    active: bool
    since: float | None
    waiting: Integer
    waiting_bytes: Integer
    in_flight: Integer
    sent: Integer
    acked: Integer


class LiveConnections(Answer, frozen=True):
    """A page of connections, by user and device; `position` is the end of the log."""

    connections: list[LiveConnection]
    position: Integer
    has_more: bool
    next_cursor: str | None


@blueprint.get("/api/admin/users/<user_id>/tokens")
@endpoint(answers={200: IssuedTokens}, access="admin")
async def tokens(engine: Engine, user_id: str) -> IssuedTokens:
    """Answer with a user's tokens, never the tokens themselves."""
    rows = await engine.access.tokens(user_id)
    return IssuedTokens(tokens=[IssuedToken(**{**row, "scopes": row["scopes"].split()}) for row in rows])


@blueprint.post("/api/admin/users/<user_id>/tokens")
@endpoint(
    body=NewToken,
    optional_body=True,
    answers={201: MadeToken},
    refusals=[ErrorCode.CONFLICT],
    access="admin",
)
async def create_token(engine: Engine, caller: Caller, body: NewToken, user_id: str) -> Response:
    """Make a token of a user, for a program."""
    token = await engine.access.create_token(
        caller.actor, user_id, label=body.label, scopes=tuple(body.scopes), days=body.days
    )
    return reply(MadeToken(token=token), 201)


@blueprint.delete("/api/admin/users/<user_id>/tokens/<token_id>")
@endpoint(answers={204: None}, access="admin")
async def revoke_token(engine: Engine, caller: Caller, user_id: str, token_id: str) -> None:
    """Revoke a token of a user; connections that said hello with it end."""
    await engine.access.revoke_token(caller.actor, token_id, user_id)


@blueprint.get("/api/admin/users/<user_id>/devices")
@endpoint(answers={200: AdminDevices}, access="admin")
async def devices(engine: Engine, user_id: str) -> AdminDevices:
    """Answer with a user's devices, and which of them are connected."""
    found = await engine.access.devices(user_id)
    return AdminDevices(devices=[AdminDevice(**device._asdict()) for device in found])


@blueprint.delete("/api/admin/users/<user_id>/devices")
@endpoint(query=DeviceQuery, answers={204: None}, refusals=[ErrorCode.NOT_FOUND], access="admin")
async def revoke_device(engine: Engine, caller: Caller, query: DeviceQuery, user_id: str) -> None:
    """End a device's session; the token it logged in with is void."""
    await engine.access.revoke_device(caller.actor, user_id, query.client_id)


@blueprint.get("/api/admin/tokens")
@endpoint(query=AllTokensQuery, answers={200: AllTokens}, access="admin")
async def all_tokens(engine: Engine, query: AllTokensQuery) -> AllTokens:
    """Answer with the tokens of everybody, never the tokens themselves."""
    rows = await engine.access.find_tokens(
        query.q or "", query.user, query.origin, after=_after(query.cursor), limit=query.limit + 1
    )
    page, has_more, cursor = page_of(rows, query.limit, lambda row: _cursor(row.created_at, row.token_id))
    return AllTokens(tokens=[_issued(row) for row in page], has_more=has_more, next_cursor=cursor)


def _issued(row: TokenRow) -> IssuedToken:
    return IssuedToken(**{**row._asdict(), "scopes": row.scopes.split()})


@blueprint.get("/api/admin/devices")
@endpoint(query=AllDevicesQuery, answers={200: AllDevices}, access="admin")
async def all_devices(engine: Engine, query: AllDevicesQuery) -> AllDevices:
    """Answer with the devices of everybody, and which of them are connected."""
    found = await engine.access.find_devices(
        query.q or "", query.user, after=_after(query.cursor), limit=query.limit + 1
    )
    rows, has_more, cursor = page_of(found, query.limit, lambda row: _cursor(row[0].seen_at, _key(row[0])))
    shown = [_device(row, live) for row, live in rows]
    return AllDevices(devices=shown, position=engine.router.position, has_more=has_more, next_cursor=cursor)


def _key(row: DeviceRow) -> str:
    return f"{row.user_id} {row.client_id}"


def _device(row: DeviceRow, live: Connection | None) -> AnyDevice:
    return AnyDevice(
        **row._asdict(),
        connected=live is not None,
        active=live is not None and live.active,
        address="" if live is None else live.address,
    )


def _cursor(at: float, key: str) -> str:
    return f"{at!r}:{key}"


def _after(cursor: str | None) -> After:
    """Read the cursor of a list by time.

    Raises:
        RelayError: `invalid_payload`.
    """
    if cursor is None:
        return BEGINNING
    at, _, key = cursor.partition(":")
    try:
        return After(float(at), key)
    except ValueError:
        text = f"the query parameter cursor is {cursor[:80]!r}; right is a text, as an answer of this call gave it"
        raise invalid(text, parameter="cursor") from None


@blueprint.get("/api/admin/connections")
@endpoint(query=ConnectionsQuery, answers={200: LiveConnections}, access="admin")
async def connections(engine: Engine, query: ConnectionsQuery) -> LiveConnections:
    """Answer with the devices that are connected now."""
    found = await engine.access.live(query.user, query.cursor or "", query.limit + 1)
    page, has_more, cursor = page_of(found, query.limit, lambda one: one.key)
    shown = [_connection(one) for one in page]
    position = engine.router.position
    return LiveConnections(connections=shown, position=position, has_more=has_more, next_cursor=cursor)


def _connection(one: Live) -> LiveConnection:
    return LiveConnection(**one._asdict())


@blueprint.delete("/api/admin/connections")
@endpoint(query=ConnectionQuery, answers={204: None}, refusals=[ErrorCode.NOT_FOUND], access="admin")
async def end_connection(engine: Engine, caller: Caller, query: ConnectionQuery) -> None:
    """End a device's connection, and revoke nothing: its program comes back, and resumes."""
    await engine.access.end_connection(caller.actor, query.user, query.client_id)
