"""News of actions: a task tells the state to all who see the message, and each user their own answer.

Many answers within a moment make one state. What is told is marked in the transaction that stores it, so a crash
neither loses nor doubles it.
"""

import sqlite3
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
import trio

from relay.plugin import Draft, Entry, RelayError, Server, Unchanged

from . import state
from .state import Answer, State

AT_ONCE = 200


async def keep(server: Server, pause: float) -> None:
    """Tell states and answers, `pause` seconds apart, for ever: the plugin's background task."""
    await server.write(state.catch_up)
    while True:
        try:
            more = await tell(server)
        except RelayError as refused:  # too many at once, or the disk is behind; the next round brings it
            server.log.warning("what became of some actions waits to be told: %s", refused)
            more = True
            await trio.sleep(1.0)
        await trio.sleep(pause)
        if not more:
            await server.woken()


async def tell(server: Server) -> bool:
    """Tell what is not told yet; return whether there is more.

    Raises:
        RelayError: the server refuses it for now.
    """
    states = await server.read(lambda connection: state.untold(connection, AT_ONCE))
    answers = await server.read(lambda connection: state.untold_answers(connection, AT_ONCE))
    for one in states:
        if one.gone:
            await _erase_answers(server, one.message_id)
        else:
            told = partial(state.tell, message_id=one.message_id)
            await _unless_refused(server, _tell_state(server, one), told)
    for answer, address, payload in answers:
        told = partial(state.tell_answer, answer_id=answer.answer_id)
        await _unless_refused(server, _tell_answer(server, answer, address, payload), told)
    return len(states) == AT_ONCE or len(answers) == AT_ONCE or any(one.gone for one in states)


async def _unless_refused(
    server: Server, telling: Coroutine[Any, Any, None], told: Callable[[sqlite3.Connection], None]
) -> None:
    """Tell something; what a hook of another plugin refuses counts as told, and holds up nothing else.

    Raises:
        RelayError: the server refuses it for now.
    """
    try:
        await telling
    except RelayError as refused:
        if refused.retry:
            raise
        server.log.warning("what became of some actions is not told: %s", refused)
        await server.write(told)


async def _tell_state(server: Server, known: State) -> None:
    place = await server.conversations.at(known.address)
    if place is None:  # its group was deleted
        await server.write(lambda connection: state.lose(connection, [known.message_id]))
        return

    def shape(draft: Draft) -> None:
        def apply(connection: sqlite3.Connection, _entry: Entry) -> str:
            now = state.find(connection, known.message_id)
            if now is None:  # deleted meanwhile
                raise Unchanged
            state.tell(connection, now.message_id)
            return draft.type.write(msgspec.convert(shown(now), draft.type.payload))

        draft.apply = apply

    # The state is read inside the transaction, so this payload has none yet.
    await server.post(known.author_id, "action_state", shown(known), place, shape=shape)


def shown(known: State) -> dict[str, Any]:
    """Return a state as the payload of `action_state`."""
    return {
        "message_id": known.message_id,
        "answers": known.answers,
        "round": known.round,
        "closed_at": known.closed_at,
        "closed_by": known.closed_by,
        "outcome": known.outcome,
        "actions": None if known.replaced is None else msgspec.json.decode(known.replaced),
    }


async def _tell_answer(server: Server, answer: Answer, address: str, payload: str | None) -> None:
    """Tell a user's own devices what they answered, unless the message or the answer is gone."""
    place = await server.conversations.at(address)
    if place is None or payload is None:
        await server.write(lambda connection: state.tell_answer(connection, answer.answer_id))
        return

    def shape(draft: Draft) -> None:
        def apply(connection: sqlite3.Connection, entry: Entry) -> None:
            entry.only_for = answer.user_id
            if state.find(connection, answer.message_id) is None:  # deleted meanwhile
                raise Unchanged
            state.tell_answer(connection, answer.answer_id)

        draft.apply = apply

    said = msgspec.json.decode(payload)
    told = {name: said[name] for name in ("message_id", "action", "value", "values") if name in said}
    await server.post(answer.user_id, "action_answer", told | {"round": answer.round}, place, shape=shape)


async def _erase_answers(server: Server, message_id: int) -> None:
    """Erase some of the answers to a message that is gone."""
    some = await server.read(lambda connection: state.answers_to(connection, message_id, AT_ONCE))
    if some:
        await server.erase(some)
    await server.write(lambda connection: state.forget(connection, message_id, some))
