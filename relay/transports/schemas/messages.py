"""Schemas of message types, and of the envelopes that carry their messages in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from relay.engine.registry import Registry
from relay.http.requests import Answer
from relay.plugin.types import MessageType
from relay.protocol.answers import Ack
from relay.protocol.envelope import Meta, SentMeta
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.protocol.session import WELCOME, ConnectionEvent, Event
from relay.transports.schemas.components import DIALECT, Schema, Schemas

CONNECTION_EVENT: Final = "connection_event"
ANSWERS: Final = ("ack", "error")
_ALWAYS: Final[dict[Kind, list[str]]] = {
    Kind.STREAM: ["message_id", "seq", "sender_id", "timestamp"],
    Kind.LATEST: ["sender_id", "timestamp"],
    Kind.TRANSIENT: ["sender_id", "timestamp"],
}
"""The fields that are always in the `meta` of a message from the server."""

_NEEDED: Final[dict[Event, list[str]]] = {Event.ACK: ["event", "cursor"]}
"""The required fields of a client's connection event."""


class DescribedType(Answer, frozen=True):
    """A message type of this server; schemas are JSON Schema, draft 2020-12.

    `payload` is what a client sends, or what the server sends where `from_clients` is false; `answer` is what the
    ack says besides, null where that is nothing.
    """

    name: str
    plugin: str
    description: str
    kind: Kind
    targets: list[ConversationKind]
    from_clients: bool
    priority: int
    scope: str | None
    roles: list[Role] | None
    unread: bool
    editable: bool
    deletable: bool
    ttl_seconds: float | None
    lasts_seconds: float | None
    max_bytes: int | None
    payload: dict[str, Any]
    answer: dict[str, Any] | None


class DescribedTypes(Answer, frozen=True):
    """Every message type of this server, those of its plugins included."""

    types: list[DescribedType]


def described_types(registry: Registry) -> DescribedTypes:
    """Return the description of every message type, by name."""
    return DescribedTypes(types=[_described(registry, type_) for _, type_ in sorted(registry.types.items())])


def _described(registry: Registry, type_: MessageType) -> DescribedType:
    payload = _alone(type_.payload)
    return DescribedType(
        name=type_.name,
        plugin=registry.owner(type_.name).plugin,
        description=first_line(type_.payload),
        kind=type_.kind,
        targets=sorted(type_.targets),
        from_clients=type_.from_clients,
        priority=registry.priority(type_.name),
        scope=type_.scope,
        roles=None if type_.roles is None else sorted(type_.roles),
        unread=type_.unread,
        editable=type_.editable,
        deletable=type_.deletable,
        ttl_seconds=type_.ttl_seconds,
        lasts_seconds=type_.lasts_seconds,
        max_bytes=type_.max_bytes,
        payload=payload,
        answer=None if type_.answer is None else _alone(type_.answer),
    )


def _alone(type_: Any) -> Schema:
    """Return the schema of one type as a complete document."""
    schemas = Schemas([type_], "#/$defs/")
    return {"$schema": DIALECT, **schemas.of(type_), "$defs": schemas.components}


def first_line(type_: Any) -> str:
    """Return the first line of a struct's docstring; "" for types without one of their own."""
    text = type_.__doc__ if isinstance(type_, type) and type_.__module__ != "builtins" else ""
    return (text or "").strip().partition("\n")[0]


def camel(name: str) -> str:
    """Return the name of a message type in camel case: `ChatMessage` for `chat_message`."""
    return "".join(part.capitalize() for part in name.split("_"))


def ack_of(type_: MessageType) -> type[msgspec.Struct]:
    """Return the struct of the acks of a message type: `Ack`, with the fields of its `answer` if it has one."""
    if type_.answer is None:
        return Ack
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    for struct in (type_.answer, Ack):
        for field in msgspec.structs.fields(struct):
            default: Any = field.default
            if default is msgspec.NODEFAULT and not field.required:
                default = msgspec.field(default_factory=cast(Any, field.default_factory))
            fields.setdefault(field.name, (field.type,) if field.required else (field.type, default))
            names.setdefault(field.name, field.encode_name)
    return msgspec.defstruct(
        f"{camel(type_.name)}Ack",
        [(name, *field) for name, field in fields.items()],
        rename=names,
        namespace={"__doc__": f"The ack of a `{type_.name}`."},
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )


