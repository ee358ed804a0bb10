"""The state table, walked in full."""

import pytest

from relay.protocol.errors import RelayError
from relay.protocol.session import NEXT, WELCOME, Event, State, advance, check_may_send, check_welcome


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_an_event_is_welcome_exactly_where_the_table_says(state: State, event: Event) -> None:
    if event in WELCOME[state]:
        check_welcome(state, event)
    else:
        with pytest.raises(RelayError, match="expected"):
            check_welcome(state, event)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_only_the_table_changes_the_state(state: State, event: Event) -> None:
    assert advance(state, event) is NEXT.get((state, event), state)


def test_a_life_goes_from_greeting_to_closed() -> None:
    state = State.GREETING
    for event in (Event.HELLO, Event.SYNCED, Event.ACK, Event.HEARTBEAT, Event.GOODBYE):
        state = advance(state, event)
    assert state is State.CLOSED


def test_nothing_may_be_sent_before_the_hello() -> None:
    with pytest.raises(RelayError, match="hello"):
        check_may_send(State.GREETING)
    check_may_send(State.REPLAYING)


def test_every_state_is_reached() -> None:
    assert {State.GREETING, *NEXT.values()} == set(State)
