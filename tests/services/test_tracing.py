"""The life of one message: for everybody who was to get it, why they have it, or why not yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.tombstones import erase_messages
from relay.testing import RelayWorld, World
from tests.actors import OPERATOR

Found = dict[str, Any]
OFFLINE = "bob's device bob-1 has been offline since 2023-11-14 22:13:2"


async def trace(world: World, message_id: int, **given: Any) -> Found:
    """Return the trace of a message, as programs get it."""
    engine = world.engine
    found = await engine.tracing.trace(message_id, engine.router.position, **given)
    return dict(msgspec.to_builtins(found))


async def of(world: World, message_id: int, user: str) -> Found:
    """Return what became of a message for one user."""
    (one,) = (await trace(world, message_id, user=user))["recipients"]
    return dict(one)


def states(one: Found) -> dict[str, str]:
    return {device["client_id"]: device["state"] for device in one["devices"]}


async def say(world: World, text: str = "Lunch?", target: str = "bob", **payload: Any) -> int:
    """Have alice say something, by REST, and return its id."""
    kind = "group_message" if target == "team" else "chat_message"
    body = {"type": kind, "meta": {"target_id": target}, "payload": {"content": text, **payload}}
    answer = await world.rest("POST", "/api/messages", "alice", json_body=body)
    assert answer.status in (200, 201), answer.body
    return int(answer.body["message_id"])


async def team(world: World, *members: str) -> None:
    body = {"group_id": "team", "name": "Team", "members": list(members)}
    assert (await world.rest("POST", "/api/groups", "alice", json_body=body)).status == 201


async def test_a_message_that_was_read(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    ack = await alice.request("chat_message", {"content": "Lunch?"}, "bob", id="lunch-1")
    message_id = ack["payload"]["message_id"]
    await trio.sleep(1)
    await bob.event("ack", cursor=message_id)
    await trio.sleep(1)
    found = await trace(world, message_id)
    head = found["message"]
    assert (head["conversation"], head["seq"], head["client_id"], head["id"]) == (
        "user:alice:bob",
        1,
        "alice-1",
        "lunch-1",
    )
    assert (head["commit"]["first"], head["commit"]["last"], head["commit"]["messages"]) == (
        message_id,
        message_id,
        1,
    )
    assert [event["what"] for event in found["events"]] == ["stored"]
    assert found["counts"] == {"members": 1, "delivered": 1, "read": 0}
    by_user = {one["user_id"]: one for one in found["recipients"]}
    assert by_user["alice"]["state"] == "sender"
    assert states(by_user["alice"]) == {"alice-1": "origin"}
    assert by_user["bob"]["state"] == "delivered"
    assert states(by_user["bob"]) == {"bob-1": "acked"}
    await bob.request("read_receipt", {"up_to_seq": 1}, "alice")
    one = await of(world, message_id, "bob")
    assert (one["state"], one["read"]) == ("read", True)
    (note,) = one["notes"]
    assert (note["plugin"], note["what"]) == ("read_receipt", "read_told")
    assert note["at"] == pytest.approx(world.engine.now(), abs=1)


async def test_who_hides_how_far_they_read_has_it_and_no_more_is_told(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = (await alice.request("chat_message", {"content": "Lunch?"}, "bob"))["payload"]["message_id"]
    await bob.event("ack", cursor=message_id)
    await bob.request("read_receipt", {"up_to_seq": 1, "private": True}, "alice")
    await trio.sleep(1)
    one = await of(world, message_id, "bob")
    assert (one["state"], one["read"], one["notes"]) == ("delivered", False, [])


async def test_what_a_trace_tells_is_never_what_the_message_says(world: World) -> None:
    message_id = await say(world, "a very secret plan")
    assert "secret" not in str(await trace(world, message_id))


async def test_sent_and_not_confirmed_yet(world: World) -> None:
    await world.connect("bob")
    message_id = await say(world)
    await trio.sleep(0.1)
    one = await of(world, message_id, "bob")
    (device,) = one["devices"]
    assert (one["state"], device["state"], device["connected"]) == ("sent", "sent", True)
    assert one["text"].startswith(
        "On its way: bob's device bob-1 is connected: it was written to its connection at "
    )
    assert device["at"] == pytest.approx(world.engine.now(), abs=1)


async def test_what_came_with_the_replay_says_so(world: World) -> None:
    message_id = await say(world)
    await trio.sleep(5)
    await world.connect("bob")
    (device,) = (await of(world, message_id, "bob"))["devices"]
    assert device["state"] == "sent"
    assert "came with the replay, when it connected" in device["text"]


async def test_waiting_for_a_device_that_is_offline_since_then(world: World) -> None:
    device = await world.connect("bob")
    await trio.sleep(2)
    await device.cut()
    await trio.sleep(60)
    message_id = await say(world)
    one = await of(world, message_id, "bob")
    assert one["state"] == "waiting"
    assert one["text"].startswith(f"Waiting: {OFFLINE}")
    assert states(one) == {"bob-1": "waiting"}


async def test_after_a_restart_the_time_of_going_is_not_kept_and_not_guessed(world: World, tmp_path: Path) -> None:
    device = await world.connect("bob")
    await trio.sleep(2)
    await device.cut()
    await trio.sleep(90)
    message_id = await say(world)
    async with world.after_crash(tmp_path / "after") as again:
        one = await of(again, message_id, "bob")
    (waiting,) = one["devices"]
    assert (one["state"], waiting["at"]) == ("waiting", None)
    assert "when it went is not kept" in one["text"]
    assert "bob was last present at 2023-11-14" in one["text"]


async def test_who_never_had_a_device_waits_for_the_first_one(world: World) -> None:
    one = await of(world, await say(world), "bob")
    assert (one["state"], one["devices"]) == ("no_device", [])
    assert one["text"].startswith("Waiting: bob has no device.")


async def test_a_device_that_was_logged_out(world: World) -> None:
    device = await world.connect("bob")
    await device.cut()
    message_id = await say(world)
    assert (await world.rest("DELETE", "/api/devices/bob-1", "bob")).status == 204
    one = await of(world, message_id, "bob")
    assert (one["state"], states(one)) == ("no_device", {"bob-1": "revoked"})


async def test_a_disabled_account(world: World) -> None:
    message_id = await say(world)
    await world.engine.administration.set_disabled(OPERATOR, "bob", True)
    one = await of(world, message_id, "bob")
    assert one["state"] == "disabled"
    assert "is disabled" in one["text"]


@pytest.mark.world("alice", "bob", RELAY_REPLAY__LIMIT="10")
async def test_what_a_limited_replay_leaves_out(world: World) -> None:
    device = await world.connect("bob")
    await device.event("ack", cursor=0)
    await trio.sleep(1)
    await device.cut()
    await trio.sleep(1)
    message_id = await say(world, "the first of many")
    await world.talk("alice", "bob", 30)
    one = await of(world, message_id, "bob")
    assert one["state"] == "waiting"
    assert "it will have missed more than the 10 messages of one replay: it fetches seq 1 to 21" in one["text"]
    await world.connect("bob")
    one = await of(world, message_id, "bob")
    assert (one["state"], states(one)) == ("left_out", {"bob-1": "left_out"})
    assert "fetches seq 1 to 21 of user alice by REST" in one["text"]


@pytest.mark.world("alice", "bob", "carol", "dave")
async def test_who_left_before_and_who_came_later(world: World) -> None:
    await team(world, "bob", "carol")
    assert (await world.rest("DELETE", "/api/groups/team/members/bob", "bob")).status == 204
    await trio.sleep(1)
    message_id = await say(world, target="team")
    assert (await world.rest("DELETE", "/api/groups/team/members/carol", "carol")).status == 204
    for user in ("bob", "dave"):
        answer = await world.rest("PUT", f"/api/groups/team/members/{user}", "alice")
        assert answer.status in (200, 204)
    found = {one["user_id"]: one for one in (await trace(world, message_id))["recipients"]}
    assert {user: one["state"] for user, one in found.items()} == {
        "alice": "sender",
        "bob": "between",
        "carol": "no_device",
        "dave": "joined_later",
    }
    assert found["dave"]["text"].startswith("Not for dave: they came to the conversation later, at 2023-11-14")


@pytest.mark.world("alice", "bob")
async def test_who_has_left_since_before_it(world: World) -> None:
    await team(world, "bob")
    assert (await world.rest("DELETE", "/api/groups/team/members/bob", "bob")).status == 204
    one = await of(world, await say(world, target="team"), "bob")
    assert (one["state"], one["devices"]) == ("left", [])
    assert one["text"].startswith("Not for bob: they had left the conversation before it, at 2023-11-14")


async def test_edited_then_deleted(world: World) -> None:
    message_id = await say(world)
    alice = await world.connect("alice")
    await trio.sleep(1)
    await alice.request("message_edit", {"message_id": message_id, "content": "Dinner?"}, "bob")
    found = await trace(world, message_id)
    assert [event["what"] for event in found["events"]] == ["stored", "edited"]
    assert found["events"][1]["by"] == "alice"
    await trio.sleep(1)
    await alice.request("message_delete", {"message_id": message_id}, "bob")
    found = await trace(world, message_id)
    (deleted,) = (event for event in found["events"] if event["what"] == "deleted")
    assert deleted["by"] == "alice"
    assert deleted["text"].startswith("alice deleted it at 2023-11-14")
    assert found["message"]["bytes"] is None
    one = found["recipients"][1]
    assert (one["state"], one["shown"]) == ("no_device", "nothing")
    assert "without its text: it is deleted" in one["text"]


@pytest.mark.world("alice", "bob", RELAY_TYPES__CHAT_MESSAGE__TTL_SECONDS="60")
async def test_expired(world: World) -> None:
    message_id = await say(world)
    (_, ahead) = (await trace(world, message_id))["events"]
    assert (ahead["what"], ahead["at"]) == ("expires", pytest.approx(world.engine.now() + 60, abs=1))
    await trio.sleep(61)
    (_, over) = (await trace(world, message_id))["events"]
    assert (over["what"], over["by"]) == ("expired", None)


async def test_a_message_whose_sender_was_erased(world: World) -> None:
    message_id = await say(world)
    await trio.sleep(1)
    await world.engine.leaving.erase("alice")
    found = await trace(world, message_id)
    assert [event["what"] for event in found["events"]] == ["stored", "account_erased"]
    assert {one["user_id"]: one["state"] for one in found["recipients"]} == {"alice": "erased", "bob": "no_device"}


async def test_erased_by_nobody_who_is_known(world: World) -> None:
    message_id = await say(world)
    await trio.sleep(1)
    at = world.engine.now()
    await world.engine.runner.write(lambda connection: erase_messages(connection, [message_id], at))
    found = await trace(world, message_id)
    assert found["events"][1]["what"] == "erased"
    assert "is not kept" in found["events"][1]["text"]


async def test_a_message_that_is_not_there(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await say(world)
    with pytest.raises(RelayError, match="the newest one is") as refused:
        await trace(world, 1000)
    assert refused.value.code is ErrorCode.NOT_FOUND
    reaction = {"message_id": message_id, "emoji": "👍"}
    first = await alice.request("reaction", {**reaction, "on": True}, "bob")
    assert (await alice.request("reaction", {**reaction, "on": False}, "bob"))["type"] == "ack"
    with pytest.raises(RelayError, match="a newer one has taken its place"):
        await trace(world, first["payload"]["message_id"])
    with pytest.raises(RelayError, match="user 'carol' never was in the conversation of message"):
        await trace(world, message_id, user="carol")


async def test_the_value_of_a_latest_type(world: World) -> None:
    bob = await world.connect("bob")
    await say(world)
    await bob.request("read_receipt", {"up_to_seq": 1}, "alice")
    await trio.sleep(1)
    position = world.engine.router.position
    found = await trace(world, position)
    assert (found["message"]["type"], found["message"]["seq"]) == ("read_receipt", None)
    assert {one["user_id"]: one["state"] for one in found["recipients"]} == {"alice": "no_device", "bob": "sender"}


@pytest.mark.world("alice", "bob", "carol", "dave", "erin")
async def test_many_recipients_come_by_pages(world: World) -> None:
    await team(world, "bob", "carol", "dave", "erin")
    message_id = await say(world, target="team")
    page = await trace(world, message_id, limit=2)
    seen = [one["user_id"] for one in page["recipients"]]
    while page["next"]:
        page = await trace(world, message_id, limit=2, after=page["next"])
        seen += [one["user_id"] for one in page["recipients"]]
    assert seen == ["alice", "bob", "carol", "dave", "erin"]


FILTER = """
from relay.plugin import Diagnostics, MessageHook, TraceNote, hookimpl

