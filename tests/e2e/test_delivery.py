"""Each message once on every device that should have it, one answer to its sender, one row in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.world import Device, World, message, unique, without_replay

pytestmark = pytest.mark.e2e

TIMES = 50


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("delivery"), ("alice", "bob", "carol", "dave"))
    yield world
    world.end()


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.forget()


def settle(sender: Device, receivers: dict[str, Device]) -> None:
    """Have everything that is under way arrive: live messages come in their order, so two fences end it."""
    for user, device in receivers.items():
        for _ in range(2):
            fence = unique("fence")
            sender.say(user, fence)
            device.wait_content(fence)


def received(device: Device, prefix: str) -> list[str]:
    return [content for content in device.contents() if content.startswith(prefix)]


def test_a_direct_message_reaches_every_other_device_of_both_once(world: World) -> None:
    phone, laptop = world.device("alice"), world.device("alice")
    bob_phone, bob_laptop = world.device("bob"), world.device("bob")
    sent = [unique("direct") for _ in range(30)]
    refs = [phone.send("bob", content) for content in sent]
    acks = [phone.acked(ref) for ref in refs]
    settle(phone, {"bob": bob_phone})
    for device in (laptop, bob_phone, bob_laptop):
        device.wait_content(bob_phone.contents()[-1])
        assert received(device, "direct") == sent
        seqs = [m["meta"]["seq"] for m in device.messages if m["payload"]["content"] in sent]
        assert seqs == [ack["seq"] for ack in acks]
    assert received(phone, "direct") == [], "the sending device gets the ack instead"
    assert [ack["seq"] for ack in acks] == list(range(acks[0]["seq"], acks[0]["seq"] + 30))
    assert all(len(phone.answers[ref]) == 1 for ref in refs)


def test_what_arrives_says_who_sent_it_where_and_when(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    content = unique("meta")
    ack = alice.acked(alice.send("bob", content, id=content))
    meta = bob.wait_content(content)["meta"]
    assert (meta["sender_id"], meta["target_id"], meta["id"]) == ("alice", "bob", content)
    assert (meta["client_id"], meta["message_id"], meta["seq"]) == (
        alice.client_id,
        ack["message_id"],
        ack["seq"],
    )
    assert meta["timestamp"] == ack["timestamp"]
    assert not meta.get("replay")


def test_both_ends_of_a_conversation_share_its_sequence(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    seqs = [a.say(to, unique("turn"))["seq"] for _ in range(10) for a, to in ((alice, "bob"), (bob, "alice"))]
    assert seqs == list(range(seqs[0], seqs[0] + 20))


def test_a_group_message_reaches_every_member_once_in_one_order(world: World) -> None:
    group = world.group("alice", "bob", "carol")
    members = {name: world.device(name) for name in ("alice", "bob", "carol")}
    laptop, outsider = world.device("alice"), world.device("dave")
    refs = {
        name: [device.send(group, unique(f"group-{name}"), group=True) for _ in range(20)]
        for name, device in members.items()
    }
    acks = {name: [members[name].acked(ref) for ref in refs[name]] for name in refs}
    last = max(ack["seq"] for many in acks.values() for ack in many)
    for name, device in {**members, "alice's laptop": laptop}.items():
        expected = 60 if device is laptop else 40
        assert device.pump(lambda d=device, n=expected: len(received(d, "group-")) >= n)  # type: ignore[misc]
        texts = [m for m in device.messages if m["payload"].get("content", "").startswith("group-")]
        seqs = [m["meta"]["seq"] for m in texts]
        own = [ack["seq"] for ack in acks.get(name, [])]
        assert seqs == sorted(set(seqs)), "each once and rising"
        assert sorted(seqs + own) == list(range(last - 59, last + 1))
        assert all(m["meta"]["target_id"] == group for m in texts)
    settle(members["alice"], {"dave": outsider})
    assert received(outsider, "group-") == []


def test_one_who_is_no_member_learns_nothing_and_cannot_send(world: World) -> None:
    group = world.group("alice", "bob")
    dave = world.device("dave")
    secret, missing = dave.send(group, "x", group=True), dave.send("no-such-group", "x", group=True)
    refusals = [dave.refused(ref) for ref in (secret, missing)]
    assert refusals[0]["code"] == refusals[1]["code"]
    assert refusals[0]["code"] in ("not_found", "forbidden")
    paths = (f"/api/messages/group/{group}", "/api/messages/group/no-such-group", f"/api/groups/{group}")
    assert [world.rest("dave").get(path).status_code for path in paths] == [404, 404, 404]


def test_a_message_without_an_id_is_stored_and_acked_without_a_ref(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    content = unique("plain")
    alice.wire.send_json(message("bob", content, id=None))
    assert alice.acked(None)["duplicate"] is False  # type: ignore[arg-type]
    assert "id" not in bob.wait_content(content)["meta"]


def test_an_error_carries_the_ref_and_stores_nothing(world: World) -> None:
    alice = world.device("alice")
    ref = alice.send("no-such-user", unique("lost"))
    assert alice.refused(ref)["code"] in ("not_found", "forbidden")
    assert len(alice.answers[ref]) == 1


def test_rest_and_the_socket_send_to_the_same_place(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    content = unique("rest")
    body = message("bob", content, id=content)
    first, again = (world.rest("alice").post("/api/messages", json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["duplicate"] is False
    assert again.json() == {**first.json(), "duplicate": True}
    assert bob.wait_content(content)["meta"]["message_id"] == first.json()["message_id"]
    assert alice.wait_content(content)["meta"]["sender_id"] == "alice"
    by_socket = alice.acked(alice.send("bob", content, id=content))
    assert by_socket == again.json()


def assert_one_row(world: World, content: str, acks: list[dict[str, object]]) -> None:
    assert len({(ack["message_id"], ack["seq"], ack["timestamp"]) for ack in acks}) == 1
    assert [ack["duplicate"] for ack in acks].count(False) == 1
    rows = [m for m in world.history("alice", peer="bob") if m["payload"].get("content") == content]
    assert len(rows) == 1
    assert rows[0]["meta"]["message_id"] == acks[0]["message_id"]


def test_the_same_id_fifty_times_on_one_connection_is_one_message(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    content = unique("once")
    alice.send_all([message("bob", content, id=content)] * TIMES)
    assert alice.pump(lambda: len(alice.answers[content]) == TIMES)
    assert_one_row(world, content, [answer["payload"] for answer in alice.answers[content]])
    settle(alice, {"bob": bob})
    assert received(bob, content) == [content]
    assert len(alice.answers[content]) == TIMES, "exactly one answer to each"


def test_the_same_id_over_many_connections_at_once_is_one_message(world: World) -> None:
    bob = world.device("bob")
    devices = [world.device("alice") for _ in range(10)]
    content = unique("everywhere")
    for device in devices:
        device.send_all([message("bob", content, id=content)] * (TIMES // 10))
    for device in devices:
        assert device.pump(lambda d=device: len(d.answers[content]) == TIMES // 10)  # type: ignore[misc]
    assert_one_row(world, content, [a["payload"] for d in devices for a in d.answers[content]])
    settle(devices[0], {"bob": bob})
    assert received(bob, content) == [content]


def test_a_retry_after_reconnect_and_after_restart_gets_the_same_ack(world: World) -> None:
    content = unique("again")
    acks = []
    for restart in (False, False, True):
        if restart:
            world.server.restart()
        alice = world.device("alice")
        acks.append(alice.acked(alice.send("bob", content, id=content)))
        alice.close()
    assert_one_row(world, content, acks)
    assert [ack["duplicate"] for ack in acks] == [False, True, True]


def test_a_retry_after_kill_9_gets_the_same_ack(world: World) -> None:
    content = unique("killed")
    alice = world.device("alice")
    first = alice.acked(alice.send("bob", content, id=content))
    world.server.kill()
    alice.close()
    world.server.start()
    alice = world.device("alice")
    again = alice.acked(alice.send("bob", content, id=content))
    assert again == {**first, "duplicate": True}


def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing(world: World) -> None:
    alice = world.device("alice")
    ref, content = unique("id"), unique("first")
    ack = alice.acked(alice.send("bob", content, id=ref))
    alice.answers.clear()
    assert alice.refused(alice.send("bob", "something else", id=ref))["code"] == "conflict"
    alice.answers.clear()
    assert alice.refused(alice.send("carol", content, id=ref))["code"] == "conflict"
    assert world.history("alice", peer="bob")[-1]["meta"]["message_id"] == ack["message_id"]
    assert world.history("alice", peer="bob")[-1]["payload"]["content"] == content


def test_the_same_id_from_two_senders_is_two_messages(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    ref = unique("shared")
    first = alice.acked(alice.send("carol", "mine", id=ref))
    second = bob.acked(bob.send("carol", "mine", id=ref))
    assert second["duplicate"] is False
    assert first["message_id"] != second["message_id"]


def test_history_holds_the_very_envelopes_that_were_delivered(world: World) -> None:
    alice, bob, carol = (world.device(name) for name in ("alice", "bob", "carol"))
    group = world.group("alice", "bob", "carol")
    for i in range(10):
        alice.say("bob", unique("kept"))
        bob.say(group, unique("kept"), group=True)
        if i == 5:
            alice.wire.send_json(message("bob", unique("kept"), id=unique(), extra={"é": ["😀", None, 1.5]}))
    settle(alice, {"bob": bob, "carol": carol})
    for reader, rows in (
        (bob, world.history("bob", peer="alice")),
        (carol, world.history("carol", group=group)),
    ):
        by_id = {row["meta"]["message_id"]: without_replay(row) for row in rows}
        conversation = [m for m in reader.messages if m["meta"]["message_id"] in by_id]
        assert len(conversation) >= 10
        for envelope in conversation:
            assert without_replay(envelope) == by_id[envelope["meta"]["message_id"]]
        assert [row["meta"]["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert world.history("alice", peer="bob") == world.history("bob", peer="alice")
