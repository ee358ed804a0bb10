"""Messages as clients are sent them."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.services.envelopes import ack_payload, encode_entry, envelope
from relay.storage.history import Record
from tests.storage.books import message

RECORD = Record(
    7, 3, "chat_message", "alice", "bob", "phone", "m1", '{"content":"hi"}', 10.0, 9.0, None, None, None, None
)


def as_sent(record: Record, **options: Any) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(envelope(record, **options)))
    return sent


def test_a_stored_message_is_the_envelope_it_was() -> None:
    assert as_sent(RECORD) == {
        "type": "chat_message",
        "payload": {"content": "hi"},
        "meta": {
            "message_id": 7, "seq": 3, "id": "m1", "sender_id": "alice", "target_id": "bob", "client_id": "phone",
            "timestamp": 10.0, "sent_at": 9.0,
        },
    }  # fmt: skip
    assert as_sent(RECORD, replay=True)["meta"]["replay"] is True


def test_a_deleted_message_keeps_its_place_without_its_payload() -> None:
    sent = as_sent(RECORD._replace(deleted_at=12.0))
    assert (sent["payload"], sent["meta"]["deleted_at"], sent["meta"]["seq"]) == ({}, 12.0, 3)


def test_an_edited_message_says_when() -> None:
    assert as_sent(RECORD._replace(edited_at=11.0))["meta"]["edited_at"] == 11.0


def test_a_message_is_the_same_live_and_from_the_log() -> None:
    entry = message(sender="alice", own_id="m1")
    entry.message_id, entry.seq, entry.timestamp = 7, 3, 10.0
    stored = Record(
        7, 3, "chat_message", "alice", "bob", None, "m1", entry.payload, 10.0, None, None, None, None, None
    )
    assert msgspec.json.decode(encode_entry(entry)) == as_sent(stored)


VOTE = Record(
    9, None, "poll_vote", "alice", "team", None, None, '{"poll":7}', 10.0, None, None, None, None, None,
    about=7, key="7",
)  # fmt: skip


def test_a_latest_value_tells_what_it_is_about_and_its_key_where_that_says_more() -> None:
    assert as_sent(VOTE)["meta"] == {
        "message_id": 9, "sender_id": "alice", "target_id": "team", "timestamp": 10.0, "about": 7,
    }  # fmt: skip
    assert as_sent(VOTE._replace(key="7 soup"))["meta"]["key"] == "7 soup"
    # An edit is about a message, too, and a stream message; the payload of a reaction says both.
    assert "about" not in as_sent(VOTE._replace(seq=4))["meta"]
    assert "about" not in as_sent(VOTE._replace(type="reaction", key="7 \N{THUMBS UP SIGN}"))["meta"]


def test_an_ack_tells_the_same_as_its_sender_gets_no_other_copy() -> None:
    entry = message(sender="alice", own_id="m1")
    entry.about, entry.key, entry.message_id = 7, "7 soup", 9
    assert {name: ack_payload(entry).get(name) for name in ("about", "key")} == {"about": 7, "key": "7 soup"}
    entry.message_id = None
    assert "about" not in ack_payload(entry)
