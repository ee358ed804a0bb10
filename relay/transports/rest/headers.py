"""Headers of every answer, and which other origins' web pages may read it (the fetch standard's CORS)."""

from __future__ import annotations

from typing import Final, cast

from quart import Quart, Response, request
from quart.globals import request_ctx
from quart.typing import ResponseTypes
from werkzeug.routing import MapAdapter

_SENT: Final = "Authorization, Content-Type, Idempotency-Key"
_READ: Final = "Location, Retry-After, WWW-Authenticate"
_PREFLIGHT_SECONDS: Final = 600
_NOT_KEPT: Final = ("/api", "/healthz", "/readyz")


def install(app: Quart, origins: list[str]) -> None:
    """Add the headers to every answer and answer OPTIONS.

    Args:
        origins: those of other pages that may call; each is echoed exactly, and never with credentials.
    """
    allowed = frozenset(origins)

    async def add_headers(response: ResponseTypes) -> ResponseTypes:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        if request.path.startswith(_NOT_KEPT):
            headers.setdefault("Cache-Control", "no-store")
        if not allowed:
            return response
        # Also for those that are not allowed: a cache must not give one origin's answer to another.
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
    app.after_request(add_headers)
