"""The fixture that plugin authors' tests take."""

import time

import trio

from relay.testing import RelayWorld


async def test_a_test_that_takes_a_world_runs_on_a_clock_that_jumps(relay_world: RelayWorld) -> None:
    began = time.monotonic()
    async with relay_world(None, "alice") as world:
        alice = await world.connect("alice")
        before = trio.current_time()
        await trio.sleep(3600)
        assert trio.current_time() - before >= 3600
        assert (await alice.closed()).code == 4402
    assert time.monotonic() - began < 600, "it slept for real"
