"""A room of the comparison notices what is lost, doubled or out of order, and keeps as much in flight as it was told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.frames import MismatchError
from benchmarks.peers.peer import Link
from benchmarks.peers.rooms import Room


class Spoken(Link):
    """A link that goes nowhere, and keeps what is said on it."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def open(self, port: int) -> None: ...

    def sign_in(self) -> None: ...

    def is_ready(self) -> bool:
        return True

    def say(self, names: Sequence[bytes]) -> None:
        self.said += names


def begun(echoes: bool) -> tuple[Room, list[Spoken]]:
    links = [Spoken() for _ in range(3)]
    room = Room(links, 1, echoes)
    room.start(2)
    return room, links


def test_a_message_is_over_when_it_is_acked_and_has_come_back() -> None:
    room, links = begun(echoes=True)
    names = list(links[0].said)
    assert names == [b"000-00000000", b"000-00000001"]
    links[0].acked(2, 1.0)
    assert len(links[0].said) == 2
    for link in links:
        link.delivered(names, 1.0)
    assert len(links[0].said) == 4
    assert not room.settled()
    room.refilling = False
    links[0].acked(2, 2.0)
    for link in links:
        link.delivered(links[0].said[2:], 2.0)
    assert room.settled()
    assert (len(room.acks), len(room.deliveries)) == (4, 12)


def test_where_writers_get_nothing_back_the_ack_is_enough() -> None:
    room, links = begun(echoes=False)
    links[0].acked(1, 1.0)
    assert len(links[0].said) == 3
    room.refilling = False
    links[0].acked(2, 2.0)
    for link in links[1:]:
        link.delivered(links[0].said, 2.0)
    assert room.settled()


@pytest.mark.parametrize(
    "names",
    [
        [b"000-00000001"],
        [b"000-00000000", b"000-00000000"],
        [b"000-00000000", b"000-00000001", b"000-00000002"],
        [b"001-00000000"],
    ],
    ids=["a hole", "doubled", "never sent", "of nobody"],
)
def test_what_is_not_due_is_noticed(names: list[bytes]) -> None:
    _, links = begun(echoes=True)
    with pytest.raises(MismatchError, match="came to member 1"):
        links[1].delivered(names, 1.0)


def test_the_same_list_holds_only_for_who_stands_at_the_same_place() -> None:
    _, links = begun(echoes=True)
    names = [b"000-00000000"]
    links[1].delivered(names, 1.0)
    links[2].delivered(names, 1.0)
    with pytest.raises(MismatchError):
        links[2].delivered(names, 1.0)


def test_an_ack_of_nothing_is_noticed() -> None:
    _, links = begun(echoes=True)
    with pytest.raises(MismatchError, match="more acks"):
        links[0].acked(3, 1.0)
    with pytest.raises(MismatchError, match="had said nothing"):
        links[1].acked(1, 1.0)
