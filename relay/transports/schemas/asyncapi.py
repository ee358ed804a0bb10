"""The AsyncAPI 3.0 document of the WebSocket: every frame in both directions, and the close codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from relay import __version__
from relay.engine.registry import Registry
from relay.protocol.answers import Ack, Error
from relay.protocol.envelope import Meta, SentMeta
from relay.protocol.errors import CLOSE_REASONS, CloseCode
from relay.protocol.events import SERVER_EVENTS
from relay.protocol.session import ConnectionEvent
from relay.settings import Settings
from relay.transports.schemas.components import Schema, Schemas
from relay.transports.schemas.messages import (
    ANSWERS,
    CONNECTION_EVENT,
    acks,
    client_envelope,
    client_event,
    client_events,
    delivered,
    first_line,
    orphan,
    sendable,
    server_envelope,
    tombstone,
    withheld,
)
from relay.transports.urls import reachable

VERSION: Final = "3.0.0"
_CHANNEL: Final = "#/channels/socket"
_RECONNECT: Final = {CloseCode.INTERNAL_ERROR}
"""Close codes besides 44xx after which a client reconnects."""

_BEARER: Final[Schema] = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token, in the header of the upgrade or, as pages must, in the hello.",
}


def asyncapi(registry: Registry, settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of a server with these plugins and settings."""
    special_acks = acks(registry)
    schemas = Schemas(
        [Meta, ConnectionEvent, *(type_.payload for type_ in registry.types.values())],
        "#/components/schemas/",
        sent=[SentMeta, Ack, Error, *special_acks.values(), *SERVER_EVENTS.values()],
    )
    messages = dict(_messages(registry, schemas, special_acks))
    server = settings.server
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "relay",
            "version": __version__,
            "description": "Real-time messages over a WebSocket, each in an envelope: `type`, `payload`, `meta`.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "relay": {
                "host": f"{reachable(server.host)}:{server.port}",
                "protocol": "wss" if server.tls_certificate else "ws",
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {"socket": _channel(messages)},
        "operations": dict(_operations(messages)),
        "components": {
            "schemas": schemas.components,
            "messages": messages,
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def _messages(
    registry: Registry, schemas: Schemas, special_acks: dict[str, type[msgspec.Struct]]
) -> Iterator[tuple[str, Schema]]:
    """Yield every frame by its name, which begins with its sender: `client` or `server`."""
    for event in client_events():
        envelope = client_event(event, schemas)
        yield _message("client", CONNECTION_EVENT, envelope, part=event.value)
    for type_ in sendable(registry):
        yield _message("client", type_.name, client_envelope(type_, schemas), first_line(type_.payload))
    for event, struct in SERVER_EVENTS.items():
        envelope = server_envelope(CONNECTION_EVENT, schemas.of(struct), schemas)
        yield _message("server", CONNECTION_EVENT, envelope, first_line(struct), part=event.value)
    yield _message("server", "ack", server_envelope("ack", schemas.of(Ack), schemas), first_line(Ack))
    for name, struct in special_acks.items():
        yield _message(
            "server", "ack", server_envelope("ack", schemas.of(struct), schemas), first_line(struct), part=name
        )
    yield _message("server", "error", server_envelope("error", schemas.of(Error), schemas), first_line(Error))
    for name, type_ in sorted(registry.types.items()):
        if name not in (CONNECTION_EVENT, *ANSWERS):
            yield _message("server", name, delivered(type_, schemas), first_line(type_.payload))
    others = {"tombstone": tombstone(schemas), "withheld": withheld(schemas), "orphan": orphan(schemas)}
    for name, schema in others.items():
        yield f"server.any.{name}", {"name": name, "summary": schema["description"], "payload": schema}


def _message(side: str, name: str, payload: Schema, summary: str = "", part: str = "") -> tuple[str, Schema]:
    key = ".".join(filter(None, (side, name, part)))
    message: Schema = {"name": name, "title": f"{name} {part}".strip(), "payload": payload}
    return key, message | ({"summary": summary} if summary else {})


def _channel(messages: dict[str, Schema]) -> Schema:
    return {
        "address": "/ws",
        "title": "The socket",
        "description": "The first frame is a hello; the server answers with `ready`, the replay and `synced`.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {"type": "string", "description": "`Bearer TOKEN`, or the hello has it"},
                        "Sec-WebSocket-Protocol": {"type": "string", "const": "relay.v1"},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": [
            {
                "code": int(code),
                "reason": CLOSE_REASONS[code],
                "comeBack": 4400 <= code < 4500 or code in _RECONNECT,
            }
            for code in CloseCode
        ],
    }


def _operations(messages: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """Yield one operation for each message that the server receives or sends."""
    for key in messages:
        side, _, rest = key.partition(".")
        operation: Schema = {
            "action": "receive" if side == "client" else "send",
            "channel": {"$ref": _CHANNEL},
            "summary": messages[key].get("summary", ""),
            "messages": [{"$ref": f"{_CHANNEL}/messages/{key}"}],
        }
        if side == "client":
            answers = _answers(rest, messages)
            operation["reply"] = {
                "channel": {"$ref": _CHANNEL},
                "messages": [{"$ref": f"{_CHANNEL}/messages/{answer}"} for answer in answers],
            }
        yield f"{operation['action']}.{rest}", {name: value for name, value in operation.items() if value}


def _answers(name: str, messages: dict[str, Schema]) -> list[str]:
    """Return the names of the answers to a message: an ack, if it has a `meta.id`, or an error."""
    if name == f"{CONNECTION_EVENT}.hello":
        return [f"server.{CONNECTION_EVENT}.ready", "server.error"]
    special_ack = f"server.ack.{name}"
    return [special_ack if special_ack in messages else "server.ack", "server.error"]
