"""The values a user of the client sees: events, acks, gaps and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class _Frame(msgspec.Struct):
    type: str
    payload: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Frame)


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of messages that a limited replay left out, both ends included."""

    kind: str
    target_id: str
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class Event:
    """One envelope from the server."""

    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def message_id(self) -> int | None:
        """Give the position in the server's log, or None for what is not stored."""
        return _integer(self.meta.get("message_id"))

    @property
    def seq(self) -> int | None:
        """Give the number inside the conversation, or None for what has none."""
        return _integer(self.meta.get("seq"))

    @property
    def sender_id(self) -> str | None:
        """Give the authenticated sender's user id."""
        return _text(self.meta.get("sender_id"))

    @property
    def target_id(self) -> str | None:
        """Give the user or group it went to."""
        return _text(self.meta.get("target_id"))

    @property
    def client_id(self) -> str | None:
        """Give the device it was sent from."""
        return _text(self.meta.get("client_id"))

    @property
    def timestamp(self) -> float | None:
        """Give the server's time in Unix seconds."""
        return _number(self.meta.get("timestamp"))

    @property
    def replay(self) -> bool:
        """Tell whether it was missed earlier and comes from the replay."""
        return self.meta.get("replay") is True

    @property
    def event(self) -> str | None:
        """Give a `connection_event`'s name (`ready`, `synced`, …), or None for other types."""
        return _text(self.payload.get("event")) if self.type == "connection_event" else None

    @property
    def cursor(self) -> int | None:
        """Give the position to acknowledge once this is processed: a message's own, or `synced`'s."""
        if self.event == "synced":
            return _integer(self.payload.get("cursor"))
        return self.message_id

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Give what a limited replay left out (`synced` only), to be fetched with `Client.fill`."""
        found = self.payload.get("gaps") if self.event == "synced" else None
        if not isinstance(found, list):
            return ()
        return tuple(
            Gap(str(gap["kind"]), str(gap.get("target_id") or ""), int(gap["from_seq"]), int(gap["to_seq"]))
            for gap in found
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """The server's word that a message is stored; fields are None where the type has none."""

    message_id: int | None
    seq: int | None
    timestamp: float | None
    duplicate: bool
    payload: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Ack:
        """Build the ack from an `ack` frame's payload or the answer of `POST /api/messages`."""
        return cls(
            _integer(payload.get("message_id")),
            _integer(payload.get("seq")),
            _number(payload.get("timestamp")),
            payload.get("duplicate") is True,
            dict(payload),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of history, oldest first; `next_before` and `next_after` continue it either way."""

    messages: list[Event]
    has_more: bool
    next_before: int | None
    next_after: int | None


def decode(frame: str | bytes) -> Event | None:
    """Read one text frame, or give None for one that is no envelope."""
    try:
        found = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Event(found.type, found.payload or {}, found.meta or {})


def from_object(value: object) -> Event:
    """Build an event from a decoded envelope of a REST answer.

    Raises:
        ValueError: It is no envelope.
    """
    try:
        found = msgspec.convert(value, _Frame)
    except msgspec.ValidationError as error:
        raise ValueError(f"not an envelope: {error}") from error
    return Event(found.type, found.payload or {}, found.meta or {})


def encode(type: str, payload: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Write one envelope as a text frame.

    Raises:
        TypeError: The payload holds something JSON has no word for.
    """
    return msgspec.json.encode({"type": type, "payload": payload, "meta": meta}).decode()
