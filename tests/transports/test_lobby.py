"""The lobby: who of the strangers goes where there are too many, and who never does."""

from __future__ import annotations

import logging
import socket

import pytest
import trio

from relay.services.limits import network_of
from relay.transports.lobby import Guest, Lobby, ThrottledLog

_log = logging.getLogger("test.lobby")


def lobby(per_address: int = 0, room: int = 0, exempt: str = "") -> Lobby:
    return Lobby(per_address, room, lambda address: address == exempt, ThrottledLog(_log))


def entered(hall: Lobby, address: str = "192.0.2.1") -> Guest:
    guest = hall.enter(address)
    assert guest is not None
    return guest


async def test_over_the_limit_of_an_address_the_one_that_waited_longest_goes() -> None:
    hall = lobby(per_address=2)
    first, second, elsewhere = entered(hall), entered(hall), entered(hall, "192.0.2.2")
    await trio.sleep(5)
    third = entered(hall)
    assert [one.scope.cancel_called for one in (first, second, third, elsewhere)] == [True, False, False, False]


async def test_who_came_within_five_seconds_is_never_sent_away_and_all_too_many_go_after_it() -> None:
    hall = lobby(per_address=2)
    crowd = [entered(hall) for _ in range(10)]
    assert not any(one.scope.cancel_called for one in crowd)
    await trio.sleep(5)
    entered(hall)
    assert [one.scope.cancel_called for one in crowd] == [True] * 9 + [False]


async def test_whose_request_is_being_answered_or_who_is_known_stays() -> None:
    hall = lobby(per_address=2)
    busy, known, idle = entered(hall), entered(hall), entered(hall)
    busy.waiting = lambda: False
    hall.known(known)
    await trio.sleep(5)
    entered(hall)
    assert [one.scope.cancel_called for one in (busy, known, idle)] == [False, False, True]
    for one in (busy, known, idle):
        hall.leave(one)


async def test_a_proxys_address_is_not_counted() -> None:
    hall = lobby(per_address=1, exempt="192.0.2.1")
    guests = [entered(hall) for _ in range(5)]
    await trio.sleep(5)
    guests.append(entered(hall))
    assert not any(one.scope.cancel_called for one in guests)


async def test_without_room_one_goes_from_where_most_are_and_else_the_new_one_is_refused() -> None:
    hall = lobby(room=3)
    lone, crowd = entered(hall, "192.0.2.9"), [entered(hall) for _ in range(2)]
    assert hall.enter("192.0.2.5") is None
    await trio.sleep(1)
    new = entered(hall, "192.0.2.5")
    assert [one.scope.cancel_called for one in (lone, *crowd, new)] == [False, True, False, False]


async def test_the_last_places_are_kept_for_requests() -> None:
    hall = lobby(room=80)
    assert hall.may_upgrade(69)
    assert not hall.may_upgrade(70)
    silent = entered(hall)
    silent.upgraded = True
    await trio.sleep(1)
    assert hall.may_upgrade(70)
    assert silent.scope.cancel_called


async def test_places_are_given_back_once() -> None:
    hall = lobby(room=1)
    for _ in range(3):
        guest = entered(hall)
        hall.known(guest)
        hall.leave(guest)
        hall.leave(guest)
    assert hall.enter("192.0.2.1") is not None
    assert hall.enter("192.0.2.1") is None


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("memory", "memory"),
    ],
)
def test_what_counts_as_one_address(address: str, home: str) -> None:
    assert network_of(address) == home


async def test_the_same_warning_is_logged_once_a_minute_with_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ThrottledLog(_log)
    for _ in range(100):
        log.warn("a", "it happened")
    log.warn("b", "something else")
    await trio.sleep(60)
    log.warn("a", "it happened")
    assert caplog.messages == ["it happened", "something else", "it happened (99 more like this before)"]


async def test_no_more_than_a_thousand_kinds_of_warning_are_remembered_or_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ThrottledLog(_log)
    for number in range(1500):
        log.warn(f"origin {number}", "refused")
    assert len(caplog.messages) == len(log._said) == 1000
    await trio.sleep(61)
    log.warn("one more", "refused")
    assert len(log._said) == 1


async def test_who_was_refused_is_the_first_to_go_at_once() -> None:
    hall = lobby(room=3)
    first, refused, last = entered(hall), entered(hall), entered(hall)
    hall.dismiss(refused)
    entered(hall)
    assert [one.scope.cancel_called for one in (first, refused, last)] == [False, True, False]


async def test_who_was_refused_goes_before_those_who_have_waited_longer() -> None:
    hall = lobby(per_address=3)
    longest, refused, other = entered(hall), entered(hall), entered(hall)
    await trio.sleep(10)
    hall.dismiss(refused)
    entered(hall)
    assert [one.scope.cancel_called for one in (longest, refused, other)] == [False, True, False]


class Unread:
    """A connection without a descriptor."""

    def __init__(self, unread: bool) -> None:
        self.unread = unread

    def has_unread(self) -> bool:
        return self.unread


async def test_whose_bytes_came_by_no_descriptor_and_were_not_read_yet_stays() -> None:
    hall = lobby(per_address=2)
    source = Unread(True)
    said = hall.enter("192.0.2.1", source)
    silent = entered(hall)
    assert said is not None
    await trio.sleep(5)
    entered(hall)
    assert [one.scope.cancel_called for one in (said, silent)] == [False, True]
    source.unread = False
    entered(hall)
    assert said.scope.cancel_called


async def test_whose_bytes_were_not_read_yet_stays() -> None:
    hall = lobby(per_address=2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        said = hall.enter("192.0.2.1", theirs.fileno())
        silent = entered(hall)
        assert said is not None
        ours.send(b"GET")
        await trio.sleep(5)
        entered(hall)
        assert [one.scope.cancel_called for one in (said, silent)] == [False, True]
        theirs.recv(3)
        await trio.sleep(5)
        entered(hall)
        assert said.scope.cancel_called


async def test_what_another_node_passes_on_takes_no_place_of_the_limit_on_files() -> None:
    class Lane:
        def has_unread(self) -> bool:
            return False

    hall = lobby(room=1)
    passed_on = [hall.enter("10.0.0.1", Lane()) for _ in range(5)]
    assert all(guest is not None and not guest.has_file for guest in passed_on)
    own = hall.enter("10.0.0.2", 7)
    assert own is not None
    for guest in (*passed_on, own):
        assert guest is not None
        hall.leave(guest)
    assert hall.enter("10.0.0.2", 7) is not None
