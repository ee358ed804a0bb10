"""Virtual time jumps to the next deadline, and rests while there is none."""

import threading

import pytest
import trio

from relay.testing.clock import jumping_clock


def test_time_passes_when_all_tasks_wait_and_not_before() -> None:
    clock = jumping_clock()

    async def main() -> list[float]:
        seen = [trio.current_time()]
        await trio.lowlevel.checkpoint()
        seen.append(trio.current_time())
        for seconds in (3600, 0.25):
            await trio.sleep(seconds)
            seen.append(trio.current_time())
        clock.jump(10)
        return [*seen, trio.current_time()]

    assert trio.run(main, clock=clock) == [0, 0, 3600, 3600.25, 3610.25]


def test_it_looks_now_and_then_while_a_thread_is_waited_for_and_jumps_at_once_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = jumping_clock()
    looks, look = [0], clock._autojump

    def count() -> None:
        looks[0] += 1
        look()

    monkeypatch.setattr(clock, "_autojump", count)

    async def main() -> tuple[int, int]:
        await trio.to_thread.run_sync(threading.Event().wait, 0.1)
        assert trio.current_time() == 0
        waited, looks[0] = looks[0], 0
        for _ in range(50):
            await trio.sleep(1)
        return waited, looks[0]

    waited, jumps = trio.run(main, clock=clock)
    assert 1 <= waited <= 200, "as fast as it can, it looks some thousand times"
    assert 50 <= jumps <= 52
    assert clock.autojump_threshold == 0