def for_recipient(server, delivery, user_id):
    if "fail" in delivery.payload.content:
        raise ZeroDivisionError("on purpose")
    if "secret" not in delivery.payload.content:
        return None
    delivery.payload.content = "***"
    return delivery.payload

def trace(server, connection, message, user_ids):
    for user_id in user_ids:
        yield TraceNote(what="redacted", text=f"{user_id} is a guest.", user_id=user_id)
    yield TraceNote(what="of_nobody", text="told of somebody else", user_id="zoe")

def broken(server, connection, message, user_ids):
    return ["text"]

@hookimpl
def relay_message_hooks():
    return [MessageHook(types=frozenset({"chat_message"}), for_recipient=for_recipient, required=True)]

@hookimpl
def relay_diagnostics():
    return [Diagnostics(trace=trace), Diagnostics(trace=broken)]
"""


async def test_a_filter_that_changes_or_withholds_says_so(relay_world: RelayWorld, tmp_path: Path) -> None:
    (tmp_path / "redact.py").write_text(FILTER)
    async with relay_world(tmp_path, "alice", "bob") as world:
        changed, withheld = await say(world, "a secret"), await say(world, "fail here")
        one = await of(world, changed, "bob")
        assert (one["shown"], one["shown_by"]) == ("changed", "redact")
        assert one["text"].endswith("The plugin redact changes what they get of it.")
        assert [note["text"] for note in one["notes"]] == ["bob is a guest."]
        one = await of(world, withheld, "bob")
        assert (one["shown"], one["shown_by"]) == ("withheld", "redact")
        assert "withheld from them" in one["text"]
        guard = world.engine.registry.guard("redact")
        assert guard is not None
        assert guard.last is not None
        assert guard.failures >= 2


@pytest.mark.world("alice", "bob", "carol")
async def test_it_says_of_a_reader_that_they_block_the_sender(world: World) -> None:
    await team(world, "bob", "carol")
    before = await say(world, target="team")
    await trio.sleep(10)
    assert (await world.rest("PUT", "/api/users/alice/block", "bob")).status == 204
    for message_id in (before, await say(world, target="team")):
        blocking, other = await of(world, message_id, "bob"), await of(world, message_id, "carol")
        assert blocking["text"].endswith(
            " bob has blocked alice since 2023-11-14 22:13:30 UTC: nothing calls them to it."
        )
        assert (blocking["state"], blocking["blocks_since"]) == ("no_device", pytest.approx(1700000010, abs=1))
        assert other["blocks_since"] is None
        assert "block" not in other["text"]
    await world.rest("DELETE", "/api/users/alice/block", "bob")
    assert (await of(world, before, "bob"))["blocks_since"] is None
