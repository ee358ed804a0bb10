"""Calls of this server's own REST API by a view: as the view's own caller, inside the process.

The call runs through everything that a request from outside runs through: the caller's token is checked, the
limits count it, the same code decides. So a view that offers what REST offers has no rules of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
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
    status, answer = await _exchange(method, path, urlencode(given).encode(), content)
    if status >= 400:
        raise _refusal(answer)
    return msgspec.json.decode(answer) if answer else None


async def _exchange(method: str, path: str, query: bytes, content: bytes) -> tuple[int, bytes]:
    """Run one request through the application, and return its status and body."""
    outer: Any = request.scope
    headers = [(name, value) for name, value in outer["headers"] if not name.lower().startswith(_OF_THE_BODY)]
    if content:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    scope = {
        **outer,  # with it goes what the server tells views of the connection, such as the peer's address
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query,
        "headers": headers,
    }
    incoming = iter([{"type": "http.request", "body": content, "more_body": False}])
    status, parts = 0, []

    async def receive() -> Any:
        for event in incoming:
            return event
        await trio.sleep_forever()

    async def send(event: Any) -> None:
        nonlocal status
        status = event.get("status", status)
        parts.append(event.get("body", b""))

    app: Any = current_app
    await app(scope, receive, send)
    return status, b"".join(parts)


def _refusal(answer: bytes) -> RelayError:
    problem = msgspec.json.decode(answer, type=Problem)
    return RelayError(
        problem.code,
        problem.detail,
        retry=problem.retry,
        retry_after=problem.retry_after,
        details=problem.details,
    )
