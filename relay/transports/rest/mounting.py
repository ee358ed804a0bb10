"""Plugins' own routes: each view runs guarded, with its caller known, and what it returns is made an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quart import Quart, g
from werkzeug.exceptions import HTTPException

from relay.plugin.engine import Engine
from relay.plugin.guard import Guard, PluginFailed
from relay.plugin.parts import Routes
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
        for endpoint in [known for known in app.view_functions if known.startswith(f"{name}.")]:
            public = endpoint.rpartition(".")[2] in routes.public
            view = app.view_functions[endpoint]
            app.view_functions[endpoint] = _guarded(app, engine, owned.guard, view, public=public)


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
        g.server = engine.server_of(guard.plugin)
        try:
            result = await guard.call_async(f"view {view.__name__!r}", lambda: answer(**arguments))
        except PluginFailed:
            raise guard.refusal() from None
        if isinstance(result, Exception):
            raise result
        return result

    return guarded
