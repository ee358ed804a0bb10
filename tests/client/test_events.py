"""The values that an application reads from the client."""

from __future__ import annotations

import pytest

from relay.client import Ack, Event, Gap
from relay.client.events import decode, from_object
from relay.protocol import answers


def test_an_ack_is_the_protocols_and_holds_all_that_the_type_adds() -> None:
    payload = {"timestamp": 1.5, "duplicate": True, "message_id": 7, "seq": 3, "statuses": []}
    ack = Ack.from_payload(payload)
    assert isinstance(ack, answers.Ack)
    assert (ack.message_id, ack.seq, ack.replaces, ack.timestamp, ack.duplicate) == (7, 3, None, 1.5, True)
    assert ack.payload == payload


def test_an_ack_of_what_is_not_stored_has_no_place() -> None:
    ack = Ack.from_payload({"timestamp": 1.5, "duplicate": False})
    assert (ack.message_id, ack.seq) == (None, None)


@pytest.mark.parametrize("frame", ["[]", "{", '{"type":5}', '{"type":"t","payload":[]}', b"\x00\xff"])
def test_a_frame_that_is_not_an_envelope_is_none(frame: str | bytes) -> None:
    assert decode(frame) is None


def test_an_object_that_is_not_an_envelope_is_refused() -> None:
    with pytest.raises(ValueError, match="not an envelope"):
        from_object({"payload": {}})


def test_a_field_of_the_wrong_type_reads_as_none() -> None:
    event = Event("chat_message", {}, {"message_id": "7", "seq": True, "sender_id": 5, "timestamp": "now"})
    assert (event.message_id, event.seq, event.sender_id, event.timestamp) == (None, None, None, None)


def test_only_synced_has_gaps_and_a_cursor_of_its_own() -> None:
    gap = {"kind": "group", "target_id": "team", "from_seq": 2, "to_seq": 9}
    synced = Event("connection_event", {"event": "synced", "cursor": 12, "gaps": [gap]})
    assert (synced.cursor, synced.gaps) == (12, (Gap("group", "team", 2, 9),))
    assert Event("chat_message", {"gaps": [gap]}, {"message_id": 5}).gaps == ()
    assert Event("chat_message", {}, {"message_id": 5}).cursor == 5
