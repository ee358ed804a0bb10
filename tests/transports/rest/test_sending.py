"""Sending a message by REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.transports.rest.world import World, message, open_world

SEND = "/api/messages"
PULSE = '''
from relay.plugin import Kind, MessageType, Payload, hookimpl

class Pulse(Payload):
    beat: int

@hookimpl
def relay_message_types(options):
    """Add `pulse`."""
    return [MessageType(name="pulse", payload=Pulse, kind=Kind.TRANSIENT)]
'''


async def test_a_message_is_stored_acked_and_delivered_to_both_sides(world: World):
    laptop, phone = await world.device("alice", "laptop"), await world.device("bob", "phone")
    answer = await world.post("alice", SEND, message("bob", "hello", id="m1", client_id="cli"))
    ack = answer.ok(201)
    assert (ack["message_id"], ack["seq"], ack["duplicate"]) == (1, 1, False)
    assert isinstance(ack["timestamp"], float)
    for device in (laptop, phone):
        meta = device.frames[0]["meta"]
        assert (meta["message_id"], meta["sender_id"], meta["id"]) == (1, "alice", "m1")
        assert meta["client_id"] == "cli"


async def test_the_sender_is_the_tokens_user_whatever_the_envelope_says(world: World):
    body = message("bob", "not me", sender_id="carol")
    (await world.post("alice", SEND, body)).ok(201)
    page = (await world.get("alice", "/api/messages/user/bob")).ok()
    assert page["messages"][0]["meta"]["sender_id"] == "alice"


@pytest.mark.parametrize("how", ["meta", "header", "quoted header", "both"])
async def test_the_same_id_again_gets_the_same_ack_and_stores_nothing(world: World, how: str):
    meta = {"id": "once"} if how in ("meta", "both") else {}
    key = {"header": "once", "quoted header": '"once"', "both": "once", "meta": ""}[how]
    calls = [
        await world.post("alice", SEND, message("bob", "hello", **meta), headers={"Idempotency-Key": key})
        for _ in range(3)
    ]
    assert [call.status for call in calls] == [201, 200, 200]
    first = calls[0].body
    assert [call.body for call in calls[1:]] == [first | {"duplicate": True}] * 2
    page = (await world.get("alice", "/api/messages/user/bob")).ok()
    assert [envelope["meta"]["id"] for envelope in page["messages"]] == ["once"]


async def test_the_same_key_many_times_at_once_is_one_message(world: World):
    acks: list[Any] = []

    async def send() -> None:
        acks.append(await world.post("alice", SEND, message("bob", "x"), headers={"Idempotency-Key": "k"}))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(send)
    assert sorted(ack.status for ack in acks) == [200] * 19 + [201]
    assert len({ack.body["message_id"] for ack in acks}) == 1


async def test_the_same_id_with_other_content_is_a_conflict(world: World):
    await world.say("alice", "bob", "one", id="m1")
    (await world.post("alice", SEND, message("bob", "two", id="m1"))).refused(409, "conflict")
    (await world.post("alice", SEND, message("carol", "one", id="m1"))).refused(409, "conflict")
    assert len((await world.get("alice", "/api/messages/user/bob")).ok()["messages"]) == 1


async def test_the_same_id_of_two_senders_is_two_messages(world: World):
    assert not (await world.say("alice", "carol", "one", id="m1"))["duplicate"]
    assert not (await world.say("bob", "carol", "two", id="m1"))["duplicate"]


@pytest.mark.parametrize("key", ["x" * 65, '""', "  ", "schlüssel".encode().decode("latin-1")])
async def test_a_key_that_cannot_be_an_id_is_refused(world: World, key: str):
    answer = await world.post("alice", SEND, message("bob", "x"), headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in answer.refused(400, "invalid_payload")["detail"]


async def test_a_key_and_an_id_that_differ_are_refused(world: World):
    answer = await world.post("alice", SEND, message("bob", "x", id="a"), headers={"Idempotency-Key": "b"})
    answer.refused(400, "invalid_payload")
    assert (await world.get("alice", "/api/messages/user/bob")).ok()["messages"] == []


@pytest.mark.parametrize("kind", ["connection_event", "ack", "error", "group_event"])
async def test_what_belongs_to_a_connection_or_the_server_is_forbidden(world: World, kind: str):
    await world.group("alice", "bob")
    body = {"type": kind, "payload": {"event": "goodbye"}, "meta": {"target_id": "team"}}
    (await world.post("alice", SEND, body)).refused(403, "forbidden")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"\xff", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        ([], "bad_envelope"),
        ({}, "bad_envelope"),
        ({"type": 1}, "bad_envelope"),
        ({"type": "chat_message", "payload": {"content": "x"}}, "bad_envelope"),
        ({"type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": ""}}, "bad_envelope"),
        ({"type": "no_such", "payload": {}, "meta": {"target_id": "bob"}}, "unknown_type"),
        (message("bob", "x") | {"payload": {}}, "invalid_payload"),
        (message("bob", "x") | {"payload": {"content": "x", "colour": 1}}, "invalid_payload"),
        (message("bob", "x", group=True), "invalid_payload"),
    ],
    ids=str,
)
async def test_a_message_that_is_none_is_refused(world: World, body: Any, code: str):
    (await world.post("alice", SEND, body)).refused(400, code)


async def test_the_field_that_is_wrong_is_named(world: World):
    body = message("bob", "x") | {"payload": {"content": 5}}
    problem = (await world.post("alice", SEND, body)).refused(400, "invalid_payload")
    assert "payload.content" in problem["detail"]


async def test_a_stranger_to_a_group_and_nobodys_target_are_refused_alike(world: World):
    await world.group("alice", "bob")
    problems = [
        (await world.post("carol", SEND, message(target, "x", group=True))).refused(404, "not_found")
        for target in ("team", "maet")
    ]
    assert problems[0]["detail"].replace("team", "") == problems[1]["detail"].replace("maet", "")


async def test_content_over_the_limit_is_too_large(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"content_characters": 10}) as world:
        await world.say("alice", "bob", "x" * 10)
        (await world.post("alice", SEND, message("bob", "x" * 11))).refused(413, "too_large")


async def test_too_many_messages_are_told_when_to_come_back(tmp_path: Path):
    limits = {"messages_per_second": 1, "messages_burst": 2}
    async with open_world(tmp_path, "alice", "bob", limits=limits) as world:
        for _ in range(2):
            await world.say("alice", "bob", "x")
        answer = await world.post("alice", SEND, message("bob", "x"))
        problem = answer.refused(429, "rate_limited")
        assert problem["retry"] is True
        assert 0 < problem["retry_after"] <= 1
        assert answer.headers["Retry-After"] == "1"
        await world.say("bob", "alice", "another's rate is another's")


async def test_a_transient_message_reaches_devices_and_is_answered_without_being_stored(tmp_path: Path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "pulse.py").write_text(PULSE)
    async with open_world(tmp_path, "alice", "bob", plugins={"directories": [str(folder)]}) as world:
        phone = await world.device("bob", "phone")
        for meta in ({"target_id": "bob"}, {"target_id": "bob", "id": "p1"}):
            with trio.fail_after(5):
                ack = (
                    await world.post("alice", SEND, {"type": "pulse", "payload": {"beat": 1}, "meta": meta})
                ).ok(201)
            assert set(ack) == {"timestamp", "duplicate"}
        assert [frame["type"] for frame in phone.frames] == ["pulse", "pulse"]
        assert (await world.get("bob", "/api/messages/user/alice")).ok()["messages"] == []


async def test_a_plugin_that_fails_is_answered_for(tmp_path: Path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    broken = PULSE.replace("kind=Kind.TRANSIENT", "kind=Kind.STREAM, prepare=lambda draft: 1 / 0")
    (folder / "pulse.py").write_text(broken)
    async with open_world(tmp_path, "alice", "bob", plugins={"directories": [str(folder)]}) as world:
        body = {"type": "pulse", "payload": {"beat": 1}, "meta": {"target_id": "bob"}}
        problem = (await world.post("alice", SEND, body)).refused(502, "plugin_failed")
        assert "division" not in str(problem)
