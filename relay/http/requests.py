"""Typed reading of requests: query parameters and JSON bodies, or a refusal that names the faulty part."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Final, TypeVar, cast, get_type_hints

import msgspec
from msgspec import Meta
from quart import request
from werkzeug.exceptions import UnsupportedMediaType

from relay.protocol import limits
from relay.protocol.choices import with_choices
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, RelayError

MAX_PAGE: Final = limits.MAX_PAGE
_PLACE: Final = re.compile(r"at `\$\.([a-z_]+)")
_FIELD: Final = re.compile(r"field `([^`]{1,64})`")

T = TypeVar("T", bound=msgspec.Struct)


class Moment(float):
    """A point in time, in Unix seconds; a query may write it as ISO 8601."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The base of query structs; the description of a field completes "right is …" in refusals."""


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of body structs: unknown fields are refused."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The base of answer structs: every field is present, null where it has no value."""


class NoQuery(Query, frozen=True):
    """A query without parameters."""


Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description=f"a whole number from 1 to {MAX_PAGE}")]
Position = Annotated[Integer | None, Meta(description="a whole number, as an answer of this call gave it")]
Seq = Annotated[Integer | None, Meta(description="a seq, a whole number from 0 up")]
Time = Annotated[
    Moment | None,
    Meta(description="Unix seconds, or ISO 8601 such as 2026-01-31T12:00:00Z (write a + in a query as %2B)"),
]
Text = Annotated[
    Annotated[str, Meta(min_length=1, max_length=200)] | None, Meta(description="a text of 1 to 200 characters")
]
Word = Annotated[Name | None, Meta(description="a name of 1 to 64 characters")]
DisplayName = Annotated[str, Meta(min_length=1, max_length=128)]
"""The name of a user or a group as people see it."""


def invalid(message: str, **details: Any) -> RelayError:
    """Return the refusal of an invalid request.

    Args:
        details: data for programs, such as `field` or `parameter`.
    """
    return RelayError(ErrorCode.INVALID_PAYLOAD, message, details=details or None)


def read_query(schema: type[T]) -> T:
    """Return the request's query parameters; unknown ones are refused, since most are mistyped.

    Raises:
        RelayError: `invalid_payload`, with the parameter and what it must be.
    """
    known = _descriptions(cast(Hashable, schema))
    given: dict[str, str] = {}
    for name, values in request.args.lists():
        if name not in known:
            raise _unknown_parameter(name, known)
        if len(values) > 1:
            raise invalid(f"the query parameter {name} is given {len(values)} times", parameter=name)
        given[name] = values[0]
    try:
        found = msgspec.convert(given, schema, strict=False, dec_hook=_read_moment)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        if place is None and (missing := _FIELD.search(str(error))) is not None:
            raise _missing_parameter(missing[1], known) from None
        raise _invalid_parameter(place[1] if place else "", given, known) from None
    fields = dict(zip(schema.__struct_encode_fields__, schema.__struct_fields__, strict=True))
    for name in given:
        if getattr(found, fields[name]) is None:  # the lenient conversion reads the text "null" as None
            raise _invalid_parameter(name, given, known)
    return found


async def read_body(schema: type[T], *, optional: bool = False) -> T:
    """Return the request's JSON body.

    Args:
        optional: an empty body counts as `{}`.

    Raises:
        RelayError: `bad_json`, or `invalid_payload` with the field.
        HTTPException: 413 for a body over the limit, 415 for a content type that is not JSON.
    """
    raw = await read_json()
    if optional and not raw.strip():
        raw = b"{}"
    try:
        found: T = _decoder(cast(Hashable, schema)).decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid_body(with_choices(error, schema)) from None
    except RecursionError:
        raise RelayError(ErrorCode.BAD_JSON, "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RelayError(ErrorCode.BAD_JSON, f"the body is not JSON: {error}") from None
    return found


def read_idempotency_key() -> str | None:
    """Return the header `Idempotency-Key`, without quotes around it; None if it is missing.

    Raises:
        RelayError: `invalid_payload` when it cannot be a message's id.
    """
    keys = request.headers.getlist("Idempotency-Key")
    if not keys:
        return None
    key: str = keys[0].strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(keys) > 1 or not 1 <= len(key) <= 64 or not (key.isascii() and key.isprintable()):
        raise invalid("the header Idempotency-Key is 1 to 64 printable ASCII characters, given once")
    return key


async def read_json() -> bytes:
    """Return the body of a request whose content type is JSON, or not given.

    Raises:
        HTTPException: 413, 415.
    """
    kind = request.mimetype
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"the body is {kind[:80]}; send JSON, with Content-Type: application/json")
    return cast(bytes, await request.get_data(cache=False, as_text=False))


@cache
def _decoder(schema: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(schema)


@cache
def _descriptions(schema: Any) -> dict[str, str]:
    """Return the description of each parameter of a query struct, by its name in the query."""
    hints = get_type_hints(schema, include_extras=True)
    named = zip(schema.__struct_encode_fields__, schema.__struct_fields__, strict=True)
    return {name: hints[field].__metadata__[0].description for name, field in named}


def _unknown_parameter(name: str, known: dict[str, str]) -> RelayError:
    near = get_close_matches(name, known, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = f"known here: {', '.join(known)}" if known else "this call has none"
    return invalid(f"there is no query parameter {name[:64]!r} here; {hint}", parameter=name[:64])


def _invalid_body(found: str) -> RelayError:
    """Return the refusal of an invalid body, with the field as data where the decoder names one."""
    text = found.replace("`$.", "`").replace("`$`", "the body")
    place = _PLACE.search(found) or _FIELD.search(found)
    return invalid(f"invalid body: {text}", **({"field": place[1]} if place else {}))


def _invalid_parameter(name: str, given: dict[str, str], known: dict[str, str]) -> RelayError:
    value = given.get(name, "")[:80]
    return invalid(f"the query parameter {name} is {value!r}; right is {known.get(name)}", parameter=name)


def _missing_parameter(name: str, known: dict[str, str]) -> RelayError:
    return invalid(f"the query parameter {name} is missing; right is {known.get(name)}", parameter=name)


def _read_moment(kind: type[Any], text: Any) -> Any:
    """Read Unix seconds or ISO 8601; a time without a zone is UTC.

    Raises:
        ValueError: the text is neither.
    """
    if kind is not Moment:
        raise NotImplementedError
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError("not finite")
    return Moment(seconds)
