"""The OpenAPI 3.1 document of the REST side, made of each view's contract; what all views share is added here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay import __version__
from relay.engine.registry import Registry
from relay.http.endpoint import Endpoint
from relay.protocol.answers import Ack, Problem
from relay.protocol.envelope import Envelope, Meta, SentMeta
from relay.protocol.errors import HTTP_STATUS, ErrorCode, said
from relay.transports.rest.calls import Call
from relay.transports.schemas.components import Schema, Schemas, parameters
from relay.transports.schemas.messages import acks, camel, client_envelope, sendable

_log: Final = logging.getLogger("relay.rest")
VERSION: Final = "3.1.0"
PROBLEM: Final = "application/problem+json"
_JSON: Final = "application/json"
_PREFIX: Final = "#/components/schemas/"
_ALWAYS: Final = (400, 408, 431, 500)
_CONVERTED: Final[dict[str, Schema]] = {"int": {"type": "integer"}, "float": {"type": "number"}}
_FORM: Final[Schema] = {
    "type": "object",
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
    "required": ["file"],
}
_MEANINGS: Final = {
    400: "A parameter, the body or the request's head is not what it should be.",
    401: "The token is missing, wrong, revoked or expired.",
    403: "It is known who asks, and they may not.",
    404: "There is no such thing, or the caller may not see it: both read the same.",
    408: "The request's head did not arrive in time.",
    409: "A name is taken, an id was used before, or something else came first.",
    413: "The body, or a part of it, is over its limit.",
    415: "The body says it is something else than what is taken here.",
    412: "The file is not one of those that If-Match names.",
    416: "The file has no such range.",
    429: "Too many at once; `retry_after` tells when there is room.",
    431: "The request's head is over its limit.",
    500: "A fault of the server's own; its log says which.",
    502: "A plugin failed.",
    503: "The disk does not keep up or is full, or the server is stopping.",
}
_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": "how to ask"},
    416: {"Content-Range": "how long the file is"},
    429: {"Retry-After": "seconds, rounded up"},
    503: {"Retry-After": "seconds, rounded up"},
}


def openapi(calls: Iterable[Call], registry: Registry) -> dict[str, Any]:
    """Return the OpenAPI document of these calls; a view without a contract is marked `x-undescribed`.

    So is a plugin's view whose contract cannot be described; the log names it.
    """
    listed = list(calls)
    try:
        return _document(listed, registry)
    except Exception:
        return _document([_without_bad_contract(call, registry) for call in listed], registry)


def _without_bad_contract(call: Call, registry: Registry) -> Call:
    if call.plugin is None:
        return call
    try:
        _document([call], registry)
    except Exception as fault:
        where = f"{call.method} {call.path} of plugin {call.plugin!r}"
        _log.warning("%s is left undescribed: %s: %s", where, type(fault).__name__, said(fault))
        return call._replace(endpoint=None)
    return call


def _document(listed: list[Call], registry: Registry) -> dict[str, Any]:
    sendables = list(sendable(registry))
    special_acks = acks(registry)
    schemas = Schemas(
        [Meta, *(type_.payload for type_ in sendables), *_types(listed)],
        _PREFIX,
        sent=[SentMeta, Ack, Problem, *special_acks.values(), *filter(_omits_empty, _types(listed))],
    )
    envelopes = [
        schemas.add(camel(type_.name) + "Envelope", client_envelope(type_, schemas)) for type_ in sendables
    ]
    schemas.put(Envelope, schemas.add("Envelope", {"anyOf": envelopes}))
    # The acks of some types have more fields.
    schemas.put(Ack, {"anyOf": [schemas.of(Ack), *map(schemas.of, special_acks.values())]})
    paths: dict[str, Schema] = {}
    for call in listed:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schemas)
    return {
        "openapi": VERSION,
        "info": {
            "title": "relay",
            "version": __version__,
            "description": "History, accounts, groups and files, beside the live flow of the WebSocket at `/ws`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group, "description": about} for group, about in _groups(listed).items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {_response_name(status): _refusal(status, schemas) for status in _MEANINGS},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _groups(calls: Iterable[Call]) -> dict[str, str]:
    return {call.group: call.about for call in calls}


def _types(calls: Iterable[Call]) -> Iterator[Any]:
    """Yield the types of all JSON bodies and answers."""
    for call in calls:
        if call.endpoint is not None:
            for type_ in (call.endpoint.body, *call.endpoint.answers.values()):
                if type_ not in (None, bytes, Envelope):
                    yield type_


def _omits_empty(type_: Any) -> bool:
    """Tell whether an answer leaves out fields that have no value: they are never null."""
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_.__struct_config__.omit_defaults


def _operation(call: Call, schemas: Schemas) -> Schema:
    summary, _, more = (inspect.getdoc(call.view) or "").partition("\n")
    operation: Schema = {
        "operationId": call.name,
        "tags": [call.group],
        "summary": summary.rstrip("."),
        "description": more.strip(),
        "parameters": list(_parameters(call)),
    }
    if call.endpoint is None:
        operation["x-undescribed"] = True
    elif call.endpoint.body is not None:
        operation["requestBody"] = {
            "required": not call.endpoint.optional_body,
            "content": _content(call.endpoint.body, call.endpoint.body_types, schemas),
        }
    operation["responses"] = dict(_responses(call, schemas))
    if call.access != "open":
        operation["security"] = [{"bearer": []}, *([{}] if call.access == "either" else [])]
    return {name: value for name, value in operation.items() if value not in ("", [])}


def _parameters(call: Call) -> Iterator[Schema]:
    for name, converter in call.variables.items():
        schema = _CONVERTED.get(converter, {"type": "string", "minLength": 1})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if call.endpoint is None:
        return
    if call.endpoint.query is not None:
        for name, schema, required in parameters(call.endpoint.query):
            about = {"description": schema.pop("description")} if "description" in schema else {}
            yield {"name": name, "in": "query", "required": required, "schema": schema, **about}
    for name, purpose in call.endpoint.headers.items():
        yield {"name": name, "in": "header", "schema": {"type": "string"}, "description": purpose}


def _responses(call: Call, schemas: Schemas) -> Iterator[tuple[str, Schema]]:
    if call.endpoint is None:
        yield "default", {"description": "This view does not say what it answers."}
    else:
        for status, type_ in call.endpoint.answers.items():
            yield str(status), _answer(status, type_, call.endpoint, schemas)
    for status in sorted(_refusals(call)):
        yield str(status), {"$ref": f"#/components/responses/{_response_name(status)}"}


def _answer(status: int, type_: Any, endpoint: Endpoint, schemas: Schemas) -> Schema:
    answer: Schema = {"description": HTTPStatus(status).phrase}
    if type_ is not None:
        answer["content"] = _content(type_, endpoint.answer_types, schemas)
    headers = endpoint.answer_headers.get(status, {})
    if headers:
        answer["headers"] = _headers(headers)
    return answer


def _content(type_: Any, media: Iterable[str], schemas: Schemas) -> Schema:
    """Return the schema of a body by content type; bytes have none."""
    schema = {"schema": schemas.of(type_)} if type_ is not bytes else {}
    return dict.fromkeys(media, schema)


def _refusals(call: Call) -> set[int]:
    """Return the status of every refusal that a call may get."""
    found = set(_ALWAYS)
    if call.variables:
        found.add(404)
    if call.access != "open":
        found |= {401, 403}
    if call.access != "open" or call.path.startswith("/api"):
        found.add(503)
    if call.plugin is not None:
        found.add(502)
    if call.endpoint is None:
        return found
    if call.endpoint.body is not None:
        found |= {413} if call.endpoint.body is bytes else {413, 415}
    return found | {HTTP_STATUS[one] if isinstance(one, ErrorCode) else one for one in call.endpoint.refusals}


def _response_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def _refusal(status: int, schemas: Schemas) -> Schema:
    refusal: Schema = {"description": _MEANINGS[status], "content": {PROBLEM: {"schema": schemas.of(Problem)}}}
    return refusal | ({"headers": _headers(_HEADERS[status])} if status in _HEADERS else {})


def _headers(purposes: Mapping[str, str]) -> Schema:
    return {name: {"schema": {"type": "string"}, "description": purpose} for name, purpose in purposes.items()}
