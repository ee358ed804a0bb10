"""The REST side of one engine as an ASGI application: its routes, and what holds for every answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

import trio
from quart import Blueprint, Quart, Response, g, request
from quart.globals import request_ctx
from quart.typing import ResponseTypes
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest
from werkzeug.routing import MapAdapter

from relay.engine.engine import Engine
from relay.engine.registry import Registry
from relay.http.paths import Claimed, LateRule, claims
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.tally import Request, Tally
from relay.settings import Settings
from relay.settings.sections import WebSettings
from relay.transports.rest import (
    accounts,
    admin_access,
    admin_groups,
    admin_messages,
    admin_users,
    attachments,
    audit,
    backups,
    cluster,
    devices,
    groups,
    health,
    history,
    inspector,
    invites,
    messages,
    metrics,
    moderation,
    operating,
    own_account,
    page_faults,
    plugins,
    probe,
    problems,
    recovery,
    sample,
    schemas,
    second_factors,
    threads,
    tokens,
    trace,
    users,
    web,
)
from relay.transports.rest.access import EXTENSION, check_still, mount
from relay.transports.rest.calls import CALLS, Call, calls, path_of

BLUEPRINTS: Final[Mapping[Blueprint, str]] = {
    messages.blueprint: "Messages: history, undelivered messages, sending, acknowledging and marking as read.",
    threads.blueprint: "Threads: the replies to a message, and the threads that the caller follows.",
    attachments.blueprint: "Attachments: uploads as a stream, downloads by ranges (RFC 9110 section 14).",
    history.notifications: "Notifications: those to the caller, and those to everybody.",
    history.conversations: "The list of the caller's conversations.",
    groups.blueprint: "Groups: creating, renaming and deleting them, and their members.",
    accounts.blueprint: "Accounts: login and logout, registration, and the caller's own account.",
    recovery.blueprint: "Links for a new password, for a mail address, and for an account by an address.",
    second_factors.blueprint: "The second factor of the caller's logins, and its reset by an admin.",
    own_account.blueprint: "All of the caller's own account: an export of it, and its erasure.",
    users.statuses: "Presence: the statuses of users, and following users.",
    users.blueprint: (
        'The directory of users. With `[accounts] directory = "shared"` it has only users who have said something'
        " in a conversation with the caller."
    ),
    devices.blueprint: "The caller's devices: their list, and the end of a device's session.",
    tokens.blueprint: "The caller's API tokens, those that no login made: their list, and the end of one.",
    health.blueprint: "Health checks: whether the process lives, and whether the server can do its work.",
    invites.blueprint: "Invitations by admins: a new one with its link, the open ones, and taking one back.",
    moderation.blueprint: "Moderation: timeouts and bans, reports of messages, and whom the caller blocks.",
    inspector.blueprint: "The inspector: whether a user may do something, and by which rule.",
    admin_users.blueprint: "The administration of accounts: the list of users, changes, passwords and erasure.",
    admin_access.blueprint: "The administration of access: tokens, devices, and who is connected.",
    admin_groups.blueprint: "The administration of groups: all of them, a new one, members, and the end of one.",
    admin_messages.blueprint: "Notifications of admins, and messages of another system, as a stream.",
    audit.blueprint: "The audit log: who did what, to whom, and from where.",
    plugins.blueprint: "The administration of plugins: states, figures and options, and what admins can do.",
    page_faults.blueprint: "Faults of plugins' page modules, as relay's own page tells them.",
    probe.blueprint: "Probes: how a request arrives here through proxies; `relay doctor` makes their ids.",
    operating.blueprint: "The server's condition, its figures over time, and the use of the disk.",
    backups.blueprint: "Backups: what became of them, a new one, and the download of one by an owner.",
    cluster.blueprint: "The cluster that this server is a node of: its nodes, and another leader.",
    sample.blueprint: "Sample data, to try a new server with: adding and removing it.",
    trace.blueprint: "The life of one message: who has it, who waits for it, and why.",
    metrics.blueprint: "`GET /metrics`: the server's figures in the text format of Prometheus.",
    schemas.blueprint: (
        "Descriptions of this server for tools: its message types, `/openapi.json` and `/asyncapi.json`."
    ),
}
"""Relay's own groups of calls, each with its description in `/openapi.json`."""

_DRAIN_RETRY_SECONDS: Final = 2.0
_SENT: Final = "Authorization, Content-Type, Idempotency-Key"
_READ: Final = "Location, Retry-After, WWW-Authenticate"
_PREFLIGHT_SECONDS: Final = 600
_NOT_KEPT: Final = ("/api", "/healthz", "/readyz")


@cache
def own_blueprints(settings: WebSettings) -> tuple[Blueprint, ...]:
    """Return relay's own routes, with those of the web files that are switched on."""
    return (*BLUEPRINTS, web.blueprint(settings))


def own_paths(settings: Settings) -> Claimed:
    """Return the paths that are relay's own."""
    return dict(_own_paths(settings.web))


