"""Own ids across both tables, however many come at once."""

from __future__ import annotations

import pytest

from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import Kind
from relay.storage.idempotency import find_duplicate, settle, taken_by_latest
from relay.storage.log import Log
from relay.storage.tombstones import erase_messages
from tests.storage.books import fresh, message


@pytest.mark.parametrize("kind", [Kind.STREAM, Kind.LATEST])
def test_a_copy_gets_the_answer_of_the_first_of_either_kind(kind: Kind) -> None:
    connection = fresh()
    first = message(own_id="1", kind=kind)
    Log().append(connection, [first], 5.0)
    copy = message(own_id="1", kind=kind)
    assert find_duplicate(connection, copy)
    assert (copy.message_id, copy.seq, copy.timestamp, copy.duplicate) == (1, first.seq, 5.0, True)
    for stranger in (message(own_id="2"), message(own_id=None), message(sender="bob", own_id="1")):
        assert not find_duplicate(connection, stranger)


def test_other_content_is_a_conflict_and_names_the_id() -> None:
    entry = message(own_id="mine")
    entry.message_id, entry.seq = 1, 1
    settle(entry, b"other")
    assert entry.error is not None
    assert entry.error.code is ErrorCode.CONFLICT
    assert "'mine'" in entry.error.message
    assert (entry.message_id, entry.seq, entry.duplicate) == (None, None, False)


def test_a_retry_of_a_message_that_was_erased_meanwhile_is_a_duplicate_whatever_it_says() -> None:
    connection = fresh()
    Log().append(connection, [message(own_id="1")], 5.0)
    erase_messages(connection, [1], 6.0)
    copy = message(own_id="1", content="as far as anybody knows")
    assert find_duplicate(connection, copy)
    assert (copy.message_id, copy.duplicate, copy.error) == (1, True, None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 600])
def test_one_id_among_any_number_is_found(count: int) -> None:
    connection = fresh()
    Log().append(connection, [message(own_id="taken", kind=Kind.LATEST)], 1.0)
    others = [message(own_id=f"{number}") for number in range(count)] + [message()]
    assert not taken_by_latest(connection, others)
    assert taken_by_latest(connection, [*others, message(own_id="taken")])
    assert taken_by_latest(connection, [message(own_id="taken"), *others])
    assert not taken_by_latest(connection, [*others, message(sender="bob", own_id="taken")])
