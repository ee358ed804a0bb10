"""What a handler starts from: the engine, who calls, and how a JSON answer is made."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, cast

from quart import Response, current_app, g, request

from relay.engine.authentication import identify
from relay.engine.engine import Engine
from relay.http.views import Caller
from relay.http.views import nothing as nothing
from relay.plugin.registrations import Credentials
from relay.protocol.envelope import encode_json
from relay.protocol.errors import CLOSE_REASONS, CloseCode, Disconnect, ErrorCode, RelayError
from relay.storage.accounts import Identity
from relay.storage.turns import read_for
from relay.transports.head import client_address
from relay.transports.rest.flow import Flow

_HOW: Final = "send your token in one header, Authorization: Bearer TOKEN"
EXTENSION: Final = "relay"
"""Where the application keeps its engine, among its `extensions`."""


def the_engine() -> Engine:
    """Return the engine behind the application that is serving this request."""
    return cast(Engine, current_app.extensions[EXTENSION])


async def the_caller() -> Caller:
    """Return whom the request's bearer token speaks for (RFC 6750 section 2.1, the header only).

    Raises:
        Disconnect: 4501 when the token is missing, wrong or expired, 4502 when the account is disabled.
    """
    headers = request.headers.getlist("Authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if headers and (scheme.lower() != "bearer" or not token.strip()):
        raise Disconnect(CloseCode.BAD_TOKEN, _HOW)
    engine = the_engine()
    named = _named() if engine.hooks.authenticators else {}
    address = caller_address()
    shown, changes = Credentials(token.strip() or None, named, address, _peer_address()), engine.accounts.changes
    try:
        identity = await identify(engine, shown)
    except Disconnect as refused:
        if not headers and refused.reason == CLOSE_REASONS[CloseCode.BAD_TOKEN]:
            raise Disconnect(CloseCode.BAD_TOKEN, _HOW) from None
        raise
    g.shown, g.identity, g.changes = shown, identity, changes
    if know := cast(dict[str, Any], request.scope).get("relay", {}).get("know"):
        know()
    read_for(identity.user_id)
    return Caller(identity, identity.client_id, address)


async def check_still() -> None:
    """Refuse a request whose caller may no longer what they might when it began: its body may have taken long.

    Raises:
        Disconnect: 4501, 4502 as in `the_caller`.
        RelayError: `forbidden`, for a caller who may do something else now.
    """
    identity: Identity | None = g.get("identity")
    engine = the_engine()
    if identity is None or g.changes == engine.accounts.changes:
        return
    g.changes = engine.accounts.changes
    now = await identify(engine, g.shown)
    if (now.user_id, now.admin, now.scopes) != (identity.user_id, identity.admin, identity.scopes):
        raise RelayError(ErrorCode.FORBIDDEN, "what you may do was changed while this came in; send it again")


def _named() -> dict[str, str]:
    """Return the request's headers by their names in lower case, as the head of an upgrade has them."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


def caller_address() -> str:
    """Return the address that limits count: each request's own, as a proxy's connection carries many clients'."""
    trusted = the_engine().settings.server.trusted_proxies
    return client_address(forwarded_for(), _peer_address(), trusted)


def forwarded_for() -> str:
    """Return whom proxies say that they speak for; "" where none says so."""
    return ",".join(request.headers.getlist("X-Forwarded-For"))


def _peer_address() -> str:
    known: dict[str, str] = cast(dict[str, Any], request.scope).get("relay", {})
    return known.get("address") or request.remote_addr or ""


def the_flow() -> Flow:
    """Return what lets the request's body in."""
    known: dict[str, Flow] = cast(dict[str, Any], request.scope).get("relay", {})
    return known.get("flow") or Flow()


async def await_page(caller: Caller) -> None:
    """Wait until another page of messages may be made for the caller; it counts until the answer is sent."""
    known: dict[str, Any] = cast(dict[str, Any], request.scope).get("relay", {})
    if "after" in known:  # what runs the application without a connection sends nothing
        pages = the_engine().rates.pages
        await pages.take(caller.user_id)
        known["after"].append(partial(pages.give_back, caller.user_id))


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    response: Response = current_app.response_class(
        encode_json(value), status=status, headers=headers, content_type="application/json"
    )
    return response