@cache
def _own_paths(settings: WebSettings) -> Claimed:
    return {("GET", "/ws"): "relay", **claims([*own_blueprints(settings)], "relay")}


def all_calls(registry: Registry) -> list[Call]:
    """Return every call of relay itself and of its plugins."""
    return calls(BLUEPRINTS, registry)


class _Request(TrioRequest):
    """A request; the body of an upload, an import or a probe has other limits than those of JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.path in (attachments.PATH, admin_messages.IMPORT_PATH) or self.path.startswith(probe.PREFIX):
            self.body = self.body_class(None, None)

    async def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body, if its caller may still send it when it is complete."""
        data = await super().get_data(*args, **kwargs)
        await check_still()
        return data


class _App(QuartTrio):
    """Quart, routing by path alone."""

    request_class = _Request
    url_rule_class = LateRule  # type: ignore[assignment]

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Return the router of one request.

        Quart's own reads the Host header, and an invalid one raises an exception that no handler catches.
        """
        if request is None:
            return None
        return self.url_map.bind("relay", request.root_path, None, request.scheme, request.method, request.path)


def make_app(engine: Engine) -> QuartTrio:
    """Return the application that serves everything in docs/rest.md."""
    app = _App("relay.transports.rest", static_folder=None)
    app.extensions[EXTENSION] = engine
    app.extensions[CALLS] = all_calls
    app.config["MAX_CONTENT_LENGTH"] = engine.settings.limits.body_bytes or None
    # The stream below has its own deadlines, which grow with what arrives; a fixed one would cut off slow peers.
    app.config["BODY_TIMEOUT"] = None
    app.config["RESPONSE_TIMEOUT"] = None
    # A redirect would be an answer that is neither what was asked for nor a problem.
    app.url_map.merge_slashes = False
    problems.install(app)
    _count_answers(app, engine.tally)
    _add_headers(app, lambda: engine.settings.server.allowed_origins)
    _answer_options(app)
    _refuse_while_draining(app, engine)
    for blueprint in own_blueprints(engine.settings.web):
        app.register_blueprint(blueprint)
    mount(app, engine)
    return app


class RestApp:
    """The application of the plugins that are loaded: made anew when they change.

    Quart takes no route once it has answered, and gives none back. A request ends in the application that it began
    in, so with the code that it began with.

    Attributes:
        app: the present one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.app = make_app(engine)
        engine.registry.when_changed(self._make_again)

    def _make_again(self) -> None:
        made = make_app(self._engine)
        if nursery := getattr(self.app, "nursery", None):  # of the lifespan, which the first one began
            made.nursery = nursery
        self.app = made

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the lifespan."""
        await self.app(scope, receive, send)


def _refuse_while_draining(app: Quart, engine: Engine) -> None:
    async def refuse() -> None:
        if engine.drain.begun and request.path.startswith("/api"):
            raise RelayError(
                ErrorCode.OVERLOADED, "the server is stopping; try again soon", retry_after=_DRAIN_RETRY_SECONDS
            )

    app.before_request(refuse)


def _count_answers(app: Quart, tally: Tally) -> None:
    """Count what is answered, and how long it takes, by route: paths have no end, and secrets in them."""

    async def begin() -> None:
        g.began = trio.current_time()

    async def count(response: ResponseTypes) -> ResponseTypes:
        rule, status = request.url_rule, response.status_code // 100
        kind = Request("", "", status) if rule is None else Request(request.method, path_of(rule.rule), status)
        tally.answered(kind, trio.current_time() - g.began)
        return response

    app.before_request(begin)
    app.after_request(count)


def _add_headers(app: Quart, origins: Callable[[], list[str]]) -> None:
    """Add the headers of every answer, with those of the fetch standard's CORS.

    Args:
        origins: returns other pages that may call; each is echoed exactly, and never with credentials.
    """

    async def add_headers(response: ResponseTypes) -> ResponseTypes:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        if request.path.startswith(_NOT_KEPT):
            headers.setdefault("Cache-Control", "no-store")
        allowed = origins()
        if not allowed:
            return response
        # Also for other origins: a cache must not give one origin's answer to another.
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _READ
            if "Allow" in headers and request.method == "OPTIONS":
                headers["Access-Control-Allow-Methods"] = headers["Allow"]
                headers["Access-Control-Allow-Headers"] = _SENT
                headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response

    app.after_request(add_headers)


def _answer_options(app: Quart) -> None:
    """Answer OPTIONS with the methods of the path."""

    async def answer_options() -> Response | None:
        if request.method != "OPTIONS" or request.routing_exception is not None:
            return None
        adapter = cast(MapAdapter, request_ctx.url_adapter)
        response: Response = app.response_class(
            b"", status=204, headers={"Allow": ", ".join(sorted(adapter.allowed_methods()))}
        )
        del response.headers["Content-Type"]
        return response

    app.before_request(answer_options)
