"""What plugins' code has made of a message, looked at before anything is done with it."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from typing import Any, NamedTuple

from relay.plugin.types import Draft, MessageType
from relay.protocol.envelope import encode_json
from relay.services.channels import Conversation
from relay.storage.log import Apply, Entry


class Said(NamedTuple):
    """What a client sent, before any plugin's code saw it: the payload's JSON, and what tells it from another."""

    payload: str
    digest: bytes


def checked_apply(apply: Apply) -> Apply:
    """Return an `apply` that fails where it returns what cannot be stored."""

    def checked(connection: sqlite3.Connection, entry: Entry) -> str | None:
        payload = apply(connection, entry)
        if payload is not None and not isinstance(payload, str):
            raise TypeError(f"apply returned {type(payload).__name__}; return the payload's JSON as str, or None")
        return payload

    return checked


def say(draft: Draft) -> Said:
    """Return what a draft's client said."""
    payload = draft.type.write(draft.payload)
    return Said(payload, content_digest(draft.type.name, draft.target_id, payload))


def unchanged(draft: Draft, said: Said) -> bool:
    """Tell whether a payload is as the client sent it still: then it was checked when it was read."""
    try:
        return type(draft.payload) is draft.type.payload and draft.type.write(draft.payload) == said.payload
    except Exception:
        return False  # what is wrong with it is found where it is its plugin's


def described(type_: MessageType, payload: Any, said: Said | None) -> tuple[str, str, str | None, int | None]:
    """Return what is stored of a payload; one that is as the client sent it was checked when it was read."""
    if said is None or not type_.holds(payload) or (text := type_.write(payload)) != said.payload:
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
    return text, str(key), None if collapse is None else str(collapse), about


def over_of(type_: MessageType, payload: Any) -> str | None:
    """Return the JSON of the payload that says that a lasting message is over; None where it says so itself."""
    assert type_.over is not None  # noqa: S101 - the caller looked
    over = type_.over(payload)
    return None if over is None else type_.check(over)


def problem_of(draft: Draft) -> str | None:
    """Say what is wrong with what plugins' code set on a draft; None where nothing is."""
    expires_at: Any = draft.expires_at
    answer: Any = draft.answer
    places: tuple[Any, Any] = (draft.conversation, draft.target_id)
    depth: Any = draft.depth
    if expires_at is not None and not (type(expires_at) in (int, float) and math.isfinite(expires_at)):
        return f"draft.expires_at is {_shown(expires_at)}; it is Unix seconds, or None"
    if answer is not None:
        try:
            if not isinstance(answer, dict):
                raise TypeError("no dict")
            encode_json(answer)
        except (TypeError, ValueError, RecursionError) as error:
            return f"draft.answer is {_shown(answer)}; it is a dict that JSON can say, or None: {error}"
    if not isinstance(places[0], Conversation) or not isinstance(places[1], str):
        return "draft.conversation is a Conversation, and draft.target_id a text"
    if type(depth) is not int:
        return f"draft.depth is {_shown(depth)}; it is a whole number"
    return None


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:120]


def content_digest(type_name: str, target_id: str, payload: str) -> bytes:
    """Return what tells the same message from another under one id."""
    return hashlib.blake2b(f"{type_name}\0{target_id}\0{payload}".encode(), digest_size=12).digest()
