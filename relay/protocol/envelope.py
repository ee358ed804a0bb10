"""The envelope: one JSON object in one text frame, both ways.

`decode` promises an Envelope or ProtocolError for any text whatever; `encode` is given values that
were checked on the way in and cannot fail. Numbers are capped at 2^53 because JavaScript's are.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from relay.protocol.errors import ErrorCode, ProtocolError, RelayError

MAX_INTEGER: Final = 2**53
MAX_DEPTH: Final = 32
"""Nesting of a payload's free-form parts; deeper is `invalid_payload`."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A user id, group id, client id or message id of a client's own: 1 to 64 characters."""

Integer = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
"""A position, a sequence number or a message id of the server's."""

EMPTY = msgspec.Raw(b"{}")


class Meta(msgspec.Struct):
    """`meta` as a client sends it. Unknown fields are ignored (the wire contract, section 1)."""

    id: Name | None = None
    target_id: Name | None = None
    client_id: Name | None = None
    timestamp: float | None = None


class Envelope(msgspec.Struct):
    """What a client sent: its type, its payload still undecoded, and its meta."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    payload: msgspec.Raw = EMPTY
    meta: Meta = msgspec.field(default_factory=Meta)


class SentMeta(msgspec.Struct, omit_defaults=True):
    """`meta` as the server sends it; what has no value is left out."""

    message_id: int | None = None
    seq: int | None = None
    id: str | None = None
    ref: str | None = None
    sender_id: str | None = None
    target_id: str | None = None
    client_id: str | None = None
    timestamp: float | None = None
    sent_at: float | None = None
    edited_at: float | None = None
    deleted_at: float | None = None
    expires_at: float | None = None
    replaces: int | None = None
    replay: bool = False


class SentEnvelope(msgspec.Struct):
    """What the server sends."""

    type: str
    payload: msgspec.Raw
    meta: SentMeta


_decoder = msgspec.json.Decoder(Envelope)
_lenient = msgspec.json.Decoder()
encode_json = msgspec.json.Encoder().encode


def decode(text: str | bytes) -> Envelope:
    """Return the envelope that a frame's text is.

    Raises:
        ProtocolError: `bad_json` when the text is not JSON at all, `bad_envelope` when it is not the
            object that the contract describes; `ref` is set where the message's id can be made out.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _bad_envelope(text, error) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProtocolError(ErrorCode.BAD_JSON, f"not JSON: {error}") from None
    except RecursionError:
        raise ProtocolError(ErrorCode.BAD_JSON, "not JSON relay reads: nested too deeply") from None


def _bad_envelope(text: str | bytes, error: msgspec.ValidationError) -> ProtocolError:
    """Say what is wrong: the typed reader stops at the first misfit, before it knows that the rest is JSON."""
    try:
        value = _lenient.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as fault:
        reason = "nested too deeply" if isinstance(fault, RecursionError) else str(fault)
        return ProtocolError(ErrorCode.BAD_JSON, f"not JSON that relay reads: {reason}")
    meta = value.get("meta") if isinstance(value, dict) else None
    ref = meta.get("id") if isinstance(meta, dict) else None
    return ProtocolError(
        ErrorCode.BAD_ENVELOPE,
        f'not an envelope: {error}; expected {{"type": "…", "payload": {{…}}, "meta": {{…}}}}',
        ref=ref if isinstance(ref, str) and 1 <= len(ref) <= 64 else None,
    )


def encode(type_: str, payload: bytes | msgspec.Raw, meta: SentMeta) -> bytes:
    """Return an envelope's JSON; `payload` is JSON already."""
    raw = payload if isinstance(payload, msgspec.Raw) else msgspec.Raw(payload)
    return encode_json(SentEnvelope(type_, raw, meta))


def encode_event(type_: str, payload: Any, meta: SentMeta | None = None) -> bytes:
    """Return the JSON of an envelope whose payload is a value rather than JSON already."""
    return encode_json({"type": type_, "payload": payload, "meta": meta or {}})


def encode_error(error: RelayError, ref: str | None = None) -> bytes:
    """Return the JSON of the `error` answer to the message whose own id is `ref`."""
    return encode_event("error", error_payload(error), SentMeta(ref=ref))


def error_payload(error: RelayError) -> dict[str, Any]:
    """Return what an `error` frame's payload says (the wire contract, section 4)."""
    payload: dict[str, Any] = {"code": error.code, "message": error.message, "retry": error.retry}
    if error.retry_after is not None:
        payload["retry_after"] = round(error.retry_after, 3)
    if error.details is not None:
        payload["details"] = error.details
    return payload


def check_plain(value: Any, where: str = "payload", depth: int = 0) -> None:
    """Refuse, in a free-form part of a payload, what other languages' JSON readers would spoil.

    Raises:
        RelayError: `invalid_payload` for an integer beyond ±2^53 or nesting over MAX_DEPTH.
    """
    if depth > MAX_DEPTH:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{where} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(item, f"{where}.{key}"[:200], depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_plain(item, f"{where}[]"[:200], depth + 1)
    elif type(value) is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"{where} is an integer beyond ±2^53; send such numbers as strings"
        )
