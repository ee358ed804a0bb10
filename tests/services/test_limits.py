"""Token buckets on a clock that the test moves."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.limits import Pace, Rates, Slots, TokenBuckets, network_of
from relay.settings.limits import LimitsSettings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate_to_the_fraction_of_a_second() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 3, "messages", clock)
    assert [buckets.wait_for("alice") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert buckets.wait_for("alice") == 0.25
    clock.now += 0.25
    assert [buckets.wait_for("alice") for _ in range(2)] == [0, 0.5]


def test_waiting_as_long_as_was_said_is_long_enough() -> None:
    clock = Clock()
    buckets = TokenBuckets(4, 1, "messages", clock)
    for _ in range(1000):
        if wait := buckets.wait_for("alice"):
            clock.now += wait
            assert buckets.wait_for("alice") < 1e-6


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    buckets = TokenBuckets(10, 3, "messages", clock)
    buckets.take("alice")
    clock.now += 1_000_000
    assert [bool(buckets.wait_for("alice")) for _ in range(4)] == [False, False, False, True]


def test_keys_are_apart_and_a_refusal_says_when() -> None:
    buckets = TokenBuckets(0.1, 1, "hellos", Clock())
    buckets.take("alice")
    buckets.take("bob")
    with pytest.raises(RelayError, match=r"too many hellos; try again in 10\.0 s") as refused:
        buckets.take("alice")
    assert (refused.value.code, refused.value.retry, refused.value.retry_after) == (
        ErrorCode.RATE_LIMITED,
        True,
        10,
    )


def test_no_rate_is_no_limit_and_a_burst_is_at_least_one() -> None:
    unlimited = TokenBuckets(0, 0, "messages", Clock())
    assert not any(unlimited.wait_for("alice") for _ in range(10_000))
    assert TokenBuckets(1, 0, "messages", Clock()).wait_for("alice") == 0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=80), st.integers(1, 5), st.sampled_from([0.5, 1, 4]))
def test_no_one_ever_gets_more_than_the_burst_and_the_rate(pauses: list[float], burst: int, rate: float) -> None:
    clock = Clock()
    buckets = TokenBuckets(rate, burst, "messages", clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.wait_for("alice") == 0
        assert taken <= burst + (clock.now - 100.0) * rate + 1e-6


def test_what_is_borrowed_is_waited_for_until_it_is_paid_back() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 1, "events", clock)
    assert [buckets.borrow("alice") for _ in range(3)] == [0.0, 0.5, 1.0]
    clock.now += 1.0
    assert buckets.borrow("alice") == 0.5


def test_what_is_full_again_is_forgotten_and_what_is_not_is_kept() -> None:
    clock = Clock()
    buckets = TokenBuckets(1, 2, "messages", clock)
    for number in range(10_000):
        buckets.take(f"u{number}")
    clock.now += 0.5
    buckets.take("late")
    buckets.take("late")
    clock.now += 0.9
    buckets.take("one more")
    assert len(buckets._buckets) == 2
    assert buckets.wait_for("late") == pytest.approx(0.1)


class Someone(NamedTuple):
    """A sender, as far as the limits count."""

    user_id: str
    client_id: str | None = "phone"
    address: str = "192.0.2.1"


def refused(rates: Rates, sender: Someone, *, transient: bool = False) -> RelayError | None:
    try:
        rates.take_message(sender, transient=transient)
    except RelayError as error:
        return error
    return None


def counted(rates: Rates, sender: Someone, **more: bool) -> int:
    """Return how many messages pass at once."""
    return next(number for number in range(1000) if refused(rates, sender, **more))


def test_messages_are_counted_by_user_by_connection_and_by_address() -> None:
    limits = LimitsSettings(
        messages_per_second=5, messages_burst=100, connection_messages_per_second=3, address_messages_per_second=4
    )
    rates = Rates(limits, Clock())
    assert counted(rates, Someone("alice")) == 30
    assert counted(rates, Someone("alice", "laptop", "192.0.2.2")) == 30
    assert counted(rates, Someone("bob")) == 10  # what alice left of the address' forty
    error = refused(rates, Someone("bob", "laptop"))
    assert error is not None
    assert "from this address" in error.message
    assert 0 < (error.retry_after or 0) <= 0.25


@pytest.mark.parametrize("name", ["connection", "address"])
def test_one_of_the_narrower_limits_holds_by_itself(name: str) -> None:
    limits = LimitsSettings(messages_per_second=0, **{f"{name}_messages_per_second": 2})
    assert counted(Rates(limits, Clock()), Someone("alice")) == 20


def test_without_the_narrower_limits_only_the_user_counts() -> None:
    rates = Rates(LimitsSettings(messages_per_second=5, messages_burst=7), Clock())
    assert counted(rates, Someone("alice")) == 7
    assert counted(rates, Someone("alice", "laptop", "192.0.2.2")) == 0


def test_transient_messages_are_counted_apart() -> None:
    rates = Rates(LimitsSettings(messages_burst=2, typing_per_second=1), Clock())
    assert counted(rates, Someone("alice"), transient=True) == 10
    assert counted(rates, Someone("alice")) == 2
    unlimited = Rates(LimitsSettings(typing_per_second=0), Clock())
    assert [refused(unlimited, Someone("alice"), transient=True) for _ in range(99)] == [None] * 99


def test_what_costs_more_takes_more_and_a_bucketful_at_most() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 10, "messages", clock)
    assert buckets.wait_for("alice", 9) == 0
    assert buckets.wait_for("alice", 5) == 2
    clock.now += 2
    assert buckets.wait_for("alice", 5) == 0
    clock.now += 5
    assert buckets.wait_for("alice", 1_000_000) == 0


def test_a_pace_refuses_nothing_and_says_how_long_to_wait() -> None:
    clock = Clock()
    pace = Pace(100, 1000, clock)
    assert pace.wait_for("alice", 1000) == 0
    assert pace.wait_for("alice", 300) == 3
    assert pace.wait_for("bob", 500) == 0
    clock.now += 2
    assert pace.wait_for("alice", 0) == 1
    clock.now += 1000
    assert pace.wait_for("alice", 1000) == 0
    assert Pace(0, 0, clock).wait_for("alice", 1 << 40) == 0


def test_debts_that_are_paid_are_forgotten() -> None:
    clock = Clock()
    pace = Pace(100, 1000, clock)
    pace.wait_for("owes", 1_000_000)
    for number in range(20_000):
        pace.wait_for(f"u{number}", 1)
        clock.now += 0.01
    assert len(pace._debts) < 11_000
    assert pace.wait_for("owes", 0) > 1000


async def test_slots_are_so_many_for_each_and_the_next_waits_its_turn() -> None:
    slots, order = Slots(2), []

    async def work(key: str, number: int) -> None:
        await slots.take(key)
        order.append((key, number, trio.current_time() - begun))
        await trio.sleep(1)
        slots.give_back(key)

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(work, "alice", number)
        nursery.start_soon(work, "bob", 0)
        await trio.sleep(0.5)
        with trio.move_on_after(0.2):
            await slots.take("alice")
            raise AssertionError("there is no third")
    times = sorted(round(time) for key, _, time in order if key == "alice")
    assert times == [0, 0, 1, 1, 2]
    assert [round(time) for key, _, time in order if key == "bob"] == [0]
    assert slots._taken == slots._waiting == {}


async def test_slots_may_become_more_while_somebody_waits() -> None:
    slots = Slots(1)
    await slots.take("alice")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slots.take, "alice")
        nursery.start_soon(slots.take, "alice")
        await trio.testing.wait_all_tasks_blocked()
        slots.change(2)
        await trio.testing.wait_all_tasks_blocked()
        assert slots._taken == {"alice": 2}
        slots.change(0)
    assert slots._taken == {"alice": 3}
    for _ in range(3):
        slots.give_back("alice")
    assert slots._taken == slots._waiting == {}


def test_other_rates_hold_at_once_and_what_was_taken_stays_taken() -> None:
    clock = Clock()
    rates = Rates(LimitsSettings(messages_burst=5, messages_per_second=1), clock)
    for _ in range(5):
        rates.messages.take("alice")
    rates.change(LimitsSettings(messages_burst=50, messages_per_second=10))
    assert rates.messages.wait_for("alice") == pytest.approx(0.1)
    assert rates.messages.wait_for("bob", 50) == 0
    rates.change(LimitsSettings(messages_burst=0))
    assert rates.messages.wait_for("alice") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("local", "local"),
        ("", ""),
    ],
)
def test_an_ipv6_host_counts_by_the_network_it_has_to_itself(address: str, network: str):
    assert network_of(address) == network


def test_what_was_taken_for_nothing_is_given_back_and_never_more():
    buckets = TokenBuckets(1, 2, "tries", lambda: 0.0)
    for _ in range(3):
        buckets.take("a")
        buckets.give_back("a")
    buckets.give_back("a")
    buckets.give_back("nobody")
    assert [buckets.wait_for("a") > 0 for _ in range(3)] == [False, False, True]
