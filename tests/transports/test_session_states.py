"""Sessions under whatever clients, the network and the server do: no step is taken that the table has not."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.protocol import session as states
from relay.protocol.errors import CloseCode
from relay.protocol.session import NEXT, State, Step
from relay.testing import Closed, Device, World
from relay.testing import world as open_world
from relay.testing.clock import jumping_clock

ACTIONS = [
    "hello", "wrong hello", "say", "say to a stranger", "junk", "beat", "old cursor", "goodbye",
    "another device", "same device again", "drain", "cut", "wait", "wait long",
]  # fmt: skip

Taken = list[tuple[State, Step]]


@contextmanager
def steps_taken() -> Iterator[Taken]:
    """Note each step that any session takes."""
    taken: Taken = []
    honest = states.advance

    def noting(state: State, step: Step) -> State:
        taken.append((state, step))
        return honest(state, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "advance", noting)
        yield taken


async def act(world: World, device: Device, action: str) -> None:
    """Do one thing to a connection, or have it done by somebody else."""
    if action in ("hello", "wrong hello"):
        token = world.tokens["alice"] if action == "hello" else "rly_wrong"
        hello = {"event": "hello", "token": token}
        await device.send({"type": "connection_event", "payload": hello, "meta": {"client_id": "one"}})
    elif action == "say":
        await device.say("bob", "hello")
    elif action == "say to a stranger":
        await device.say("nobody", "hello", id="m")
    elif action == "junk":
        await device.send("{")
    elif action == "beat":
        await device.event("heartbeat", cursor=world.engine.router.position)
    elif action == "old cursor":
        await device.event("heartbeat", cursor=0)
    elif action == "goodbye":
        await device.event("goodbye")
    elif action in ("another device", "same device again"):
        await world.connect("alice", "one" if action == "same device again" else "two")
        await world.talk("bob", "alice", 1)
    elif action == "drain":
        for websocket in list(world.door.websockets):
            websocket.end(CloseCode.DRAINING)
    elif action == "cut":
        await device.cut()
    else:
        await trio.sleep(26 if action == "wait long" else 0.1)


async def live(actions: list[str], folder: Path) -> None:
    async with open_world(folder, "alice", "bob") as world:
        device = await world.upgrade()
        for action in actions:
            if device.end is not None:
                break
            try:
                await act(world, device, action)
                await device.drain()
            except (Closed, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        await trio.sleep(120)  # long enough for any silence to end
        assert not world.door.websockets
        assert world.engine.connections.statistics() == (0, 0)


def run(actions: list[str]) -> Taken:
    """Let one connection live through the actions, and return the steps that were taken."""
    with tempfile.TemporaryDirectory() as folder, steps_taken() as taken:
        trio.run(live, actions, Path(folder), clock=jumping_clock())
    return taken


STUCK = ["hello", "another device", "wait long", "old cursor", "wait long", "old cursor"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=8))
@example(STUCK)
@example([*STUCK, "drain", "wait"])
@example(["hello", "goodbye", "hello"])
@example(["hello", "same device again", "say"])
def test_whatever_happens_to_a_connection_is_in_the_table_and_ends(actions: list[str]) -> None:
    faults: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = faults.append  # type: ignore[method-assign]
    logging.getLogger("relay").addHandler(handler)
    try:
        taken = run(actions)
    finally:
        logging.getLogger("relay").removeHandler(handler)
    assert not faults, [record.getMessage() for record in faults]
    assert set(taken) <= set(NEXT)
    assert taken[-1][1] is Step.END


def test_a_client_that_is_behind_goes_back_to_the_replay() -> None:
    taken = run(STUCK)
    assert (State.LIVE, Step.BEHIND) in taken
    assert taken[taken.index((State.LIVE, Step.BEHIND)) + 1] == (State.REPLAYING, Step.SYNCED)


@pytest.mark.parametrize(
    ("actions", "state"),
    [([], State.GREETING), (["hello"], State.JOINING), (["hello", "wait"], State.LIVE)],
)
def test_a_connection_may_end_in_any_state(actions: list[str], state: State) -> None:
    assert (state, Step.END) in run([*actions, "drain"])
