"""The heartbeat supervisor, to the exact moment on virtual time."""

from __future__ import annotations

import pytest
import trio

from relay.protocol.errors import CloseCode, Disconnect
from relay.services.heartbeat import HeartbeatSupervisor

INTERVAL = 25.0


class Patient:
    """A session, its socket and the times of its stream in one."""

    def __init__(self) -> None:
        self.last_inbound = self.last_outbound = trio.current_time()
        self.closed = trio.Event()
        self.beats: list[float] = []
        self.ends: list[tuple[float, CloseCode]] = []
        self.answers = False
        self.fault: Disconnect | None = None
        self.until = float("inf")

    @property
    def socket(self) -> Patient:
        return self

    @property
    def peer(self) -> Patient:
        return self

    def beat(self) -> None:
        self.beats.append(trio.current_time())
        self.last_outbound = trio.current_time()
        if self.answers:
            self.last_inbound = trio.current_time()

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault
        if trio.current_time() >= self.until:
            raise Disconnect(CloseCode.BAD_TOKEN)

    def ends_at(self) -> float:
        return self.until

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        self.ends.append((trio.current_time(), code))
        self.closed.set()


@pytest.fixture
async def supervisor(nursery: trio.Nursery) -> HeartbeatSupervisor:
    supervisor = HeartbeatSupervisor(INTERVAL)
    nursery.start_soon(supervisor.run)
    await trio.testing.wait_all_tasks_blocked()
    return supervisor


def watch(supervisor: HeartbeatSupervisor) -> Patient:
    patient = Patient()
    supervisor.watch(patient)
    return patient


async def test_silence_is_asked_after_one_interval_and_ended_after_two(supervisor: HeartbeatSupervisor) -> None:
    began = trio.current_time()
    patient = watch(supervisor)
    await trio.sleep(10 * INTERVAL)
    assert patient.beats == [began + INTERVAL]
    assert patient.ends == [(began + 2 * INTERVAL, CloseCode.HEARTBEAT_LOST)]


async def test_one_that_answers_is_asked_every_interval_and_never_ended(supervisor: HeartbeatSupervisor) -> None:
    began = trio.current_time()
    patient = watch(supervisor)
    patient.answers = True
    await trio.sleep(100.5 * INTERVAL)
    assert patient.beats == [began + INTERVAL * number for number in range(1, 101)]
    assert patient.ends == []


async def test_a_sign_of_life_moves_the_end_by_exactly_as_much(supervisor: HeartbeatSupervisor) -> None:
    began = trio.current_time()
    patient = watch(supervisor)
    await trio.sleep(40)
    patient.last_inbound = trio.current_time()
    await trio.sleep(10 * INTERVAL)
    assert patient.ends == [(began + 40 + 2 * INTERVAL, CloseCode.HEARTBEAT_LOST)]


async def test_one_that_is_busy_both_ways_is_left_alone(supervisor: HeartbeatSupervisor) -> None:
    patient = watch(supervisor)
    for _ in range(100):
        await trio.sleep(INTERVAL / 2)
        patient.last_inbound = patient.last_outbound = trio.current_time()
    assert patient.beats == patient.ends == []


async def test_one_that_only_speaks_gets_its_heartbeats_all_the_same(supervisor: HeartbeatSupervisor) -> None:
    patient = watch(supervisor)
    for _ in range(100):
        await trio.sleep(INTERVAL / 2)
        patient.last_inbound = trio.current_time()
    assert len(patient.beats) in (48, 49, 50)
    assert patient.ends == []


async def test_what_a_session_finds_wrong_ends_it_with_its_own_code(supervisor: HeartbeatSupervisor) -> None:
    patient = watch(supervisor)
    patient.fault = Disconnect(CloseCode.BAD_TOKEN)
    await trio.sleep(1.5 * INTERVAL)
    assert [code for _, code in patient.ends] == [CloseCode.BAD_TOKEN]
    assert patient.beats == []


async def test_connections_that_came_at_different_times_are_looked_at_in_their_order(
    supervisor: HeartbeatSupervisor,
) -> None:
    began = trio.current_time()
    patients = []
    for _ in range(20):
        patients.append(watch(supervisor))
        await trio.sleep(3)
    await trio.sleep(2 * INTERVAL)
    assert [patient.beats for patient in patients] == [[began + 3 * number + INTERVAL] for number in range(20)]


async def test_one_that_is_closed_is_dropped_and_never_touched_again(supervisor: HeartbeatSupervisor) -> None:
    patient, other = watch(supervisor), watch(supervisor)
    other.answers = True
    patient.closed.set()
    await trio.sleep(1.5 * INTERVAL)
    assert patient.beats == patient.ends == []
    assert len(supervisor._due) == 1


async def test_two_thousand_connections_cost_a_look_each_and_no_more(supervisor: HeartbeatSupervisor) -> None:
    began = trio.current_time()
    patients = []
    for number in range(2000):
        patients.append(watch(supervisor))
        patients[-1].answers = number % 2 == 0
        if number % 100 == 99:
            await trio.sleep(0.5)
    await trio.sleep(2 * INTERVAL - 9.5)
    assert {len(patient.beats) for patient in patients[:100:2]} == {2}
    await trio.sleep(INTERVAL)
    for number, patient in enumerate(patients):
        came = began + 0.5 * (number // 100)
        if number % 2:
            assert patient.ends == [(came + 2 * INTERVAL, CloseCode.HEARTBEAT_LOST)]
        else:
            assert patient.ends == []
    await trio.sleep(INTERVAL)
    assert len(supervisor._due) == 1000


async def test_a_supervisor_with_nobody_to_watch_sleeps() -> None:
    supervisor = HeartbeatSupervisor(INTERVAL)
    with trio.move_on_after(1e9):
        await supervisor.run()
    assert trio.current_time() >= 1e9


@pytest.mark.parametrize("seconds", [1.0, INTERVAL, 2.5 * INTERVAL, 10 * INTERVAL])
async def test_what_must_end_at_a_moment_ends_then(supervisor: HeartbeatSupervisor, seconds: float) -> None:
    patient = watch(supervisor)
    patient.answers = True
    patient.until = trio.current_time() + seconds
    supervisor.check_soon(patient)
    await patient.closed.wait()
    assert patient.ends == [(patient.until, CloseCode.BAD_TOKEN)]


async def test_it_tells_how_late_it_is_which_is_how_late_the_event_loop_is(nursery: trio.Nursery) -> None:
    told: list[float] = []
    supervisor = HeartbeatSupervisor(INTERVAL, told.append)
    nursery.start_soon(supervisor.run)
    watch(supervisor)
    await trio.sleep(INTERVAL - 1)
    assert told == []
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(4)  # what holds the event loop for so long
    await trio.testing.wait_all_tasks_blocked()
    assert told == [pytest.approx(3.0)]
