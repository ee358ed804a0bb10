"""The values that an application reads from the client: events, acks, gaps and pages.

They are read leniently: what a newer server adds to a frame is passed on, and never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from relay.protocol import answers
from relay.protocol.envelope import encode_json
from relay.protocol.session import Event as ConnectionEvent


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
        """The position in the server's log, or None for what is not stored."""
        return _integer(self.meta.get("message_id"))

    @property
    def seq(self) -> int | None:
        """The number inside the conversation, or None for what has none."""
        return _integer(self.meta.get("seq"))

    @property
    def sender_id(self) -> str | None:
        """The user id of the authenticated sender."""
        return _text(self.meta.get("sender_id"))

    @property
    def target_id(self) -> str | None:
        """The user or group it was sent to."""
        return _text(self.meta.get("target_id"))

    @property
    def client_id(self) -> str | None:
        """The device it was sent from."""
        return _text(self.meta.get("client_id"))

    @property
    def timestamp(self) -> float | None:
        """The server's time, Unix seconds."""
        return _number(self.meta.get("timestamp"))

    @property
    def replay(self) -> bool:
        """Whether it was missed earlier and comes from the replay."""
        return self.meta.get("replay") is True

    @property
    def event(self) -> str | None:
        """The name of a `connection_event` (`ready`, `synced`, …), or None for other types."""
        return _text(self.payload.get("event")) if self.type == "connection_event" else None

    @property
    def cursor(self) -> int | None:
        """The position to acknowledge once this is processed: a message's own, or that of `synced`."""
        if self.event == ConnectionEvent.SYNCED:
            return _integer(self.payload.get("cursor"))
        return self.message_id

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of a limited replay (`synced` only), to be fetched with `Client.fill`."""
        found = self.payload.get("gaps") if self.event == ConnectionEvent.SYNCED else None
        if not isinstance(found, list):
            return ()
        return tuple(
            Gap(str(gap["kind"]), str(gap.get("target_id") or ""), int(gap["from_seq"]), int(gap["to_seq"]))
            for gap in found
        )


class Ack(answers.Ack, kw_only=True):
    """The server's answer to a message that was done; `payload` is all of it, with what the type adds.

    `message_id`, `seq` and `replaces` are None where the message has none.
    """

    payload: dict[str, Any] = {}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Ack:
        """Return the ack that an `ack` frame's payload or the answer of `POST /api/messages` is."""
        return cls(
            timestamp=_number(payload.get("timestamp")) or 0.0,
            duplicate=payload.get("duplicate") is True,
            message_id=_integer(payload.get("message_id")),
            seq=_integer(payload.get("seq")),
            replaces=_integer(payload.get("replaces")),
            payload=dict(payload),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of history, oldest first; `next_before` and `next_after` continue it either way."""

    messages: list[Event]
    has_more: bool
    next_before: int | None
    next_after: int | None


def decode(frame: str | bytes) -> Event | None:
    """Return the envelope that a text frame holds, or None where it holds none."""
    try:
        found = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Event(found.type, found.payload or {}, found.meta or {})


def from_object(value: object) -> Event:
    """Return an event from a decoded envelope of a REST answer.

    Raises:
        ValueError: It is not an envelope.
    """
    try:
        found = msgspec.convert(value, _Frame)
    except msgspec.ValidationError as error:
        raise ValueError(f"not an envelope: {error}") from error
    return Event(found.type, found.payload or {}, found.meta or {})


def encode(type: str, payload: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Return one envelope as the text of a frame.

    Raises:
        TypeError: The payload holds a value that JSON cannot express.
    """
    return encode_json({"type": type, "payload": payload, "meta": meta}).decode()
