"""`/hook/TOKEN`: reading whatever is sent to an incoming webhook, and posting it."""

from typing import Annotated, Any, Literal, NamedTuple, cast
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from relay.http import invalid, read_idempotency_key, request
from relay.plugin import ErrorCode, RelayError, Server, TokenBuckets, with_choices

from .incoming import Incoming, find

_FORM = "application/x-www-form-urlencoded"
_TELLING = frozenset({"content", "text", "title", "payload"})
"""The fields that tell a form from a text; `payload` has JSON in it."""

_NOTIFY = frozenset({"notify"})


class Call(msgspec.Struct):
    """What a call says. Fields of other services' bodies that are none of these are left alone.

    Attributes:
        content, text: what is posted; the two mean the same.
        title, level: make it a notification, whose body the content is.
        id: the idempotency key, as the header `Idempotency-Key`.
    """

    content: str = ""
    text: str = ""
    title: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    level: Literal["info", "success", "warning", "error"] | None = None
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Message(NamedTuple):
    """A message to be sent."""

    type_name: str
    payload: dict[str, Any]
    own_id: str | None


async def the_incoming(server: Server, token: str) -> Incoming:
    """Return the incoming webhook that a request is for.

    Raises:
        RelayError: `not_found`.
    """
    found = await server.read(lambda connection: find(connection, token))
    if found is None:
        raise RelayError(ErrorCode.NOT_FOUND, "there is no webhook at this URL; it is not whole, or was revoked")
    return found


async def post(server: Server, token: str, paces: TokenBuckets, most_bytes: int) -> Any:
    """Post what a request says, and return the stored message's entry.

    Raises:
        RelayError: `not_found`, `rate_limited`, `too_large`, `invalid_payload`, or the message is refused.
    """
    incoming = await the_incoming(server, token)
    paces.take(incoming.name)
    message = make_message(incoming, await _read(most_bytes), read_idempotency_key())
    return await server.send(
        incoming.user_id,
        message.type_name,
        message.payload,
        incoming.target_id,
        own_id=message.own_id,
        scopes=_NOTIFY,
    )


def make_message(incoming: Incoming, call: Call, key: str | None) -> Message:
    """Return the message that a call becomes.

    Raises:
        RelayError: `invalid_payload`.
    """
    if key is not None and call.id not in (None, key):
        raise invalid("the header Idempotency-Key and id differ; give one of them, or both alike")
    content, own_id = call.content or call.text, key or call.id
    if call.title is not None:
        said = {"title": call.title, "body": content or None, "level": call.level}
        return Message("notification", {name: value for name, value in said.items() if value is not None}, own_id)
    if call.level is not None:
        raise invalid("level is for notifications, which have a title")
    if not content.strip():
        raise invalid("nothing is said: send text, or JSON or a form with content, text or title")
    return Message(incoming.type_name, {"content": content}, own_id)


async def _read(most_bytes: int) -> Call:
    """Read a request's body: JSON, a form, or text, which `curl -d` calls a form as well."""
    raw = cast(bytes, await request.get_data(cache=False, as_text=False))
    if len(raw) > most_bytes:
        raise RelayError(ErrorCode.TOO_LARGE, f"a call has {most_bytes:,} bytes at most; this has {len(raw):,}")
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        return _decode(raw)
    if kind.startswith("multipart/"):
        raise invalid("a multipart form is not read here; send text, JSON, or what curl --data-urlencode sends")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise invalid("the body is not UTF-8 text") from None
    fields = parse_qs(text, keep_blank_values=True) if kind == _FORM else {}
    if _TELLING.isdisjoint(fields):
        return Call(content=text.rstrip())
    if "payload" in fields:
        return _decode(fields["payload"][-1])
    return _checked({name: values[-1] for name, values in fields.items()})


def _decode(raw: bytes | str) -> Call:
    try:
        return _checked(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RelayError(ErrorCode.BAD_JSON, f"the body is not JSON: {error}") from None


def _checked(value: Any) -> Call:
    try:
        return msgspec.convert(value, Call)
    except msgspec.ValidationError as error:
        raise invalid(f"the body is not what it should be: {with_choices(error, Call)}") from None
