"""What an inbox gives once, and how far its cursor goes: on events as the connection hands them over."""

from __future__ import annotations

import pytest

from relay.client.events import Event, from_object
from relay.client.inbox import Inbox


def inbox(cursor: int | None = 0, *taken: int, most: int = 100) -> Inbox:
    return Inbox(cursor=cursor, taken=taken, max_events=most, max_bytes=10_000)


def text(id: int) -> Event:
    meta = {"message_id": id, "seq": id, "sender_id": "bob", "target_id": "alice"}
    return from_object({"type": "chat_message", "payload": {"content": f"{id}"}, "meta": meta})


def ready(*, resumed: bool) -> Event:
    return from_object({"type": "connection_event", "payload": {"event": "ready", "resumed": resumed}, "meta": {}})


def offer(box: Inbox, *ids: int, live: bool = True) -> None:
    for id in ids:
        box.offer(text(id), size=100, position=id if live else None)


def take(box: Inbox, count: int = 100) -> list[int | None]:
    """Take events, and return their ids."""
    events = [event for event in (box.take() for _ in range(count)) if event is not None]
    return [event.message_id for event in events]


def test_what_an_earlier_process_has_given_is_not_given_again() -> None:
    box = inbox(3, 5)
    offer(box, 2, 3, 4, 5, 6, live=False)
    assert take(box) == [4, 6]


def test_the_cursor_passes_nothing_that_is_not_processed() -> None:
    box = inbox()
    offer(box, 1, 2, 3)
    take(box, 2)
    assert box.cursor == 0
    box.processed(upto=1)
    assert box.cursor == 1, "an acknowledgement of one reaches no further"
    box.processed()
    assert box.cursor == 2
    box.mark(9)
    assert box.cursor == 2, "one waits still"
    take(box)
    box.mark(10)
    assert box.cursor == 2, "and one is given out, and not processed"
    box.processed()
    assert box.cursor == 10


def test_what_needs_no_processing_does_not_take_the_cursor_past_what_does() -> None:
    box = inbox()
    offer(box, 1)
    box.announce(ready(resumed=True), size=10)
    box.mark(5)
    assert take(box) == [1, None]
    assert box.cursor == 0
    box.processed()
    assert box.cursor == 5


def test_a_late_position_moves_nothing_back() -> None:
    box = inbox()
    box.mark(5)
    box.mark(4)
    assert box.cursor == 5


def test_what_is_processed_ahead_of_the_cursor_is_to_be_written_until_the_cursor_passes_it() -> None:
    box = inbox()
    offer(box, 3, 1, live=False)
    take(box)
    box.processed()
    assert box.unwritten() == [3, 1]
    box.mark(1)
    assert box.unwritten() == [3]
    box.written([3])
    assert box.unwritten() == []


def test_of_another_log_nothing_is_known_and_what_waits_from_the_old_one_moves_nothing() -> None:
    box = inbox(0, 9)
    offer(box, 7, live=False)
    offer(box, 8)
    take(box, 1)
    box.restart()
    assert (box.cursor, box.unwritten()) == (None, [])
    assert take(box) == [8]
    box.processed()
    assert (box.cursor, box.unwritten()) == (None, []), "their ids mean other messages now"
    offer(box, 7, 8, 9)
    assert take(box) == [7, 8, 9]


def test_events_over_the_bound_are_dropped_with_all_behind_them_until_the_next_connection() -> None:
    box = inbox(most=2)
    offer(box, 1, 2, 3)
    take(box)
    box.processed()
    offer(box, 4)
    box.mark(5)
    assert (take(box), box.cursor, box.caught_up) == ([], 2, True)
    box.begin()
    offer(box, 3, 4)
    assert take(box) == [3, 4]


def test_room_comes_back_with_what_is_processed() -> None:
    box = inbox()
    offer(box, 1)
    for id in range(2, 302):  # three times what fits by its bytes, and one waits at each moment
        offer(box, id)
        assert take(box, 1) == [id - 1]
        box.processed()
    assert (box.cursor, box.overflowed) == (300, False)


@pytest.mark.parametrize("first", [True, False])
def test_one_of_two_answers_to_a_hello_is_given_and_it_is_the_one_that_tells_of_a_reset(first: bool) -> None:
    box = inbox()
    for resumed in (first, True):
        box.announce(ready(resumed=resumed), size=10)
    given = box.take()
    assert given is not None
    assert given.payload["resumed"] is first
    assert len(box) == 0
