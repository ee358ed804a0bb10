"""`chat_message` through a whole server."""

from __future__ import annotations

from typing import Any

import pytest

from relay.testing import World
from tests.plugin.authors import answers, send

FULL = {"content": "hi", "extra": {"mood": ["good", 1, None]}}


async def test_it_arrives_as_it_was_sent_and_stays_in_the_history(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await send(alice, "1", "chat_message", **FULL)
    assert await answers(alice, 1) == {"1": "ack"}
    live = await bob.next("chat_message")
    assert live["payload"] == FULL
    assert await world.history("bob", "user", "alice") == [live]


@pytest.mark.world("alice", "bob", "carol")
async def test_a_reply_names_a_message_of_the_same_conversation(world: World) -> None:
    alice = await world.connect("alice")
    await send(alice, "first", "chat_message", content="?")
    await send(alice, "elsewhere", "chat_message", "carol", content="?")
    assert await answers(alice, 2) == {"first": "ack", "elsewhere": "ack"}
    for own_id, reply_to in (("good", 1), ("other", 2), ("none", 99)):
        await send(alice, own_id, "chat_message", content="!", reply_to=reply_to)
    assert await answers(alice, 3) == {"good": "ack", "other": "not_found", "none": "not_found"}
    assert [message["meta"]["id"] for message in await world.history("bob", "user", "alice")] == [
        "first",
        "good",
    ]


async def test_an_attachment_that_is_not_there_is_refused(world: World) -> None:
    alice = await world.connect("alice")
    await send(alice, "1", "chat_message", content="see", attachments=["att_none"])
    assert await answers(alice, 1) == {"1": "not_found"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"content": 7},
        {"content": "x", "colour": "red"},
        {"content": "x", "reply_to": "1"},
        {"content": "x", "attachments": ["a"] * 21},
        {"content": "x", "extra": []},
        {"content": "x", "extra": {"n": 2**60}},
    ],
    ids=str,
)
async def test_another_payload_is_refused(world: World, payload: dict[str, Any]) -> None:
    alice = await world.connect("alice")
    await send(alice, "1", "chat_message", **payload)
    assert await answers(alice, 1) == {"1": "invalid_payload"}


async def test_it_goes_to_a_user_only_and_to_oneself_too(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice, phone = await world.connect("alice"), await world.connect("alice", "phone")
    await send(alice, "group", "chat_message", "team", content="x")
    await send(alice, "self", "chat_message", "alice", content="note")
    assert await answers(alice, 2) == {"group": "invalid_payload", "self": "ack"}
    assert (await phone.next("chat_message"))["payload"] == {"content": "note"}
