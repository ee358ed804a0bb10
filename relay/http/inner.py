"""Requests that a view makes inside the process: of relay's own REST API, as the view's caller, or of an ASGI app.

A call of the API runs through everything that a request from outside runs through: the caller's token is checked,
the limits count it, the same code decides. So a view that offers what REST offers has no rules of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
import trio
from quart import current_app, request

from relay.protocol.answers import Problem
from relay.protocol.envelope import encode_json
from relay.protocol.errors import RelayError

_OF_THE_BODY: Final = (
    b"content-",
    b"transfer-encoding",
    b"accept",
    b"expect",
    b"idempotency-key",
    b"if-",
    b"range",
)
"""Beginnings of the names of headers that speak of the outer request's body or answer, and not of its caller."""


class Exchanged(NamedTuple):
    """The answer of an ASGI application.

    Attributes:
        headers: by their names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes


async def call_api(method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
    """Call a path of this server with the credentials of the request that is being served; return its JSON.

    Args:
        path: not encoded, such as `/api/users/me`.
        query: query parameters; those that are None are left out.
        body: becomes the JSON of the call; None for a call without one.

    Returns:
        The answer, decoded; None for an answer without a body.

    Raises:
        RelayError: the refusal that the call was answered with.
    """
    given = {name: value for name, value in (query or {}).items() if value is not None}
    content = b"" if body is None else encode_json(body)
    outer: Any = request.scope
    headers = [(name, value) for name, value in outer["headers"] if not name.lower().startswith(_OF_THE_BODY)]
    if content:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    scope = {
        **outer,  # with it goes what the server tells views of the connection, such as the peer's address
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": urlencode(given).encode(),
        "headers": headers,
    }
    answer = await run_asgi(current_app, scope, content)
    if answer.status >= 400:
        raise _refusal(answer.body)
    return msgspec.json.decode(answer.body) if answer.body else None


async def run_asgi(app: Callable[..., Awaitable[Any]], scope: Mapping[str, Any], body: bytes) -> Exchanged:
    """Run one HTTP request through an ASGI application, and return its answer once that is whole.

    Args:
        scope: of the request; `request.scope` is that of the one that is being served.
    """
    incoming = iter([{"type": "http.request", "body": body, "more_body": False}])
    started: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Any:
        for event in incoming:
            return event
        await trio.sleep_forever()

    async def send(event: Any) -> None:
        if event["type"] == "http.response.start":
            started.update(event)
        parts.append(event.get("body", b""))

    await app(dict(scope), receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in started["headers"]}
    return Exchanged(started["status"], headers, b"".join(parts))


def _refusal(answer: bytes) -> RelayError:
    problem = msgspec.json.decode(answer, type=Problem)
    return RelayError(
        problem.code,
        problem.detail,
        retry=problem.retry,
        retry_after=problem.retry_after,
        details=problem.details,
    )
