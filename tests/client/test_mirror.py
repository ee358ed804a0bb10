"""The mirror's rules, one by one; tests/test_simulation.py holds it to what a fresh load shows."""

from __future__ import annotations

from typing import Any

import pytest

from relay.client import Event, Mirror
from relay.client.mirror import EVERYBODY, SELF
from relay.protocol.bundled import UNREAD_TYPES


def stored(type: str, seq: int, sender: str = "bob", target: str = "team", **payload: Any) -> Event:
    place = {
        "message_id": 100 + seq,
        "seq": seq,
        "sender_id": sender,
        "target_id": target,
        "timestamp": float(seq),
    }
    return Event(type, payload, place)


@pytest.mark.parametrize("type", sorted(UNREAD_TYPES))
def test_messages_of_others_of_these_types_make_a_conversation_unread(type: str) -> None:
    mirror = Mirror("alice")
    mirror.apply(stored(type, 1))
    mirror.apply(stored("group_event", 2))
    assert mirror.conversation("team").unread("alice", now=10.0) == 1


def test_what_its_user_sends_moves_their_own_read_pointer() -> None:
    mirror = Mirror("alice")
    mirror.apply(stored("group_message", 1))
    mirror.apply(stored("group_message", 2, sender="alice"))
    assert mirror.conversation("team").unread("alice", now=10.0) == 0


def test_a_message_that_has_expired_is_not_unread() -> None:
    mirror = Mirror("alice")
    event = stored("group_message", 1)
    mirror.apply(Event(event.type, event.payload, event.meta | {"expires_at": 5.0}))
    assert [mirror.conversation("team").unread("alice", now=now) for now in (4.0, 5.0)] == [1, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_of_two_edits_the_later_one_wins_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    told = [
        stored("group_message", 1, content="hello"),
        stored("message_edit", 2, message_id=101, content="helo"),
        stored("message_edit", 3, message_id=101, content="hello!"),
    ]
    mirror = Mirror("alice")
    for number in order:
        mirror.apply(told[number])
    for number in order:  # a resume brings all of it again
        mirror.apply(told[number])
    message = mirror.conversation("team").messages[1]
    assert (message.payload["content"], message.edit_id) == ("hello!", 103)


def test_a_deletion_leaves_tombstones_of_the_message_and_of_its_edits_and_no_reaction() -> None:
    mirror = Mirror("alice")
    mirror.apply(stored("group_message", 1, content="hello"))
    mirror.apply(stored("message_edit", 2, message_id=101, content="hello!"))
    reaction = {"message_id": 101, "emoji": "👍", "on": True}
    mirror.apply(Event("reaction", reaction, {"message_id": 103, "sender_id": "bob", "target_id": "team"}))
    team = mirror.conversation("team")
    assert team.reactions == {(101, "👍", "bob")}
    mirror.apply(stored("message_delete", 4, message_id=101))
    assert [team.messages[seq].payload for seq in (1, 2)] == [{}, {}]
    assert team.reactions == set()
    mirror.apply(stored("group_message", 1, content="hello"))
    assert team.messages[1].payload == {}, "an older version does not bring it back"


def test_a_message_that_comes_after_the_one_that_replaces_it_is_a_tombstone() -> None:
    mirror = Mirror("alice")
    newer = stored("notification", 2, title="new")
    newer.meta["replaces"] = 101
    mirror.apply(newer)
    mirror.apply(stored("notification", 1, title="old"))
    assert [mirror.conversation("team").messages[seq].payload for seq in (1, 2)] == [{}, {"title": "new"}]


def test_a_late_receipt_makes_nothing_unread() -> None:
    mirror = Mirror("alice")
    for seq in (1, 2):
        mirror.apply(stored("group_message", seq, content="hello"))
    for up_to in (2, 1):
        payload = {"up_to_seq": up_to, "state": "read"}
        mirror.apply(Event("read_receipt", payload, {"message_id": 9, "sender_id": "alice", "target_id": "team"}))
    team = mirror.conversation("team")
    assert (team.read_seq, team.receipts[("alice", "read")]) == (2, 2)


def test_a_private_receipt_is_none_that_others_see() -> None:
    mirror = Mirror("alice")
    mirror.apply(stored("group_message", 1, content="hello"))
    for private, seen in ((True, {}), (False, {("alice", "read"): 1})):
        payload = {"up_to_seq": 1, "state": "read", "private": private}
        mirror.apply(Event("read_receipt", payload, {"message_id": 9, "sender_id": "alice", "target_id": "team"}))
        assert (mirror.conversation("team").read_seq, mirror.conversation("team").receipts) == (1, seen)


def test_a_user_who_is_removed_forgets_the_group_and_one_who_is_added_starts_again() -> None:
    mirror = Mirror("alice")
    mirror.apply(stored("group_message", 1, content="hello"))
    mirror.apply(stored("group_event", 2, event="member_removed", user_id="alice"))
    assert "team" not in mirror.conversations
    mirror.apply(stored("group_event", 3, event="member_added", user_id="alice"))
    assert mirror.conversation("team").stale


def test_a_conversation_is_named_as_its_user_names_it() -> None:
    mirror = Mirror("alice")
    assert mirror.key(stored("chat_message", 1, target="alice")) == "bob"
    assert mirror.key(stored("chat_message", 1, sender="alice", target="bob")) == "bob"
    assert mirror.key(stored("notification", 1, target="alice")) == SELF
    assert mirror.key(stored("notification", 1, target="*")) == EVERYBODY
