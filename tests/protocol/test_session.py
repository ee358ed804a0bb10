"""The table of a connection's states, walked in full; and that the code has no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import relay
from relay.protocol import session
from relay.protocol.errors import RelayError
from relay.protocol.session import (
    NEXT,
    READY,
    WELCOME,
    Event,
    Progress,
    State,
    Step,
    advance,
    check_may_send,
    check_welcome,
)

RELAY = Path(relay.__file__).parent


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_an_event_is_welcome_exactly_where_the_table_says(state: State, event: Event) -> None:
    if event in WELCOME[state]:
        check_welcome(state, event)
    else:
        with pytest.raises(RelayError, match="expected"):
            check_welcome(state, event)


def test_the_table_is_the_picture() -> None:
    assert {pair: after for pair, after in NEXT.items() if after is not State.CLOSED} == {
        (State.GREETING, Step.HELLO): State.JOINING,
        (State.JOINING, Step.READY): State.REPLAYING,
        (State.REPLAYING, Step.SYNCED): State.LIVE,
        (State.LIVE, Step.BEHIND): State.REPLAYING,
    }
    picture = str(session.__doc__)
    for state in State:
        assert state.name in picture
    for step in Step:
        assert f" {step} " in picture


@given(st.lists(st.sampled_from(Step), max_size=12))
def test_whatever_happens_a_life_follows_the_table_and_is_over_once(steps: list[Step]) -> None:
    state, ended, heard = State.GREETING, False, 0
    for step in steps:
        try:
            state = advance(state, step)
        except ValueError:
            assert (state, step) not in NEXT
            continue
        ended = ended or step is Step.END
        heard += step is Step.HELLO and not ended
        assert (state is State.CLOSED) is ended, "an end leads there from anywhere, and nothing leads out"
        assert heard == (state is not State.GREETING) or ended, "one hello, and nothing before it"


def test_a_life_goes_from_greeting_to_closed() -> None:
    state, passed = State.GREETING, []
    for step in (Step.HELLO, Step.READY, Step.SYNCED, Step.BEHIND, Step.SYNCED, Step.END, Step.END):
        state = advance(state, step)
        passed.append(state)
    assert passed == [
        State.JOINING, State.REPLAYING, State.LIVE, State.REPLAYING, State.LIVE, State.CLOSED, State.CLOSED,
    ]  # fmt: skip


def test_nothing_may_be_sent_before_the_hello() -> None:
    with pytest.raises(RelayError, match="hello"):
        check_may_send(State.GREETING)
    check_may_send(State.JOINING)
    check_may_send(State.REPLAYING)


def test_every_state_is_reached_and_only_those_after_ready_speak_for_a_user() -> None:
    assert {State.GREETING, *NEXT.values()} == set(State)
    assert set(READY) == {State.REPLAYING, State.LIVE}


def modules_with_states() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules that use the table; an echo has no hello, and states of its own."""
    for path in sorted(set(RELAY.rglob("*.py")) - {RELAY / "testing" / "echo.py"}):
        source = path.read_text(encoding="utf-8")
        if "relay.protocol.session import" in source or "relay.protocol import session" in source:
            yield str(path.relative_to(RELAY)), ast.parse(source)


def test_only_the_table_changes_the_state_of_a_connection() -> None:
    written: list[str] = []
    steps: set[str] = set()
    for name, tree in modules_with_states():
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr == "state":
                    assert isinstance(node, ast.Assign), f"{name}:{target.lineno}"
                    written.append(ast.unparse(node.value))
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("setattr", "object.__setattr__"), f"{name}:{node.lineno}"
                if called == "self._advance":
                    steps.add(ast.unparse(node.args[0]))
    assert sorted(written) == ["State.GREETING", "states.advance(self.state, step)"]
    assert steps == {f"Step.{step.name}" for step in Step}, "each step of the table is taken, and no other"


def test_a_client_that_stands_still_behind_what_it_was_sent_is_stuck_once() -> None:
    progress = Progress()
    progress.announced = 7
    assert not progress.is_stuck(3), "it may be on its way"
    assert progress.is_stuck(3)
    progress.replay_from(3)
    assert not progress.is_stuck(3), "it counts in some way of its own"
    assert not progress.is_stuck(5)
    assert progress.is_stuck(5)


def test_a_client_that_moves_or_has_everything_is_not_stuck() -> None:
    progress = Progress()
    assert not any(progress.is_stuck(cursor) for cursor in (0, 0))
    progress.announced = 4
    assert not any(progress.is_stuck(cursor) for cursor in (1, 2, 3, 4, 4, 4))
