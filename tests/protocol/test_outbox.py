"""The outbox's contract: never blocks, never reorders what is stored, bounded, transient frames go first."""

from hypothesis import given
from hypothesis import strategies as st

from relay.protocol.outbox import Outbox

FRAME = st.binary(min_size=1, max_size=8)
PUSHES = st.lists(
    st.tuples(st.just("stream"), FRAME)
    | st.tuples(st.just("latest"), FRAME, st.integers(0, 2))
    | st.tuples(st.just("transient"), FRAME)
    | st.tuples(st.just("take"), st.integers(1, 20)),
    max_size=60,
)


@given(PUSHES, st.integers(0, 200), st.integers(0, 30))
def test_it_stays_within_bounds_and_in_order_or_says_that_it_overflowed(
    pushes: list[tuple], max_bytes: int, max_frames: int
) -> None:
    outbox = Outbox(max_bytes, max_frames)
    stored: list[bytes] = []
    taken = b""
    latest: dict[int, bytes] = {}
    for number, (kind, *rest) in enumerate(pushes):
        mark = b"<%d:" % number
        if kind == "take":
            taken += outbox.take(rest[0])
            continue
        frame = mark + rest[0].hex().encode() + b">"
        if kind == "stream":
            fine = outbox.push(frame)
            stored.append(frame)
        elif kind == "latest":
            fine = outbox.push_latest(frame, ("key", rest[1]))
            latest[rest[1]] = frame
        else:
            outbox.push_transient(frame)
            fine = True
        if not fine:
            return
        figures = outbox.statistics()
        assert not max_bytes or figures.bytes <= max_bytes
        assert not max_frames or figures.frames <= max_frames
    taken += outbox.take()
    assert outbox.statistics()[:2] == (0, 0)
    position = 0
    for frame in stored:
        position = taken.index(frame, position) + len(frame)
        assert taken.count(frame) == 1
    for frame in latest.values():
        assert taken.count(frame) == 1


def test_a_newer_value_replaces_one_that_waits() -> None:
    outbox = Outbox(0, 0)
    outbox.push_latest(b"old", ("k",))
    outbox.push(b"|stream|")
    outbox.push_latest(b"new", ("k",))
    assert outbox.take() == b"|stream|new"


def test_a_newer_value_does_not_reach_back_for_one_that_was_taken() -> None:
    outbox = Outbox(0, 0)
    outbox.push_latest(b"old", ("k",))
    assert outbox.take() == b"old"
    outbox.push_latest(b"new", ("k",))
    assert outbox.take() == b"new"


def test_transient_frames_are_given_up_first() -> None:
    outbox = Outbox(100, 0)
    outbox.push_transient(b"t" * 40)
    assert outbox.push(b"s" * 90)
    assert outbox.take() == b"s" * 90
    assert outbox.statistics().dropped == 1


def test_too_much_that_is_stored_is_an_overflow() -> None:
    outbox = Outbox(100, 0)
    assert outbox.push(b"s" * 100)
    assert not outbox.push(b"s")


def test_it_is_bounded_in_count_too() -> None:
    outbox = Outbox(0, 3)
    assert all(outbox.push(b"s") for _ in range(3))
    assert not outbox.push(b"s")


def test_what_is_given_out_in_parts_is_whole_frames_and_the_rest_waits() -> None:
    outbox = Outbox(0, 0)
    for frame in (b"one.", b"two.", b"three."):
        outbox.push(frame)
    assert outbox.take(5) == b"one.two."
    assert outbox.statistics()[:2] == (1, 6)


def test_a_value_that_was_given_out_is_not_taken_back_by_a_newer_one() -> None:
    outbox = Outbox(0, 0)
    outbox.push_latest(b"old", ("k",))
    outbox.push(b"|stream|")
    assert outbox.take(1) == b"old"
    outbox.push_latest(b"new", ("k",))
    assert outbox.statistics()[:2] == (2, 11)
    assert outbox.take() == b"|stream|new"


def test_transient_frames_leave_half_of_the_room_to_others() -> None:
    outbox = Outbox(100, 0)
    outbox.push_transient(b"t" * 50)
    outbox.push_transient(b"t")
    assert outbox.statistics() == (1, 50, 1)


def test_nothing_waits_once_it_is_cleared() -> None:
    outbox = Outbox(10, 0)
    outbox.push(b"s" * 10)
    outbox.clear()
    assert outbox.statistics()[:2] == (0, 0)
    assert outbox.push(b"s" * 10)
