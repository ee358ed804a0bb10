"""What a device finds when it comes back: everything it missed, once, in the order of priorities."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.wire import PATIENCE, Closed, Gone
from tests.e2e.world import Device, World, message, unique

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    names = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
    world = World(tmp_path_factory.mktemp("resume"), names, {"replay": {"limit": 100_000}})
    yield world
    world.end()


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.forget()


def back(world: World, device: Device, *, sync: bool = True) -> Device:
    """Reconnect a device as itself, with the position it has."""
    device.close()
    user = device.ready["user_id"]
    known = {"session_id": device.ready["session_id"], "epoch": device.ready["epoch"]}
    return world.device(user, device.client_id, sync=sync, cursor=device.cursor, **known)


def burst(sender: Device, target: str, count: int, *, group: bool = False, prefix: str = "burst") -> list[str]:
    """Send many messages at once, wait for their acks and return their contents."""
    contents = [unique(prefix) for _ in range(count)]
    sender.send_all(message(target, content, id=content, group=group) for content in contents)
    for content in contents:
        sender.acked(content)
    return contents


def test_one_who_missed_nothing_gets_nothing(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    content = unique("seen")
    alice.say("bob", content)
    bob.wait_content(content)
    again = back(world, bob)
    assert again.ready["resumed"] is True
    assert again.ready["session_id"] == bob.ready["session_id"]
    assert again.messages == []
    synced = again.synced
    assert (synced["replayed"], synced["limited"], synced["gaps"]) == (0, False, [])
    assert synced["cursor"] >= bob.cursor


def test_everything_missed_comes_back_once_over_a_restart(world: World) -> None:
    alice, bob = world.device("alice"), world.device("bob")
    bob.close()
    missed = burst(alice, "bob", 120)
    world.server.restart()
    again = back(world, bob)
    assert again.ready["resumed"] is True
    assert again.ready["epoch"] == bob.ready["epoch"]
    assert [m["payload"]["content"] for m in again.messages] == missed
    assert all(m["meta"]["replay"] is True for m in again.messages)
    assert back(world, again).messages == []


def test_a_device_learns_what_the_users_other_device_sent(world: World) -> None:
    phone, laptop = world.device("alice"), world.device("alice")
    laptop.close()
    sent = burst(phone, "bob", 5)
    again = back(world, laptop)
    assert [c for c in again.contents() if c in sent] == sent


def test_without_a_cursor_the_undelivered_messages_come(world: World) -> None:
    alice = world.device("alice")
    missed = burst(alice, "erin", 10)
    erin = world.device("erin")
    assert erin.contents() == missed
    ack = {"event": "ack", "cursor": erin.cursor}
    erin.wire.send_json({"type": "connection_event", "payload": ack, "meta": {}})
    more = burst(alice, "erin", 1)
    # Acks of clients may be written together, a little later: nothing is lost if they are not.
    deadline = time.monotonic() + PATIENCE
    while (found := world.device("erin", "a new device").contents()) != more:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_the_undelivered_list_agrees_with_the_replay(world: World) -> None:
    missed = burst(world.device("alice"), "frank", 7)
    answer = world.rest("frank").get("/api/messages/undelivered").json()
    assert [m["payload"]["content"] for m in answer["messages"]] == missed
    assert answer["has_more"] is False
    frank = world.device("frank")
    assert [m["meta"]["message_id"] for m in frank.messages] == [
        m["meta"]["message_id"] for m in answer["messages"]
    ]
    assert answer["cursor"] <= frank.cursor


def test_another_epoch_does_not_resume(world: World) -> None:
    bob = world.device("bob")
    again = world.device("bob", bob.client_id, cursor=bob.cursor, epoch="of another life")
    assert again.ready["resumed"] is False
    assert again.ready["epoch"] == bob.ready["epoch"]


def test_a_cursor_ahead_of_the_server_does_not_resume(world: World) -> None:
    bob = world.device("bob")
    again = world.device("bob", bob.client_id, cursor=bob.cursor + 1_000_000, epoch=bob.ready["epoch"])
    assert again.ready["resumed"] is False
    assert again.cursor <= bob.cursor + 1000


@pytest.mark.parametrize("cursor", [-1, 1.5, "12", True, 2**70], ids=str)
def test_a_cursor_that_is_no_position_is_refused_or_does_not_resume(world: World, cursor: object) -> None:
    wire = world.upgraded()
    hello = {"event": "hello", "token": world.tokens["bob"], "cursor": cursor}
    wire.send_json({"type": "connection_event", "payload": hello, "meta": {"client_id": "odd cursor"}})
    answer = wire.recv_json()
    assert answer["type"] == "error" or answer["payload"]["resumed"] is False


def test_a_second_connection_of_a_device_takes_over(world: World) -> None:
    first = world.device("bob", "bobs-phone")
    second = world.device("bob", "bobs-phone", cursor=first.cursor, epoch=first.ready["epoch"])
    assert first.wait_closed() == 4510
    content = unique("taken over")
    world.device("alice").say("bob", content)
    second.wait_content(content)


def test_many_takeovers_at_once_leave_exactly_one(world: World) -> None:
    devices = [world.device("bob", "bobs-phone", sync=False) for _ in range(10)]
    assert [device.wait_closed() for device in devices[:-1]] == [4510] * 9
    content = unique("the last one")
    world.device("alice").say("bob", content)
    devices[-1].wait_content(content)


def test_a_revoked_device_is_closed_and_its_session_is_over(world: World) -> None:
    device, other = world.device("carol", "lost-phone"), world.device("carol", "kept-phone")
    assert world.rest("carol").delete("/api/devices/lost-phone").status_code in (200, 204)
    assert device.wait_closed() == 4503
    wire = world.upgraded()
    wire.send_json(_resume(device))
    code = None
    try:
        ready = wire.recv_json()["payload"]
    except Closed as closed:
        code = closed.code
    # Its token may open a new session, but the old one is never given back.
    assert code in (4501, 4503) or ready["session_id"] != device.ready["session_id"]
    content = unique("kept")
    world.device("alice").say("carol", content)
    other.wait_content(content)


def _resume(device: Device) -> dict[str, object]:
    hello = {"event": "hello", "token": device.token, "session_id": device.ready["session_id"]}
    return {"type": "connection_event", "payload": hello, "meta": {"client_id": device.client_id}}


def test_nobody_revokes_the_device_of_another(world: World) -> None:
    device = world.device("carol", "carols-own")
    assert world.rest("alice").delete("/api/devices/carols-own").status_code == 404
    content = unique("still here")
    world.device("alice").say("carol", content)
    device.wait_content(content)


def test_a_replay_cut_in_its_middle_costs_nothing(world: World) -> None:
    alice, dave = world.device("alice"), world.device("dave")
    group = world.group("alice", "dave")
    before = unique("before")
    alice.say("dave", before)
    dave.wait_content(before)
    expected: list[str] = []
    for _ in range(5):
        expected += burst(alice, group, 20, group=True, prefix="group")
        expected += burst(alice, "dave", 20, prefix="direct")
    for cut_after in (1, 50, 99, 150, 199):
        partly = back(world, dave, sync=False)
        while len(partly.messages) < cut_after:
            partly.take(PATIENCE)
        partly.wire.reset()
        assert partly.messages[0]["meta"]["replay"] is True
    whole = back(world, dave)
    texts = [c for c in whole.contents() if c in set(expected)]
    assert sorted(texts) == sorted(expected)
    kinds = [m["type"] for m in whole.messages if m["payload"].get("content") in set(expected)]
    assert kinds == ["chat_message"] * 100 + ["group_message"] * 100, "direct before group"
    for kind in ("chat_message", "group_message"):
        ids = [m["meta"]["message_id"] for m in whole.messages if m["type"] == kind]
        assert ids == sorted(set(ids))


def test_messages_sent_during_a_replay_arrive_once(world: World) -> None:
    alice, grace = world.device("alice"), world.device("grace")
    grace.close()
    missed = burst(alice, "grace", 600)
    for round_ in range(5):
        slow = back(world, grace, sync=False)
        during: list[str] = []
        for _ in range(10):
            during.append(unique(f"during-{round_}"))
            alice.send("grace", during[-1], id=during[-1])
            slow.take(PATIENCE)
        for content in during:
            alice.acked(content)
            slow.wait_content(content)
        slow.sync()
        fence = unique("fence")
        alice.say("grace", fence)
        slow.wait_content(fence)
        assert sorted(slow.contents()) == sorted([*missed, *during, fence])
        live = [m["meta"]["message_id"] for m in slow.messages if not m["meta"].get("replay")]
        assert live == sorted(live)
        missed += [*during, fence]
        slow.close()


def test_a_connection_cut_at_any_moment_loses_and_doubles_nothing(world: World) -> None:
    alice, heidi = world.device("alice"), world.device("heidi")
    sent: list[str] = []
    seen: list[int] = []
    for cut_after in (0, 1, 2, 5, 9, 13):
        sent += burst(alice, "heidi", 10)
        heidi = back(world, heidi)
        live = [unique("live") for _ in range(10)]
        alice.send_all(message("heidi", content, id=content) for content in live)
        sent += live
        target = len(heidi.messages) + min(cut_after, 10)
        heidi.pump(lambda h=heidi, n=target: len(h.messages) >= n)  # type: ignore[misc]
        heidi.wire.reset()
        seen += [m["meta"]["message_id"] for m in heidi.messages]
        for content in live:
            alice.acked(content)
    heidi = back(world, heidi)
    seen += [m["meta"]["message_id"] for m in heidi.messages]
    rows = world.history("heidi", peer="alice")
    assert seen == [row["meta"]["message_id"] for row in rows]
    assert [row["payload"]["content"] for row in rows] == sent


def test_a_hello_twice_on_one_connection_is_an_error(world: World) -> None:
    ivan = world.device("ivan")
    ivan.wire.send_json(_resume(ivan))
    try:
        answer = ivan.wire.recv_json()
    except Gone:
        return
    assert answer["type"] == "error"
    assert ivan.say("judy", unique())["duplicate"] is False
