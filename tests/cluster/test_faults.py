"""The one fault of a nursery comes out of it alone."""

import pytest
import trio
import trio.testing

from relay.cluster.faults import ungrouped


async def fail(*faults: Exception) -> None:
    with ungrouped():
        async with trio.open_nursery() as nursery:

            async def raise_it(fault: Exception) -> None:
                raise fault

            for fault in faults:
                nursery.start_soon(raise_it, fault)


async def test_one_fault_comes_alone_and_several_in_their_group() -> None:
    with pytest.raises(OSError, match="gone"):
        await fail(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await fail(OSError("gone"), OSError("gone"))
    with pytest.RaisesGroup(OSError, ValueError):
        await fail(OSError("gone"), ValueError("no number"))


async def test_a_fault_while_all_is_cancelled_comes_alone_as_well() -> None:
    caught = False
    with trio.CancelScope() as scope:
        try:
            with ungrouped():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
                    raise OSError("refused")
        except OSError:
            caught = True
        await trio.lowlevel.checkpoint()
    assert caught
    assert scope.cancelled_caught


async def test_a_cancellation_alone_stays_one() -> None:
    with trio.CancelScope() as scope, ungrouped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
    assert scope.cancelled_caught
