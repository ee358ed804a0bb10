"""The REST side as OpenAPI 3.1, of what each view says of itself; what all of them share is told here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay import __version__
from relay.engine.registry import Registry
from relay.http.endpoint import Description
from relay.protocol.answers import Ack, Problem
from relay.protocol.envelope import Envelope, Meta, SentMeta
from relay.protocol.errors import HTTP_STATUS, ErrorCode
from relay.transports.rest.calls import Call
from relay.transports.schemas.components import Schema, Schemas, parameters
from relay.transports.schemas.messages import acks, camel, client_envelope, sendable

_log: Final = logging.getLogger("relay.rest")
VERSION: Final = "3.1.0"
PROBLEM: Final = "application/problem+json"
_JSON: Final = "application/json"
_PREFIX: Final = "#/components/schemas/"
_ALWAYS: Final = (400, 431, 500)
_CONVERTED: Final[dict[str, Schema]] = {"int": {"type": "integer"}, "float": {"type": "number"}}
_FORM: Final[Schema] = {
    "type": "object",
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
    "required": ["file"],
}
_WHEN: Final = {
    400: "A parameter, the body or the request's head is not what it should be.",
    401: "The token is missing, wrong, revoked or expired.",
    403: "It is known who asks, and they may not.",
    404: "There is no such thing, or the caller may not see it: both read the same.",
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
    """Return the OpenAPI document of these calls; a view that says nothing of itself is marked `x-undescribed`.

    So is a plugin's view that says what cannot be; the log names it.
    """
    listed = list(calls)
    try:
        return _document(listed, registry)
    except Exception:
        return _document([_without_nonsense(call, registry) for call in listed], registry)


def _without_nonsense(call: Call, registry: Registry) -> Call:
    if call.plugin is None:
        return call
    try:
        _document([call], registry)
    except Exception as fault:
        where = f"{call.method} {call.path} of plugin {call.plugin!r}"
        _log.warning("%s is left undescribed: %s: %s", where, type(fault).__name__, fault)
        return call._replace(said=None)
    return call


def _document(listed: list[Call], registry: Registry) -> dict[str, Any]:
    sendables = list(sendable(registry))
    special = acks(registry)
    schemas = Schemas(
        [Meta, *(type_.payload for type_ in sendables), *_types(listed)],
        _PREFIX,
        sent=[SentMeta, Ack, Problem, *special.values(), *filter(_leaves_out, _types(listed))],
    )
    envelopes = [
        schemas.add(camel(type_.name) + "Envelope", client_envelope(type_, schemas)) for type_ in sendables
    ]
    schemas.put(Envelope, schemas.add("Envelope", {"anyOf": envelopes}))
    # An ack says more where its message's type has it say more.
    schemas.put(Ack, {"anyOf": [schemas.of(Ack), *map(schemas.of, special.values())]})
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
            "responses": {_called(status): _refusal(status, schemas) for status in _WHEN},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _groups(calls: Iterable[Call]) -> dict[str, str]:
    return {call.group: call.about for call in calls}


def _types(calls: Iterable[Call]) -> Iterator[Any]:
    """Yield the types of all bodies and answers that are JSON."""
    for call in calls:
        if call.said is not None:
            for type_ in (call.said.body, *call.said.answers.values()):
                if type_ not in (None, bytes, Envelope):
                    yield type_


def _leaves_out(type_: Any) -> bool:
    """Tell whether an answer leaves fields out that have no value, which are then never null."""
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
    if call.said is None:
        operation["x-undescribed"] = True
    elif call.said.body is not None:
        operation["requestBody"] = {
            "required": not call.said.optional_body,
            "content": _content(call.said.body, call.said.body_types, schemas),
        }
    operation["responses"] = dict(_responses(call, schemas))
    if call.access != "open":
        operation["security"] = [{"bearer": []}, *([{}] if call.access == "either" else [])]
    return {name: value for name, value in operation.items() if value not in ("", [])}


def _parameters(call: Call) -> Iterator[Schema]:
    for name, converter in call.variables.items():
        schema = _CONVERTED.get(converter, {"type": "string", "minLength": 1})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if call.said is None:
        return
    if call.said.query is not None:
        for name, schema, required in parameters(call.said.query):
            told = {"description": schema.pop("description")} if "description" in schema else {}
            yield {"name": name, "in": "query", "required": required, "schema": schema, **told}
    for name, purpose in call.said.headers.items():
        yield {"name": name, "in": "header", "schema": {"type": "string"}, "description": purpose}


def _responses(call: Call, schemas: Schemas) -> Iterator[tuple[str, Schema]]:
    if call.said is None:
        yield "default", {"description": "This view does not say what it answers."}
    else:
        for status, type_ in call.said.answers.items():
            yield str(status), _answer(status, type_, call.said, schemas)
    for status in sorted(_refusals(call)):
        yield str(status), {"$ref": f"#/components/responses/{_called(status)}"}


def _answer(status: int, type_: Any, said: Description, schemas: Schemas) -> Schema:
    answer: Schema = {"description": HTTPStatus(status).phrase}
    if type_ is not None:
        answer["content"] = _content(type_, said.answer_types, schemas)
    headers = said.answer_headers.get(status, {})
    if headers:
        answer["headers"] = _headers(headers)
    return answer


def _content(type_: Any, media: Iterable[str], schemas: Schemas) -> Schema:
    """Return what a body is, by content type; of bytes nothing more is said."""
    schema = {"schema": schemas.of(type_)} if type_ is not bytes else {}
    return dict.fromkeys(media, schema)


def _refusals(call: Call) -> set[int]:
    """Return every status of a refusal that a call may meet."""
    found = set(_ALWAYS)
    if call.variables:
        found.add(404)
    if call.access != "open":
        found |= {401, 403}
    if call.access != "open" or call.path.startswith("/api"):
        found.add(503)
    if call.plugin is not None:
        found.add(502)
    if call.said is None:
        return found
    if call.said.body is not None:
        found |= {413} if call.said.body is bytes else {413, 415}
    return found | {HTTP_STATUS[one] if isinstance(one, ErrorCode) else one for one in call.said.refusals}


def _called(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def _refusal(status: int, schemas: Schemas) -> Schema:
    refusal: Schema = {"description": _WHEN[status], "content": {PROBLEM: {"schema": schemas.of(Problem)}}}
    return refusal | ({"headers": _headers(_HEADERS[status])} if status in _HEADERS else {})


def _headers(said: dict[str, str] | Any) -> Schema:
    return {name: {"schema": {"type": "string"}, "description": purpose} for name, purpose in said.items()}
