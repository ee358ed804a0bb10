"""Plugins' own routes: each view runs guarded, with its caller known, and what it returns is made an answer.

The body is there before the view begins: how slowly somebody sends is no time of the plugin's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quart import Quart, g, request
from werkzeug.exceptions import HTTPException

from relay.engine.engine import Engine
from relay.engine.guard import Guard, PluginFailed
from relay.plugin.registrations import Routes
from relay.protocol.errors import Disconnect
from relay.storage.errors import StorageError
from relay.transports.rest.context import the_caller

_ANSWERS = (HTTPException, Disconnect, StorageError)
"""What a view may raise that says something to the caller, besides `RelayError`."""


def mount(app: Quart, engine: Engine) -> None:
    """Add the routes of all plugins."""
    for owned in engine.registry.parts["relay_routes"]:
        routes: Routes = owned.part
        name = f"{owned.guard.plugin}_{routes.blueprint.name}"
        app.register_blueprint(routes.blueprint, name=name)
        for kept in (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs):
            kept[name] = [_guarded_step(app, owned.guard, step) for step in kept.get(name, ())]
        for endpoint in [known for known in app.view_functions if known.startswith(f"{name}.")]:
            public = endpoint.rpartition(".")[2] in routes.public
            view = app.view_functions[endpoint]
            app.view_functions[endpoint] = _guarded(app, engine, owned.guard, view, public=public)


def _guarded_step(app: Quart, guard: Guard, step: Callable[..., Any]) -> Any:
    """Guard what a blueprint has run before or after each of its views."""
    call = app.ensure_async(step)

    async def guarded(*arguments: Any) -> Any:
        if guard.aside:
            return arguments[0] if arguments else None
        await _body_is_here()
        try:
            return await guard.call_async(f"{step.__name__!r}, around its views", call, *arguments)
        except PluginFailed:
            raise guard.refusal() from None

    return guarded


async def _body_is_here() -> None:
    """Let the whole body in; the view reads it from memory.

    Raises:
        HTTPException: 413 for one over the limit.
    """
    if "Content-Length" in request.headers or "Transfer-Encoding" in request.headers:
        await request.get_data(cache=True, as_text=False)


def _guarded(app: Quart, engine: Engine, guard: Guard, view: Callable[..., Any], *, public: bool) -> Any:
    call = app.ensure_async(view)

    async def answer(**arguments: Any) -> Any:
        try:
            return await app.make_response(await call(**arguments))
        except _ANSWERS as told:
            return told

    async def guarded(**arguments: Any) -> Any:
        if not public:
            g.caller = await the_caller()
        guard.check()
        await _body_is_here()
        g.server = engine.server_of(guard.plugin)
        try:
            result = await guard.call_async(f"view {view.__name__!r}", lambda: answer(**arguments))
        except PluginFailed:
            raise guard.refusal() from None
        if isinstance(result, Exception):
            raise result
        return result

    return guarded
