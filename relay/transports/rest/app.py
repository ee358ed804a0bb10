"""The REST side of one engine, as an ASGI application."""

from __future__ import annotations

from typing import Any, Final

from quart import Blueprint, Quart, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest
from werkzeug.routing import MapAdapter

from relay.engine.engine import Engine
from relay.engine.registry import Registry
from relay.http.paths import Claimed, claims
from relay.protocol.errors import ErrorCode, RelayError
from relay.settings import Settings
from relay.transports.rest import (
    accounts,
    attachments,
    conversations,
    devices,
    groups,
    headers,
    health,
    messages,
    metrics,
    notifications,
    problems,
    schemas,
    statuses,
    users,
    web,
)
from relay.transports.rest.calls import Call, calls
from relay.transports.rest.context import EXTENSION, check_still
from relay.transports.rest.mounting import mount

BLUEPRINTS: Final = (
    messages.blueprint,
    attachments.blueprint,
    notifications.blueprint,
    conversations.blueprint,
    groups.blueprint,
    accounts.blueprint,
    statuses.blueprint,
    users.blueprint,
    devices.blueprint,
    health.blueprint,
    metrics.blueprint,
    schemas.blueprint,
)
_DRAIN_RETRY_SECONDS: Final = 2.0


def own_blueprints(settings: Settings) -> list[Blueprint]:
    """Return relay's own routes, with those of the web files that are switched on."""
    return [*BLUEPRINTS, web.blueprint(settings.web)]


def own_paths(settings: Settings) -> Claimed:
    """Return the paths that are relay's own."""
    return {("GET", "/ws"): "relay", **claims(own_blueprints(settings), "relay")}


def all_calls(registry: Registry) -> list[Call]:
    """Return every call of relay's own and of plugins."""
    return calls(list(BLUEPRINTS), registry)


class _Request(TrioRequest):
    """A request; the body of an upload has limits of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.path == attachments.PATH:
            self.body = self.body_class(None, None)

    async def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body, for who may still send it at its end."""
        data = await super().get_data(*args, **kwargs)
        await check_still()
        return data


class _App(QuartTrio):
    """Quart, routing by path alone."""

    request_class = _Request

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Return the router of one request.

        Quart's own reads the Host header, and one that no name can be raises where no handler catches it.
        """
        if request is None:
            return None
        return self.url_map.bind("relay", request.root_path, None, request.scheme, request.method, request.path)


def make_app(engine: Engine) -> QuartTrio:
    """Return the application that serves everything in docs/rest.md."""
    app = _App("relay.transports.rest", static_folder=None)
    app.extensions[EXTENSION] = engine
    app.extensions[schemas.CALLS] = all_calls
    app.config["MAX_CONTENT_LENGTH"] = engine.settings.limits.body_bytes or None
    # The stream below has its own deadlines, which know how fast a peer is; a fixed one here would cut slow ones.
    app.config["BODY_TIMEOUT"] = None
    app.config["RESPONSE_TIMEOUT"] = None
    # A redirect would be an answer that is neither the thing nor a problem.
    app.url_map.merge_slashes = False
    problems.install(app)
    headers.install(app, engine.settings.server.allowed_origins)
    _refuse_while_draining(app, engine)
    for blueprint in own_blueprints(engine.settings):
        app.register_blueprint(blueprint)
    mount(app, engine)
    return app


def _refuse_while_draining(app: Quart, engine: Engine) -> None:
    async def refuse() -> None:
        if engine.draining and request.path.startswith("/api"):
            raise RelayError(
                ErrorCode.OVERLOADED, "the server is stopping; try again soon", retry_after=_DRAIN_RETRY_SECONDS
            )

    app.before_request(refuse)
