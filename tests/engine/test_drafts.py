"""Tests of drafts: what plugins' code made of one is checked before it is stored."""

from __future__ import annotations

import math
from typing import Any

import pytest

from relay.engine.drafts import content_digest, is_original, original_of, problem_of, stored_form
from relay.plugin import Conversation, ConversationKind, Draft, Kind, MessageType, Payload
from relay.testing import World


class Note(Payload):
    """A payload."""

    text: str


class Other(Payload):
    """Another payload of the same form."""

    text: str


def type_(**more: Any) -> MessageType:
    return MessageType(**{"name": "note", "payload": Note, "kind": Kind.STREAM} | more)


@pytest.fixture
async def draft(world: World) -> Draft:
    conversation = await world.engine.channels.find("alice", "bob")
    server: Any = None
    return Draft(type_(), Note(text="hi"), server, conversation, "bob", server)


async def test_a_payload_that_nobody_changed_is_the_original(draft: Draft) -> None:
    original = original_of(draft)
    assert original.payload == '{"text":"hi"}'
    assert is_original(draft, original)
    draft.payload = Other(text="hi")
    assert not is_original(draft, original)
    draft.payload = Note(text="changed")
    assert not is_original(draft, original)


async def test_a_draft_as_relay_made_it_has_no_problem(draft: Draft) -> None:
    assert draft.conversation.kind is ConversationKind.USER
    assert isinstance(draft.conversation, Conversation)
    assert problem_of(draft) is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("expires_at", "soon", "Unix seconds"),
        ("expires_at", math.nan, "Unix seconds"),
        ("answer", [1], "a dict that JSON can say"),
        ("answer", {"x": object()}, "a dict that JSON can say"),
        ("conversation", "team", "is a Conversation"),
        ("target_id", 7, "target_id a text"),
        ("depth", 1.5, "a whole number"),
    ],
)
async def test_what_a_plugin_set_wrongly_is_named(draft: Draft, name: str, value: object, told: str) -> None:
    setattr(draft, name, value)
    assert told in (problem_of(draft) or "")


@pytest.mark.parametrize("name", ["key", "collapse", "about"])
def test_a_function_of_a_type_that_returns_something_else_is_named(name: str) -> None:
    more: dict[str, Any] = {name: lambda payload: [payload]}
    if name == "key":
        more["kind"] = Kind.LATEST
    if name == "about":
        more["collapse"] = lambda payload: None
    with pytest.raises(TypeError, match=f"{name} returned list"):
        stored_form(type_(**more), Note(text="hi"), None)


def test_a_digest_tells_type_target_and_payload_apart() -> None:
    digests = {
        content_digest(*parts)
        for parts in (
            ("t", "bob", "{}"), ("tb", "ob", "{}"), ("t", "bob{", "}"), ("t", "bob", "{ }"),
            ("u", "bob", "{}"), ("t", "eve", "{}"),
        )
    }  # fmt: skip
    assert len(digests) == 6
