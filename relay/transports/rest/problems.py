"""Refusals as `application/problem+json` (RFC 9457), with the error codes of the socket's `error` frames."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, Final

from quart import Quart, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from relay.protocol.answers import Problem
from relay.protocol.envelope import encode_json, error_payload
from relay.protocol.errors import HTTP_STATUS, CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.tally import Tally
from relay.storage.errors import StorageError
from relay.transports.rest.access import EXTENSION

_log: Final = logging.getLogger("relay.rest")

_CODES: Final = {
    404: ErrorCode.NOT_FOUND,
    413: ErrorCode.TOO_LARGE,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.OVERLOADED,
}
"""Error codes for refusals of the HTTP library; any other 4xx is `invalid_payload`."""


def install(app: Quart) -> None:
    """Answer every exception of a view by a problem."""
    app.register_error_handler(RelayError, refuse)
    app.register_error_handler(Disconnect, refuse_disconnected)
    app.register_error_handler(HTTPException, refuse_http)
    app.register_error_handler(StorageError, refuse_unsaved)
    app.register_error_handler(Exception, refuse_fault)


def problem(
    error: RelayError, status: int | None = None, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Return the answer for an error.

    Args:
        status: the HTTP status; None for the one of the error's code.
        more: extension members of this kind of problem.
    """
    tally: Tally = current_app.extensions[EXTENSION].tally
    tally.errors["rest", error.code] += 1
    status = HTTP_STATUS[error.code] if status is None else status
    payload = error_payload(error)
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=payload.pop("message"),
        **payload,
        **more,
    )
    response: Response = current_app.response_class(
        encode_json(body), status=status, headers=headers, content_type="application/problem+json"
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response


async def refuse(error: RelayError) -> Response:
    """Answer the refusal of a service or a view."""
    return problem(error)


async def refuse_disconnected(error: Disconnect) -> Response:
    """Answer an error that would close a socket: 401 for a missing or wrong token, 403 otherwise."""
    refusal = RelayError(ErrorCode.FORBIDDEN, error.reason, details=error.details)
    if error.code is not CloseCode.BAD_TOKEN:
        return problem(refusal)
    # RFC 6750 section 3.1: a request that tried no token is not told what is wrong with it.
    wrong = ', error="invalid_token"' if "Authorization" in request.headers else ""
    return problem(refusal, 401, {"WWW-Authenticate": f'Bearer realm="relay"{wrong}'})


async def refuse_http(error: HTTPException) -> Response:
    """Answer a refusal of the HTTP library: unknown route or method, wrong type of body, body too large."""
    status = error.code or 500
    if status >= 500 and status not in _CODES:
        return await refuse_fault(error)
    detail = error.description or HTTPStatus(status).phrase
    headers: dict[str, str] = {}
    if status == 404:
        detail = f"there is no {request.path[:200]!r} here"
    elif status == 413:
        detail = f"the body is over the limit of {current_app.config['MAX_CONTENT_LENGTH']} bytes"
    elif isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
        detail = f"{request.method[:20]} is not for this path; it knows {headers['Allow']}"
    return problem(RelayError(_CODES.get(status, ErrorCode.INVALID_PAYLOAD), detail), status, headers)


async def refuse_unsaved(error: StorageError) -> Response:
    """Answer a request that the disk could not store: nothing of it was stored."""
    _log.debug("%s %s: %s", request.method, _route(), error)  # the disk has a line of its own in the log
    return problem(RelayError(ErrorCode.OVERLOADED, "this could not be saved; try again later", retry_after=5))


async def refuse_fault(error: Exception) -> Response:
    """Answer a fault of the server; its details go to the log only."""
    _log.error("%s %s failed", request.method, _route(), exc_info=error)
    return problem(RelayError(ErrorCode.INTERNAL, "a fault of the server's own; its log says more"))


def _route() -> str:
    """Return the route of this request for the log; its path may have secrets in it."""
    return str(request.url_rule.rule if request.url_rule is not None else "(no route)")
