"""The filter of a webhook: which messages it gets, and which filters are refused."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.plugin import RelayError
from tests.plugins.webhooks.conftest import Run

EVERYTHING = {"to bob", "to alice", "bob to carol", "in team", "in other", "told bob", "told all"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, EVERYTHING),
        ({"type": ["group_message"]}, {"in team", "in other"}),
        ({"type": ["group_message", "notification"], "group": ["team"]}, {"in team"}),
        ({"group": ["team", "other"]}, {"in team", "in other"}),
        ({"user": ["alice"]}, {"to bob", "to alice"}),
        ({"user": ["bob"]}, {"to bob", "to alice", "bob to carol", "told bob"}),
        ({"conversation": ["carol:bob"]}, {"bob to carol"}),
        ({"conversation": ["bob:alice"], "group": ["other"]}, {"to bob", "to alice", "in other"}),
        ({"sender": ["bob"]}, {"to alice", "bob to carol", "in other"}),
        ({"sender": ["bob"], "group": ["team"]}, set()),
    ],
)
async def test_what_the_options_let_through(webhooks: Run, options: dict[str, Any], expected: set[str]) -> None:
    async with webhooks("alice", "bob", "carol") as world:
        engine = world.world.engine
        for group in ("team", "other"):
            await engine.groups.create("alice", group, ["bob", "carol"], group)
        alice, bob = await world.world.connect("alice"), await world.world.connect("bob")
        _, receiver = await world.hook(**options)
        await world.say(alice, "bob", "to bob")
        await world.say(bob, "alice", "to alice")
        await world.say(bob, "carol", "bob to carol")
        await world.say(alice, "team", "in team", type="group_message")
        await world.say(bob, "other", "in other", type="group_message")
        for target, title in (("bob", "told bob"), ("*", "told all")):
            body = {"type": "notification", "payload": {"title": title}, "meta": {"target_id": target}}
            assert (await world.rest("POST", "/api/messages", json_body=body)).status == 201
        await trio.sleep(1)
        got = {
            posted.json["payload"].get("content") or posted.json["payload"]["title"] for posted in receiver.taken
        }
        assert got == expected
        places = {posted.json["conversation"]["kind"] for posted in receiver.taken}
        if expected == EVERYTHING:
            assert places == {"user", "group", "self", "broadcast"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"type": ["chat_mesage"]},
            "'chat_mesage' is no type that is delivered; these are: action, audit_event, chat_message, group_event",
        ),
        ({"type": ["reaction"]}, "'reaction' is no type that is delivered"),
        ({"group": ["alice"]}, "there is no group 'alice'"),
        ({"user": ["nobody"]}, "there is no user 'nobody'"),
        ({"sender": ["nobody"]}, "there is no user 'nobody'"),
        ({"conversation": ["alice"]}, "'alice' is no conversation of two; right is alice:bob"),
        ({"conversation": ["alice:nobody"]}, "there is no user 'nobody'"),
        ({"url": "ftp://receiver/"}, "a URL begins with http://HOST or https://HOST"),
        ({"url": "http://me:secret@receiver/"}, "put no user and password into it"),
        ({"url": "http://receiver/#part"}, "leave out the part from the #"),
        ({"url": "http://receiver:99999/"}, "Port out of range"),
        ({"url": "http://b\u00fccher.example/"}, "a URL is printable ASCII"),
        ({"url": "http://receiver/" + "x" * 2000}, "a URL has 2000 characters at most"),
        ({"secret": "mine"}, "a secret is whsec_ and the base64 of 24 to 64 bytes"),
        ({"secret": "whsec_c2hvcnQ="}, "a secret is whsec_ and the base64 of 24 to 64 bytes"),
        ({"reply_as": "a b"}, "'a b' cannot be a user id"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_what_would_be_right(
    webhooks: Run, options: dict[str, Any], told: str
) -> None:
    async with webhooks("alice", "bob") as world:
        with pytest.raises(RelayError) as refused:
            await world.command("add", **({"url": "http://receiver/"} | options))
        assert told in refused.value.message
        assert await world.command("list") == []
