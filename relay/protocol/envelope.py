"""The envelope: one JSON object in one text frame, both ways.

`decode` promises an Envelope or ProtocolError for any text whatever; `encode` is given values that
were checked on the way in and cannot fail. Numbers are capped at 2^53 because JavaScript's are.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from relay.protocol.errors import ErrorCode, ProtocolError, RelayError
from relay.protocol.limits import MAX_NAME

MAX_INTEGER: Final = 2**53
MAX_DEPTH: Final = 32
"""Nesting of a payload's free-form parts; deeper is `invalid_payload`."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
"""A user id, group id, client id or message id of a client's own: 1 to 64 characters."""

Integer = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
"""A position, a sequence number or a message id of the server's."""

Object = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
"""A JSON object that is passed on as it is."""

EMPTY = msgspec.Raw(b"{}")


def describe(description: str) -> msgspec.Meta:
    """Return the annotation that describes a field to people, in the schemas."""
    return msgspec.Meta(description=description)


class Meta(msgspec.Struct):
    """`meta` as a client sends it. Unknown fields are ignored (the wire contract, section 1)."""

    id: Annotated[Name | None, describe("the sender's own id for the message: its idempotency key")] = None
    target_id: Annotated[Name | None, describe("a user id or a group id, or `*` for everybody")] = None
    client_id: Annotated[Name | None, describe("the device's own lasting id, fixed at the hello")] = None
    timestamp: Annotated[float | None, describe("the sender's clock, Unix seconds; kept as `sent_at`")] = None


class Envelope(msgspec.Struct):
    """An envelope of a client's: its type, its payload still undecoded, and its meta."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    payload: Object = EMPTY
    meta: Meta = msgspec.field(default_factory=Meta)


class SentMeta(msgspec.Struct, omit_defaults=True):
    """`meta` as the server sends it; fields without a value are left out."""

    message_id: Annotated[
        int | None, describe("rises in the order of commits over the whole server: the cursor")
    ] = None
    seq: Annotated[int | None, describe("counts the conversation's messages from 1, without holes")] = None
    id: Annotated[str | None, describe("the id that the sender gave it")] = None
    ref: Annotated[str | None, describe("in an answer: the `id` of what it answers")] = None
    sender_id: Annotated[str | None, describe("the authenticated user who sent it")] = None
    target_id: Annotated[str | None, describe("the user or group it is for, or `*` for everybody")] = None
    client_id: Annotated[str | None, describe("the device that sent it")] = None
    timestamp: Annotated[float | None, describe("when the server took it, Unix seconds")] = None
    sent_at: Annotated[float | None, describe("the sender's clock, Unix seconds, where it was given")] = None
    edited_at: Annotated[float | None, describe("when its content was changed, Unix seconds")] = None
    deleted_at: Annotated[float | None, describe("when it lost its payload, Unix seconds")] = None
    removed: Annotated[
        bool, describe("true for a message that its author did not delete: a moderator, or a group's admin, did")
    ] = False
    expires_at: Annotated[float | None, describe("when it will lose its payload, Unix seconds")] = None
    replaces: Annotated[int | None, describe("the `message_id` of the one whose place it took")] = None
    about: Annotated[int | None, describe("of a latest value: the message that it says something of")] = None
    key: Annotated[str | None, describe("of a latest value: what it replaces by, if not by `about`")] = None
    edit_id: Annotated[int | None, describe("the `message_id` of the edit that gave it its content")] = None
    depth: Annotated[int | None, describe("how many answers of programs to each other led to it")] = None
    replay: Annotated[bool, describe("true for what comes again, or late, after a hello")] = False
    only_for: Annotated[
        str | None, describe("the one user who is sent it: nobody else in the conversation is")
    ] = None
    withheld: Annotated[
        bool, describe("true where its payload is not shown: a plugin that must look at it first does not work")
    ] = False


class SentEnvelope(msgspec.Struct):
    """An envelope of the server's."""

    type: str
    payload: Object
    meta: SentMeta


_decoder = msgspec.json.Decoder(Envelope)
_lenient = msgspec.json.Decoder()
encode_json = msgspec.json.Encoder().encode


def decode(text: str | bytes) -> Envelope:
    """Return the envelope in a frame's text.

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
    """Return what is wrong with a text that is not an envelope."""
    # The typed decoder stops at the first misfit, before it knows whether the rest is JSON at all.
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
    """Return the payload of an `error` frame (the wire contract, section 4)."""
    payload: dict[str, Any] = {"code": error.code, "message": error.message, "retry": error.retry}
    if error.retry_after is not None:
        payload["retry_after"] = round(error.retry_after, 3)
    if error.details is not None:
        payload["details"] = error.details
    return payload


def check_plain(value: Any, where: str = "payload", depth: int = 0) -> None:
    """Refuse, in a free-form part of a payload, values that JSON readers of other languages would change.

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
