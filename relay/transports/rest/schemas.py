"""Descriptions of this server for tools: its message types, `/openapi.json` and `/asyncapi.json`.

They are for everybody. Generators, editors and documentation viewers cannot log in, and the documents hold shapes
and the names of plugins, never users, messages or settings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quart import Blueprint, Response, current_app

from relay.engine.engine import Engine
from relay.engine.registry import Registry
from relay.http.endpoint import endpoint
from relay.protocol.envelope import encode_json
from relay.transports.rest.calls import CALLS, Call
from relay.transports.rest.openapi import openapi
from relay.transports.schemas.asyncapi import asyncapi
from relay.transports.schemas.messages import DescribedTypes, described_types

blueprint = Blueprint("schemas", __name__)

_DOCUMENTS: Final = "relay.schemas"


@blueprint.get("/api/types")
@endpoint(answers={200: DescribedTypes}, access="open")
async def types(engine: Engine) -> Response:
    """Answer with every message type of this server, and the JSON Schema of its payload."""
    return _made_once("types", lambda: described_types(engine.registry))


@blueprint.get("/openapi.json")
@endpoint(access="open")
async def openapi_json(engine: Engine) -> Response:
    """Answer with the OpenAPI document of every REST call."""
    calls: Callable[[Registry], list[Call]] = current_app.extensions[CALLS]
    return _made_once("openapi", lambda: openapi(calls(engine.registry), engine.registry))


@blueprint.get("/asyncapi.json")
@endpoint(access="open")
async def asyncapi_json(engine: Engine) -> Response:
    """Answer with the AsyncAPI document of every frame on the socket."""
    return _made_once("asyncapi", lambda: asyncapi(engine.registry, engine.settings))


def _made_once(name: str, make: Callable[[], Any]) -> Response:
    """Answer with a document, which is made at its first request: an application has the same plugins always."""
    documents: dict[str, bytes] = current_app.extensions.setdefault(_DOCUMENTS, {})
    if name not in documents:
        documents[name] = encode_json(make())
    return Response(documents[name], content_type="application/json")
