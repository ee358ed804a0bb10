"""Three real nodes: whatever a client does at one of them, those at the others see it as they would at one server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.world import World
from tests.e2e.server import NO_TLS
from tests.e2e.wire import PATIENCE, Envelope
from tests.e2e.world import Device, history, unique

pytestmark = [pytest.mark.real_time, pytest.mark.long]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("cluster"), ("alice", "bob", "carol", "dora"))
    yield world
    world.end()


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.forget()


def wait_event(device: Device, kind: str, **payload: object) -> Envelope:
    """Read until an envelope of a type says what it must."""
    deadline = time.monotonic() + PATIENCE
    while True:
        envelope = device.take(deadline - time.monotonic())
        if envelope["type"] == kind and payload.items() <= envelope["payload"].items():
            return envelope


def test_a_message_sent_at_a_follower_reaches_clients_at_all_nodes(world: World) -> None:
    leader, one, other = world.by_role()
    sender = world.device(one, "alice")
    readers = [world.device(node, "bob") for node in (leader, one, other)]
    contents = [unique("everywhere") for _ in range(20)]
    acks = [sender.say("bob", content) for content in contents]
    for reader in readers:
        reader.wait_content(contents[-1])
        assert [each for each in reader.contents() if each in contents] == contents
        found = [each["meta"]["seq"] for each in reader.messages if each["payload"]["content"] in contents]
        assert found == [ack["seq"] for ack in acks]


def test_a_retry_at_another_node_is_the_same_message(world: World) -> None:
    leader, one, other = world.by_role()
    ref, content = unique("retry"), unique("once")
    first = world.device(one, "alice")
    acked = first.acked(first.send("bob", content, id=ref))
    for node in (leader, other):
        again = world.device(node, "alice")
        repeated = again.acked(again.send("bob", content, id=ref))
        assert (repeated["duplicate"], repeated["seq"]) == (True, acked["seq"])


def test_what_was_missed_at_one_node_comes_at_another(world: World) -> None:
    leader, one, other = world.by_role()
    phone = world.device(one, "bob", "moving-phone")
    sender = world.device(leader, "alice")
    sender.say("bob", before := unique("before"))
    phone.wait_content(before)
    phone.close()
    contents = [unique("missed") for _ in range(10)]
    for content in contents:
        sender.say("bob", content)
    back = world.device(other, "bob", "moving-phone", cursor=phone.cursor, epoch=phone.ready["epoch"])
    assert back.ready["resumed"]
    assert back.contents() == contents


def test_a_group_is_the_same_at_every_node(world: World) -> None:
    nodes = world.by_role()
    group = unique("group")
    body = {"name": group, "members": ["bob", "carol"], "group_id": group}
    assert world.rest(nodes[1], "alice").post("/api/groups", json=body).status_code == 201
    devices = [world.device(node, user) for node, user in zip(nodes, ("alice", "bob", "carol"), strict=True)]
    for device in devices:
        device.send(group, unique("to all"), group=True)
    for device in devices:
        device.pump(lambda device=device: len(device.seqs()) + len(device.answers) >= 3)
    found = [
        [row["meta"]["message_id"] for row in history(world.rest(node, "bob"), f"/api/messages/group/{group}")]
        for node in nodes
    ]
    assert found[0] == found[1] == found[2]


def test_rest_answers_at_every_node_with_what_was_written_at_another(world: World) -> None:
    for node in world.by_role():
        content = unique("by rest")
        body = {"type": "chat_message", "payload": {"content": content}, "meta": {"target_id": "carol"}}
        answer = world.rest(node, "alice").post("/api/messages", json=body)
        assert answer.status_code in (200, 201), answer.text
        for reader in world.cluster.nodes:
            page = world.rest(reader, "carol").get("/api/messages/user/alice", params={"limit": 5}).json()
            assert page["messages"][-1]["payload"]["content"] == content
    page = httpx.get(world.by_role()[2].url, timeout=PATIENCE, trust_env=False, verify=NO_TLS)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]


def test_a_file_goes_up_at_one_node_and_down_at_another(world: World) -> None:
    leader, one, other = world.by_role()
    data = hashlib.sha256(b"block").digest() * 100_000  # 3.2 MB
    kept = world.rest(one, "alice").post("/api/attachments", params={"name": "a.bin"}, content=data).json()
    assert kept["size"] == len(data)
    sender, reader = world.device(leader, "alice"), world.device(other, "bob")
    message = {"content": "a file", "attachments": [kept["attachment_id"]]}
    ref = unique("file")
    meta = {"id": ref, "target_id": "bob"}
    sender.wire.send_json({"type": "chat_message", "payload": message, "meta": meta})
    sender.acked(ref)
    reader.wait_content("a file")
    for node in (leader, one, other):
        got = world.rest(node, "bob").get(f"/api/attachments/{kept['attachment_id']}")
        assert got.content == data


def test_presence_and_typing_reach_other_nodes(world: World) -> None:
    _, one, other = world.by_role()
    watcher = world.device(one, "alice")
    meta = {"id": unique("follow")}
    watcher.wire.send_json({"type": "follow", "payload": {"user_ids": ["dora"], "follow": True}, "meta": meta})
    watcher.acked(meta["id"])
    watched = world.device(other, "dora")
    wait_event(watcher, "status_update", status="online")
    typing = {"type": "typing_indicator", "payload": {"typing": True}, "meta": {"target_id": "alice"}}
    watched.wire.send_json(typing)
    wait_event(watcher, "typing_indicator", typing=True)
    watched.close()
    wait_event(watcher, "status_update", status="offline")


def test_a_device_that_comes_back_at_another_node_takes_over(world: World) -> None:
    _, one, other = world.by_role()
    first = world.device(one, "bob", "the-same")
    world.device(other, "bob", "the-same")
    assert first.wait_closed() == 4510


def test_a_device_that_is_revoked_at_one_node_is_closed_at_another(world: World) -> None:
    _, one, other = world.by_role()
    device = world.device(one, "carol", "lost-phone")
    assert world.rest(other, "carol").delete("/api/devices/lost-phone").is_success
    assert device.wait_closed() == 4503


def test_search_finds_at_every_node(world: World) -> None:
    nodes = world.by_role()
    word = unique("needle").replace("-", "")
    world.device(nodes[1], "alice").say("bob", f"where is the {word}")
    for node in nodes:
        found = world.rest(node, "bob").get("/api/search", params={"q": word}).json()
        assert [one["message"]["payload"]["content"] for one in found["results"]] == [f"where is the {word}"]
