"""What this server speaks, for tools: its message types, `/openapi.json` and `/asyncapi.json`.

They are for everybody. Generators, editors and documentation viewers cannot log in, and what they read tells of
shapes and of which plugins there are, never of users, messages or settings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quart import Blueprint, Response, current_app

from relay.engine.engine import Engine
from relay.engine.registry import Registry
from relay.http.endpoint import described
from relay.http.requests import NoQuery, read_query
from relay.protocol.envelope import encode_json
from relay.transports.rest.calls import Call
from relay.transports.rest.context import the_engine
from relay.transports.rest.openapi import openapi
from relay.transports.schemas.asyncapi import asyncapi
from relay.transports.schemas.messages import DescribedTypes, described_types

blueprint = Blueprint("schemas", __name__)

_KEPT: Final = "relay.schemas"
CALLS: Final = "relay.calls"
"""Where the application keeps what returns all calls, among its `extensions`."""


def _made(name: str, make: Callable[[Engine], Any]) -> Response:
    """Answer with a document, which is made once: no plugin comes or goes while a server runs."""
    kept: dict[str, bytes] = current_app.extensions.setdefault(_KEPT, {})
    if name not in kept:
        kept[name] = encode_json(make(the_engine()))
    response: Response = current_app.response_class(kept[name], content_type="application/json")
    return response


@blueprint.get("/api/types")
@described(query=NoQuery, answers={200: DescribedTypes}, access="open")
async def types() -> Response:
    """Answer with every message type of this server, and the JSON Schema of its payload."""
    read_query(NoQuery)
    return _made("types", lambda engine: described_types(engine.registry))


@blueprint.get("/openapi.json")
@described(query=NoQuery, access="open")
async def openapi_json() -> Response:
    """Answer with the OpenAPI document of every REST call."""
    read_query(NoQuery)
    calls: Callable[[Registry], list[Call]] = current_app.extensions[CALLS]
    return _made("openapi", lambda engine: openapi(calls(engine.registry), engine.registry))


@blueprint.get("/asyncapi.json")
@described(query=NoQuery, access="open")
async def asyncapi_json() -> Response:
    """Answer with the AsyncAPI document of every frame on the socket."""
    read_query(NoQuery)
    return _made("asyncapi", lambda engine: asyncapi(engine.registry, engine.settings))
