"""Every view behind its access check: the caller is authenticated, then the view runs, a plugin's under its guard.

Rule 1: a view without a declaration needs a token.

Rule 2: the body is there before a plugin's view begins: the time of a slow sender is not the plugin's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from quart import Quart, current_app, g, request
from werkzeug.exceptions import HTTPException

from relay.engine.engine import Engine
from relay.engine.guard import Guard, PluginFailed
from relay.http.endpoint import Access, access_of
from relay.http.views import Caller
from relay.plugin.registrations import Credentials, Routes
from relay.protocol.errors import CLOSE_REASONS, CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.audit import acting
from relay.services.limits import network_of
from relay.storage.accounts import Identity
from relay.storage.errors import StorageError
from relay.storage.turns import read_for
from relay.transports.head import client_address
from relay.transports.rest.bodies import connection_of_request

_HOW: Final = "send your token in one header, Authorization: Bearer TOKEN"
EXTENSION: Final = "relay"
"""The key of the engine among the application's `extensions`."""

_ANSWERS: Final = (HTTPException, Disconnect, StorageError)
"""Exceptions of a plugin's view that answer the caller, besides `RelayError`."""


def the_engine() -> Engine:
    """Return the engine of the application that serves this request."""
    return cast(Engine, current_app.extensions[EXTENSION])


def mount(app: Quart, engine: Engine) -> None:
    """Put every view of the application behind its access check, and add the routes of all plugins."""
    for name, view in app.view_functions.items():
        app.view_functions[name] = _own(engine, view)
    for owned in engine.registry.parts["relay_routes"]:
        routes: Routes = owned.part
        name = f"{owned.guard.plugin}_{routes.blueprint.name}"
        app.register_blueprint(routes.blueprint, name=name)
        for steps in (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs):
            steps[name] = [_guarded_step(app, owned.guard, step) for step in steps.get(name, ())]
        for endpoint in [known for known in app.view_functions if known.startswith(f"{name}.")]:
            view = app.view_functions[endpoint]
            access = access_of(view, public=endpoint.rpartition(".")[2] in routes.public)
            app.view_functions[endpoint] = _guarded(app, engine, owned.guard, view, access)


async def _admit(access: Access) -> None:
    """Authenticate the caller of a view, unless it is open or does that itself.

    Raises:
        Disconnect: 4501, 4502 as in `authenticate`.
    """
    g.count_attempt = count_attempt
    if access == "either":
        g.authenticate = authenticate
    elif access != "open":
        g.caller = await authenticate()


def _own(engine: Engine, view: Callable[..., Any]) -> Any:
    access = access_of(view)

    async def checked(**arguments: Any) -> Any:
        await _admit(access)
        g.engine = engine
        return await view(**arguments)

    return checked


def _guarded(app: Quart, engine: Engine, guard: Guard, view: Callable[..., Any], access: Access) -> Any:
    call = app.ensure_async(view)

    async def answer(**arguments: Any) -> Any:
        try:
            return await app.make_response(await call(**arguments))
        except _ANSWERS as answering:
            return answering

    async def guarded(**arguments: Any) -> Any:
        try:
            # Before the first wait: the plugin may be loaded anew meanwhile, and this code goes with this server.
            server = engine.server_of(guard.plugin)
        except PluginFailed:  # taken out since the request was routed here
            raise guard.refusal() from None
        await _admit(access)
        guard.check()
        await _receive_body()
        g.server = server
        try:
            with acting(g.caller.actor if "caller" in g else None):
                result = await guard.call_async(f"view {view.__name__!r}", lambda: answer(**arguments))
        except PluginFailed:
            raise guard.refusal() from None
        if isinstance(result, Exception):
            raise result
        return result

    return guarded


def _guarded_step(app: Quart, guard: Guard, step: Callable[..., Any]) -> Any:
    """Guard what a plugin's blueprint runs before or after each of its views."""
    call = app.ensure_async(step)

    async def guarded(*arguments: Any) -> Any:
        if guard.quarantined:
            return arguments[0] if arguments else None
        await _receive_body()
        try:
            return await guard.call_async(f"{step.__name__!r}, around its views", call, *arguments)
        except PluginFailed:
            raise guard.refusal() from None

    return guarded


async def _receive_body() -> None:
    """Receive the whole body; the view reads it from memory.

    Raises:
        HTTPException: 413 for one over the limit.
    """
    if "Content-Length" in request.headers or "Transfer-Encoding" in request.headers:
        await request.get_data(cache=True, as_text=False)


async def authenticate() -> Caller:
    """Return the user of the request's bearer token (RFC 6750 section 2.1, the header only).

    Raises:
        Disconnect: 4501 when the token is missing, wrong or expired, 4502 when the account is disabled.
    """
    headers = request.headers.getlist("Authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if headers and (scheme.lower() != "bearer" or not token.strip()):
        raise Disconnect(CloseCode.BAD_TOKEN, _HOW)
    engine = the_engine()
    named = _headers_by_name() if engine.authentication.by_plugins else {}
    address = caller_address()
    credentials = Credentials(token.strip() or None, named, address, peer_address())
    changes = engine.accounts.changes
    try:
        identity = await engine.authentication.identify(credentials)
    except Disconnect as refused:
        if not headers and refused.reason == CLOSE_REASONS[CloseCode.BAD_TOKEN]:
            raise Disconnect(CloseCode.BAD_TOKEN, _HOW) from None
        raise
    g.credentials, g.identity, g.changes = credentials, identity, changes
    if authenticated := connection_of_request().get("authenticated"):
        authenticated()
    read_for(identity.user_id)
    return Caller(identity, identity.client_id, address, request.headers.get("User-Agent", "")[:200])


async def check_still() -> None:
    """Refuse a request whose caller lost rights since it began: its body may have taken long.

    Raises:
        Disconnect: 4501, 4502 as in `authenticate`.
        RelayError: `forbidden`, for a caller whose rights are others now.
    """
    identity: Identity | None = g.get("identity")
    engine = the_engine()
    if identity is None or g.changes == engine.accounts.changes:
        return
    g.changes = engine.accounts.changes
    now = await engine.authentication.identify(g.credentials)
    if (now.user_id, now.role, now.scopes) != (identity.user_id, identity.role, identity.scopes):
        raise RelayError(ErrorCode.FORBIDDEN, "what you may do was changed while this came in; send it again")


def caller_address() -> str:
    """Return the address that limits count: each request's own, as a proxy's connection carries many clients'."""
    trusted = the_engine().settings.server.trusted_proxies
    return client_address(forwarded_for(), peer_address(), trusted)


def count_attempt() -> str:
    """Count an attempt to sign in, by the network of the request's address, and return the address.

    Raises:
        RelayError: `rate_limited`.
    """
    address = caller_address()
    the_engine().rates.logins.take(network_of(address))
    return address


def forwarded_for() -> str:
    """Return the clients that proxies name; "" where none names any."""
    return ",".join(request.headers.getlist("X-Forwarded-For"))


def peer_address() -> str:
    """Return where the request's connection comes from, which may be a proxy."""
    return connection_of_request().get("address") or request.remote_addr or ""


def _headers_by_name() -> dict[str, str]:
    """Return the request's headers by their names in lower case, as the head of an upgrade has them."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        found[key] = f"{found[key]},{value}" if key in found else value
    return found
