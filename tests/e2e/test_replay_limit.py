"""Over the replay limit: the newest of each conversation, and the exact ranges that are missing."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.test_resume import back, burst
from tests.e2e.wire import Envelope
from tests.e2e.world import Device, World

pytestmark = pytest.mark.e2e

LIMIT = 100


def by_conversation(device: Device, group: str) -> dict[str, list[int]]:
    """List the replayed seqs of each conversation in the order they came."""
    seqs: dict[str, list[int]] = {"bob": [], "carol": [], group: []}
    for m in device.messages:
        meta = m["meta"]
        peer = meta["sender_id"] if meta["target_id"] == "alice" else meta["target_id"]
        seqs[peer].append(meta["seq"])
    return seqs


def fetch(world: World, gap: Envelope) -> list[int]:
    """Fetch a gap by REST and return the seqs found."""
    kind = {"user": "user", "group": "group"}[gap["kind"]]
    path = f"/api/messages/{kind}/{gap['target_id']}"
    found: list[int] = []
    position = gap["from_seq"] - 1
    while position < gap["to_seq"]:
        page = world.rest("alice").get(path, params={"after": position, "limit": 200}).json()["messages"]
        assert page, gap
        found += [m["meta"]["seq"] for m in page if m["meta"]["seq"] <= gap["to_seq"]]
        position = page[-1]["meta"]["seq"]
    return found


def test_a_thousand_missed_messages_bring_the_newest_and_name_the_rest(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob", "carol"), {"replay": {"limit": LIMIT}})
    group = world.group("bob", "alice", "carol")
    alice, bob, carol = (world.device(name) for name in ("alice", "bob", "carol"))
    known = {name: world.history("alice", peer=name) for name in ("bob", "carol")}
    known[group] = world.history("alice", group=group)
    alice = back(world, alice)
    alice.close()
    burst(bob, "alice", 600)
    burst(carol, group, 380, group=True)
    burst(carol, "alice", 20)

    again = back(world, alice)
    synced = again.synced
    assert again.ready["resumed"] is True
    assert synced["limited"] is True
    assert synced["replayed"] == len(again.messages) <= LIMIT
    gaps = {gap["target_id"]: gap for gap in synced["gaps"]}
    assert len(gaps) == len(synced["gaps"])
    for target, missed in (("bob", 600), (group, 380), ("carol", 20)):
        got = by_conversation(again, group)[target]
        first = len(known[target]) + 1
        last = first + missed - 1
        assert got, f"nothing of {target}"
        assert got == list(range(got[0], last + 1)), "the newest, in order"
        if got[0] == first:
            assert target not in gaps
            continue
        gap = gaps.pop(target)
        assert (gap["kind"], gap["from_seq"], gap["to_seq"]) == (
            "group" if target == group else "user",
            first,
            got[0] - 1,
        )
        assert fetch(world, gap) == list(range(first, got[0]))
    assert gaps == {}, "no gap is named where nothing is missing"
    assert back(world, again).messages == [], "a limited replay is not repeated"
    synced_again = back(world, again).synced
    assert (synced_again["limited"], synced_again["gaps"]) == (False, [])


def test_exactly_the_limit_is_not_limited(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"), {"replay": {"limit": LIMIT}})
    alice, bob = world.device("alice"), world.device("bob")
    alice.close()
    for extra in (0, 1):
        sent = burst(bob, "alice", LIMIT + extra)
        alice = back(world, alice)
        synced = alice.synced
        assert synced["limited"] is bool(extra)
        assert len(synced["gaps"]) == extra
        assert alice.contents() == sent[extra:]
        alice.close()
