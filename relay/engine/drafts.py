"""From a finished draft to an entry: checks of what plugins' code made of it, before any of it is stored."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from relay.engine.guard import Guard
from relay.plugin.types import Draft, MessageType
from relay.protocol.envelope import Meta, encode_json
from relay.protocol.kinds import Kind
from relay.services.channels import Conversation
from relay.storage.entry import Apply, Entry

NOBODY: Final = ""
"""No user has this id: a message for it is delivered to nobody."""


class Original(NamedTuple):
    """A payload as its sender sent it, before any plugin's code saw it.

    Attributes:
        payload: its JSON.
        digest: tells a retry under the same id from another message.
    """

    payload: str
    digest: bytes


class StoredForm(NamedTuple):
    """The JSON of a payload, and what the functions `key`, `collapse` and `about` of its type return for it."""

    payload: str
    key: str
    collapse: str | None
    about: int | None


def original_of(draft: Draft) -> Original:
    """Return the payload of a draft that no plugin's code has seen."""
    payload = draft.type.write(draft.payload)
    return Original(payload, content_digest(draft.type.name, draft.target_id, payload))


def is_original(draft: Draft, original: Original) -> bool:
    """Tell whether a payload is still as its sender sent it: then it needs no second check."""
    try:
        return type(draft.payload) is draft.type.payload and draft.type.write(draft.payload) == original.payload
    except Exception:
        return False  # `stored_form` meets the same fault, inside the plugin's guard


def stored_form(type_: MessageType, payload: Any, original: Original | None) -> StoredForm:
    """Return how a payload is stored; one that plugins' code changed is checked again.

    Raises:
        TypeError, ValueError: it does not fit its type, or a function of the type returned something else than it
            should.
    """
    if original is None or not type_.holds(payload) or (text := type_.write(payload)) != original.payload:
        text = type_.check(payload)
    key = "" if type_.key is None else type_.key(payload)
    collapse = None if type_.collapse is None else type_.collapse(payload)
    about = None if type_.about is None else type_.about(payload)
    if not isinstance(key, str | int):
        raise TypeError(f"key returned {_shown(key)}; return a text")
    if collapse is not None and not isinstance(collapse, str | int):
        raise TypeError(f"collapse returned {_shown(collapse)}; return a text, or None")
    if about is not None and type(about) is not int:
        raise TypeError(f"about returned {_shown(about)}; return a message id, or None")
    return StoredForm(text, str(key), None if collapse is None else str(collapse), about)


def entry_of(
    draft: Draft, guard: Guard, payload: str, digest: bytes | None, meta: Meta, now: Callable[[], float]
) -> Entry:
    """Return the entry of a draft that was checked, with its transaction code guarded.

    Args:
        guard: of the plugin of its type.
        payload: its JSON.
        digest: of its original payload.
        now: Unix seconds.
    """
    type_, sender, expires_at = draft.type, draft.sender, draft.expires_at
    if type_.ttl_seconds is not None:
        by_type = now() + type_.ttl_seconds
        expires_at = by_type if expires_at is None else min(by_type, expires_at)
    entry = Entry(
        channel_id=draft.conversation.channel_id,
        type=type_.name,
        kind=type_.kind,
        sender_id=sender.user_id,
        target_id=draft.target_id,
        client_id=sender.client_id,
        own_id=meta.id,
        digest=digest,
        payload=payload,
        sent_at=meta.timestamp,
        reads=type_.kind is Kind.STREAM and sender.user_id in draft.conversation.members,
        expires_at=expires_at,
        answer=draft.answer,
        depth=draft.depth,
    )
    if draft.only_for is not None:
        entry.only_for = draft.only_for
    if not draft.passed_on:
        entry.only_for = NOBODY
    if draft.apply is not None:
        entry.apply = guard.inside(f"apply, for {type_.name!r}", _checked_apply(draft.apply, type_))
    if draft.after is not None:
        entry.after = guard.inside(f"after, for {type_.name!r}", draft.after)
    return entry


def _checked_apply(apply: Apply, type_: MessageType) -> Apply:
    """Return an `apply` that raises TypeError or ValueError where it would return what its type does not allow."""

    def checked(connection: sqlite3.Connection, entry: Entry) -> str | None:
        payload = apply(connection, entry)
        if payload is not None and not isinstance(payload, str):
            raise TypeError(f"apply returned {type(payload).__name__}; return the payload's JSON as str, or None")
        if payload is not None:
            type_.load(payload)
        return payload

    return checked


def ending_payload(type_: MessageType, payload: Any) -> str | None:
    """Return the JSON that `over` makes of a payload, sent when it has ended; None where nothing is to be sent."""
    assert type_.over is not None  # noqa: S101 - the caller looked
    over = type_.over(payload)
    return None if over is None else type_.check(over)


def problem_of(draft: Draft) -> str | None:
    """Return what is wrong with the attributes that plugins' code set on a draft; None where nothing is."""
    expires_at: Any = draft.expires_at
    answer: Any = draft.answer
    places: tuple[Any, Any] = (draft.conversation, draft.target_id)
    depth: Any = draft.depth
    if expires_at is not None and not (type(expires_at) in (int, float) and math.isfinite(expires_at)):
        return f"draft.expires_at is {_shown(expires_at)}; it is Unix seconds, or None"
    if answer is not None:
        try:
            if not isinstance(answer, dict):
                raise TypeError("it is not a dict")
            encode_json(answer)
        except (TypeError, ValueError, RecursionError) as error:
            return f"draft.answer is {_shown(answer)}; it is a dict that JSON can say, or None: {error}"
    if not isinstance(places[0], Conversation) or not isinstance(places[1], str):
        return "draft.conversation is a Conversation, and draft.target_id a text"
    only_for: Any = draft.only_for
    if only_for is not None and not isinstance(only_for, str):
        return f"draft.only_for is {_shown(only_for)}; it is a user id, or None"
    if only_for is not None and draft.type.kind is Kind.STREAM:
        return (
            "draft.only_for is for latest and transient types: a stream message has a seq that all members share"
        )
    if type(depth) is not int:
        return f"draft.depth is {_shown(depth)}; it is a whole number"
    return None


def content_digest(type_name: str, target_id: str, payload: str) -> bytes:
    """Return the idempotency digest: equal for a retry, different for other content under the same id."""
    return hashlib.blake2b(f"{type_name}\0{target_id}\0{payload}".encode(), digest_size=12).digest()


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:120]
