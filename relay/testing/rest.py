"""REST requests to a server in memory, through its routes, without sockets."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from relay.engine.engine import Engine
from relay.testing.checking import answers_of
from relay.transports.rest.app import RestApp


class Answer(NamedTuple):
    """The response to a request.

    Attributes:
        body: decoded if it is JSON, bytes otherwise.
    """

    status: int
    body: Any
    headers: dict[str, str]


class Rest:
    """The REST side of an engine; its responses are checked against its OpenAPI document."""

    def __init__(self, engine: Engine) -> None:
        self._current = RestApp(engine)
        self._answers = answers_of(engine)
        engine.registry.when_changed(lambda: self._expect(engine))

    @property
    def _app(self) -> Any:
        return self._current.app

    def _expect(self, engine: Engine) -> None:
        """Read the server's description again: its plugins have changed."""
        self._answers = answers_of(engine)

    async def request(
        self,
        method: str,
        path: str,
        token: str | None,
        *,
        json_body: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make a request and return the response."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json_body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(json_body).encode()
        client = self._app.test_client()
        response = await client.open(path, method=method, headers=sent, data=data)
        raw = await response.get_data()
        told = {name.lower(): value for name, value in response.headers.items()}
        self._answers.check(method, path, response.status_code, told, raw)
        body: Any = raw
        if "json" in (response.content_type or ""):
            body = json.loads(raw)
        return Answer(response.status_code, body, told)