def acks(registry: Registry) -> dict[str, type[msgspec.Struct]]:
    """Return the acks with further fields, by message type."""
    return {name: ack_of(type_) for name, type_ in sorted(registry.types.items()) if type_.answer is not None}


def sendable(registry: Registry) -> Iterator[MessageType]:
    """Yield the types whose messages clients send, without those of a connection."""
    for _, type_ in sorted(registry.types.items()):
        if type_.from_clients and type_.name != CONNECTION_EVENT:
            yield type_


def client_events() -> list[Event]:
    """Return the connection events that clients send."""
    return sorted(set().union(*WELCOME.values()))


def client_envelope(type_: MessageType, schemas: Schemas) -> Schema:
    """Return the schema of an envelope that a client sends."""
    required = ["type"]
    meta: Schema = schemas.of(Meta)
    payload = schemas.of(type_.payload)
    if any(field.required for field in getattr(msgspec.inspect.type_info(type_.payload), "fields", ())):
        required.append("payload")
    if type_.targets:
        required.append("meta")
        meta = _with(meta, {"required": ["target_id"], "properties": {"target_id": {"type": "string"}}})
    return _envelope(type_.name, payload, meta, required, first_line(type_.payload))


def client_event(event: Event, schemas: Schemas) -> Schema:
    """Return the schema of a client's connection event."""
    said: Schema = {"properties": {"event": {"const": event.value}}, "required": _NEEDED.get(event, ["event"])}
    if event is Event.ACK:
        said["properties"]["cursor"] = {"type": "integer"}
    return _envelope(
        CONNECTION_EVENT, _with(schemas.of(ConnectionEvent), said), schemas.of(Meta), ["type", "payload"]
    )


def server_envelope(name: str, payload: Schema, schemas: Schemas, always: Iterable[str] = ()) -> Schema:
    """Return the schema of an envelope that the server sends.

    Args:
        always: the fields that its `meta` always has.
    """
    needed = list(always)
    meta = _with(schemas.of(SentMeta), {"required": needed}) if needed else schemas.of(SentMeta)
    return _envelope(name, payload, meta, ["type", "payload", "meta"])


def delivered(type_: MessageType, schemas: Schemas) -> Schema:
    """Return the schema of an envelope that delivers a message."""
    return server_envelope(type_.name, schemas.of(type_.payload), schemas, _ALWAYS[type_.kind])


def tombstone(schemas: Schemas) -> Schema:
    """Return the schema of a tombstone: a message that was deleted, has expired or was replaced."""
    schema = server_envelope(
        "", {"type": "object", "maxProperties": 0}, schemas, [*_ALWAYS[Kind.STREAM], "deleted_at"]
    )
    schema["properties"]["type"] = {"type": "string"}
    return schema | {"description": "A message that was deleted, has expired or was replaced: its place is kept."}


def withheld(schemas: Schemas) -> Schema:
    """Return the schema of a message whose payload is withheld."""
    schema = server_envelope(
        "", {"type": "object", "maxProperties": 0}, schemas, ["sender_id", "timestamp", "withheld"]
    )
    schema["properties"]["type"] = {"type": "string"}
    return schema | {"description": "A message that is not shown: a required plugin that must look at it failed."}


def orphan(schemas: Schemas) -> Schema:
    """Return the schema of a stored message whose plugin is not loaded any more."""
    schema = server_envelope("", {"type": "object"}, schemas, ["message_id", "sender_id", "timestamp", "replay"])
    schema["properties"]["type"] = {"type": "string"}
    return schema | {"description": "A stored message of a type whose plugin is not loaded any more."}


def client_document(registry: Registry) -> Schema:
    """Return one JSON Schema of every envelope that a client of this server may send as a message."""
    types = list(sendable(registry))
    schemas = Schemas([Meta, *(type_.payload for type_ in types)], "#/$defs/")
    envelopes = [schemas.add(camel(type_.name) + "Envelope", client_envelope(type_, schemas)) for type_ in types]
    return {
        "$schema": DIALECT,
        "title": "A message to this relay server",
        "anyOf": envelopes,
        "$defs": schemas.components,
    }


def _with(schema: Schema, more: Schema) -> Schema:
    return {"allOf": [schema, more]}


def _envelope(name: str, payload: Schema, meta: Schema, required: list[str], description: str = "") -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {"type": {"const": name}, "payload": payload, "meta": meta},
        "required": required,
    }
    return schema | ({"description": description} if description else {})
