"""Calls to the REST API; the only module that names httpx."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec

from relay.client.errors import RelayError, RelayOffline
from relay.protocol.errors import HTTP_CODES, RETRY_STATUSES, ErrorCode, said

_TIMEOUT_SECONDS: Final = 30.0


class RestClient:
    """Speaks JSON with one server; a refusal raises `RelayError`, no answer raises `RelayOffline`."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_TIMEOUT_SECONDS,
            verify=ssl_context if ssl_context is not None else True,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def get(self, path: str, **params: object) -> Any:
        """Call GET and return the answer; parameters that are None are left out, times may be `datetime`s.

        Raises:
            RelayError: The server refused.
            RelayOffline: There was no answer.
        """
        return await self.request("GET", path, params=params)

    async def post(self, path: str, body: object = None, *, idempotency_key: str | None = None) -> Any:
        """Call POST with a JSON body and return the answer.

        Raises:
            RelayError: The server refused.
            RelayOffline: There was no answer; whether it was done is unknown, unless there is a key.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        return await self.request("POST", path, body=body, headers=headers)

    async def put(self, path: str, body: object = None) -> Any:
        """Call PUT with a JSON body; raises as `post` does."""
        return await self.request("PUT", path, body=body)

    async def patch(self, path: str, body: object = None) -> Any:
        """Call PATCH with a JSON body; raises as `post` does."""
        return await self.request("PATCH", path, body=body)

    async def delete(self, path: str) -> Any:
        """Call DELETE; raises as `post` does."""
        return await self.request("DELETE", path)

    async def acknowledge(self, cursor: int, *, client_id: str | None = None) -> int:
        """Acknowledge what a program without a connection has processed, and return the cursor.

        `client_id` names the device; without one it is the token's.

        Raises:
            RelayError: The server refused, as for a cursor ahead of it.
            RelayOffline: There was no answer; calling again does no harm.
        """
        named = {} if client_id is None else {"client_id": client_id}
        answer = await self.post("/api/messages/acknowledge", {"cursor": cursor, **named})
        return int(answer["cursor"])

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make one call and return the decoded JSON of the answer, None for an empty one, bytes for other types.

        Raises:
            RelayError: The server refused.
            RelayOffline: There was no answer.
        """
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        query = {name: _text(value) for name, value in (params or {}).items() if value is not None}
        try:
            # None rather than {}: httpx would strip a query that is already in the path.
            answer = await self._http.request(method, path, params=query or None, content=content, headers=sent)
        except httpx.HTTPError as error:
            raise RelayOffline(f"{method} {path}: {said(error)}", retry=not _of_certificate(error)) from error
        if answer.is_success:
            return _decoded(answer)
        raise _refusal(answer)

    async def aclose(self) -> None:
        """Close the connections that are kept for reuse."""
        await self._http.aclose()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        # A naive time is the caller's local one; the server cannot know which that is.
        return str(value.timestamp())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _of_certificate(error: BaseException | None) -> bool:
    """Return whether a call failed as the server's certificate is not trusted, which waiting does not change."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _decoded(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    if "json" not in answer.headers.get("content-type", ""):
        return answer.content
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError as error:
        raise RelayError(ErrorCode.INTERNAL, f"the server's answer is not JSON: {error}", retry=True) from error


def _refusal(answer: httpx.Response) -> RelayError:
    status = answer.status_code
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        problem = None
    members: dict[str, Any] = dict(problem) if isinstance(problem, dict) else {}
    # A proxy's answer names no code.
    members.setdefault("code", HTTP_CODES.get(status, ErrorCode.INTERNAL))
    members.setdefault("message", members.get("detail") or members.get("title") or f"HTTP {status}")
    members.setdefault("retry", status in RETRY_STATUSES)
    after = answer.headers.get("retry-after", "")
    if "retry_after" not in members and after.isdigit():
        members["retry_after"] = float(after)
    return RelayError.from_payload(members)
