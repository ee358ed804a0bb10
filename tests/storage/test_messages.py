"""Single messages by their ids."""

from __future__ import annotations

from relay.storage import messages
from tests.storage.books import fresh, latest_row, log_row


def test_messages_of_both_kinds_are_found_by_their_ids() -> None:
    connection = fresh()
    log_row(connection, 1, 1, 1)
    latest_row(connection, 2, 1, "reaction")
    found = messages.read_records(connection, [1, 2, 3])
    assert {message_id: record.seq for message_id, record in found.items()} == {1: 1, 2: None}
    assert [place.message_id for place in messages.locate(connection, [1, 2, 3])] == [1]


def test_a_message_is_found_in_its_own_conversation_only_and_while_it_stands() -> None:
    connection = fresh()
    log_row(connection, 1, 1, 1)
    assert messages.find_in_channel(connection, 2, 1) is None
    found = messages.find_in_channel(connection, 1, 1)
    assert found is not None
    assert found.seq == 1
    connection.execute("UPDATE log SET deleted_at = 5 WHERE message_id = 1")
    assert messages.find_in_channel(connection, 1, 1) is None


def test_a_rewritten_message_says_when() -> None:
    connection = fresh()
    log_row(connection, 1, 1, 1)
    messages.rewrite_message(connection, 1, '{"content":"new"}', 7.0)
    record = messages.read_records(connection, [1])[1]
    assert (record.payload, record.edited_at) == ('{"content":"new"}', 7.0)


def test_latest_values_are_found_by_what_they_are_about_and_by_whom_they_are_for() -> None:
    connection = fresh()
    for message_id, about, only_for in ((5, 1, None), (6, 1, "bob"), (7, None, None), (8, None, "bob")):
        latest_row(connection, message_id, 1, f"type{message_id}")
        connection.execute(
            "UPDATE latest SET about = ?, only_for = ? WHERE message_id = ?", (about, only_for, message_id)
        )
    assert [record.message_id for record in messages.about(connection, "alice", [1, 2])] == [5]
    assert [record.message_id for record in messages.about(connection, "bob", [1])] == [5, 6]
    assert [record.message_id for record in messages.standing(connection, "alice", 1)] == [7]
    assert [record.message_id for record in messages.standing(connection, "bob", 1)] == [7, 8]
