"""The client's outbox by itself: how many messages are on the wire, and what becomes of each answer."""

from __future__ import annotations

import pytest
import trio

from relay.client.errors import RelayClosed, RelayError
from relay.client.events import Ack
from relay.client.outbox import Outbox
from relay.protocol.errors import CloseCode, ErrorCode

pytestmark = pytest.mark.usefixtures("autojump_clock")


def outbox(in_flight: int = 2, *, durable: bool = False) -> Outbox:
    return Outbox(
        capacity=100, in_flight=in_flight, durable=durable, delay=lambda _refusals: 1.0, on_unsaved=lambda: None
    )


def add(box: Outbox, *ids: str, keep: bool = True) -> None:
    for id in ids:
        box.add(id, '{"type":"chat_message"}', "bob", keep=keep)


async def sent(box: Outbox, seconds: float = 10) -> list[str]:
    """Return what goes to the wire within some seconds."""
    found: list[str] = []
    with trio.move_on_after(seconds):
        while True:
            found.append((await box.next_to_send()).id)
    return found


def refused(code: ErrorCode) -> RelayError:
    return RelayError(code, "later", retry=True, retry_after=1.0)


ACK = Ack.from_payload({"message_id": 1, "seq": 1, "timestamp": 1.0})


async def test_over_a_new_connection_as_many_messages_are_sent_as_over_the_first() -> None:
    box = outbox()
    add(box, "a", "b", "c")
    assert await sent(box) == ["a", "b"]
    box.begin()
    assert await sent(box) == ["a", "b"]
    box.acked("a", ACK)
    assert await sent(box) == ["c"]


async def test_as_long_as_the_server_is_busy_a_message_is_tried() -> None:
    box = outbox()
    add(box, "a")
    for _ in range(9):
        assert await sent(box) == ["a"]
        box.refused("a", refused(ErrorCode.OVERLOADED))
    assert box.get("a") is not None


async def test_a_message_that_is_not_kept_is_not_tried_again() -> None:
    box = outbox()
    add(box, "a", keep=False)
    assert await sent(box) == ["a"]
    box.refused("a", refused(ErrorCode.OVERLOADED))
    assert (box.get("a"), await sent(box)) == (None, [])


async def test_a_message_that_is_answered_while_it_is_written_is_taken_out_of_the_file_again() -> None:
    box = outbox(durable=True)
    add(box, "a")
    added, removed = box.unwritten()
    assert ([message.id for message in added], removed) == (["a"], [])
    box.acked("a", ACK)
    box.written(added, removed)
    assert box.unwritten() == ([], [added[0].number])
    box.written([], [added[0].number])
    assert box.unwritten() == ([], [])


async def test_who_waits_for_all_answers_is_told_that_the_client_was_closed() -> None:
    box = outbox()
    add(box, "a")
    with trio.fail_after(5):
        box.close(RelayClosed(CloseCode.NORMAL, "over"))
        with pytest.raises(RelayClosed):
            await box.wait_empty()
