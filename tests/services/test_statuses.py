"""Statuses as they are sent."""

from __future__ import annotations

from relay.services.statuses import Status


def test_rest_names_every_field_and_a_frame_only_what_there_is() -> None:
    seen = Status("offline", last_seen=5.0)
    assert seen.fields("alice") == {
        "user_id": "alice", "status": "offline", "text": None, "until": None, "last_seen": 5.0,
    }  # fmt: skip
    assert b'"payload":{"status":"offline","last_seen":5.0}' in seen.frame("alice", 1_700_000_000.0)
