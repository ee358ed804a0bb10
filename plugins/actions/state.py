"""The tables: the state of each message whose actions were answered or closed, and all answers.

A message without a row has no answer, and its actions are open. When a message gets other actions, a new round
begins: who answered the earlier ones may answer these.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from relay.plugin import ActionOutcome, Actions

SCHEMA = """
CREATE TABLE actions_messages (
    message_id INTEGER PRIMARY KEY, address TEXT NOT NULL, author_id TEXT NOT NULL, actions TEXT NOT NULL,
    replaced TEXT, round INTEGER NOT NULL DEFAULT 0, answers INTEGER NOT NULL DEFAULT 0, closed_at REAL,
    closed_by TEXT, outcome TEXT, told INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX actions_untold ON actions_messages (message_id) WHERE told = 0;
CREATE TABLE actions_answers (
    answer_id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, user_id TEXT NOT NULL, round INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX actions_answers_to ON actions_answers (message_id, user_id);
CREATE INDEX actions_answers_of ON actions_answers (user_id);
CREATE INDEX actions_answers_untold ON actions_answers (answer_id) WHERE told = 0;
"""

_decode = msgspec.json.Decoder(Actions).decode


class State(NamedTuple):
    """The row of a message; `actions` and `replaced` are JSON, the latter in place of the former."""

    message_id: int
    address: str
    author_id: str
    actions: str
    replaced: str | None = None
    round: int = 0
    answers: int = 0
    closed_at: float | None = None
    closed_by: str | None = None
    outcome: str | None = None
    told: bool = False
    gone: bool = False

    @property
    def valid(self) -> Actions:
        """The actions that can be answered now."""
        return _decode(self.replaced or self.actions)


class Answer(NamedTuple):
    """The row of an answer."""

    answer_id: int
    message_id: int
    user_id: str
    round: int


_STATE = ", ".join(State._fields)


def encoded(actions: Actions) -> str:
    """Return actions as JSON, the same for the same actions."""
    return msgspec.json.encode(actions).decode()


def actions_in(payload: str) -> Actions | None:
    """Return the actions in a payload's JSON; None where there are none."""
    try:
        found = msgspec.json.decode(payload, type=_Payload).actions
    except msgspec.ValidationError:
        return None  # a type with a field of this name that is something else
    return found if found and found.elements else None


class _Payload(msgspec.Struct):
    actions: Actions | None = None


def find(connection: sqlite3.Connection, message_id: int) -> State | None:
    """Return the state of a message; None while nobody has answered it."""
    return next(iter(_states(connection, "message_id = ? AND gone = 0", message_id)), None)


def save(connection: sqlite3.Connection, state: State) -> None:
    """Store a message's state, to be told soon."""
    connection.execute(
        f"INSERT OR REPLACE INTO actions_messages ({_STATE}) VALUES ({', '.join('?' * len(state))})",
        state._replace(told=False),
    )


def add_answer(connection: sqlite3.Connection, answer: Answer) -> None:
    """Store an answer, whose user is to be told soon."""
    connection.execute(
        "INSERT INTO actions_answers (answer_id, message_id, user_id, round) VALUES (?, ?, ?, ?)", answer
    )


def count_answers(connection: sqlite3.Connection, message_id: int, user_id: str, round: int | None = None) -> int:
    """Return how often a user has answered a message, in one round or in all."""
    row = connection.execute(
        "SELECT count(*) FROM actions_answers WHERE message_id = ? AND user_id = ? AND coalesce(?, round) = round",
        (message_id, user_id, round),
    ).fetchone()
    return int(row[0])


def after_answer(state: State, user_id: str, outcome: ActionOutcome, at: float) -> State:
    """Return the state after one more answer, with what its author's code made of it."""
    state = state._replace(answers=state.answers + 1, outcome=outcome.text or state.outcome)
    if outcome.actions is not None:
        state = anew(state, replaced=encoded(outcome.actions))
    if outcome.close or (state.valid.once == "message" and state.answers):
        state = closed(state, user_id, at)
    return state


def anew(state: State, *, actions: str | None = None, replaced: str | None = None) -> State:
    """Return the state with other actions, which begin a new round: open, without answers."""
    return state._replace(
        actions=state.actions if actions is None else actions,
        replaced=replaced,
        round=state.round + 1,
        answers=0,
        closed_at=None,
        closed_by=None,
        outcome=state.outcome if replaced else None,
    )


def closed(state: State, user_id: str, at: float) -> State:
    """Return the state with its actions closed; who closed them first stays."""
    return state if state.closed_at is not None else state._replace(closed_at=at, closed_by=user_id)


def untold(connection: sqlite3.Connection, limit: int) -> list[State]:
    """Return states that changed since they were told, and those of messages that are gone."""
    return _states(connection, "told = 0", limit=limit)


def tell(connection: sqlite3.Connection, message_id: int) -> None:
    """Mark a state as told."""
    connection.execute("UPDATE actions_messages SET told = 1 WHERE message_id = ?", (message_id,))


def untold_answers(connection: sqlite3.Connection, limit: int) -> list[tuple[Answer, str, str | None]]:
    """Return answers whose users are not told, each with the address of its message and its payload in the log."""
    rows = connection.execute(
        "SELECT a.answer_id, a.message_id, a.user_id, a.round, m.address, l.payload FROM actions_answers a"
        " JOIN actions_messages m USING (message_id) LEFT JOIN log l ON l.message_id = a.answer_id"
        " WHERE a.told = 0 AND m.gone = 0 ORDER BY a.answer_id LIMIT ?",
        (limit,),
    )
    return [(Answer(*row[:4]), row[4], row[5]) for row in rows]


def tell_answer(connection: sqlite3.Connection, answer_id: int) -> None:
    """Mark an answer as told to its user."""
    connection.execute("UPDATE actions_answers SET told = 1 WHERE answer_id = ?", (answer_id,))


def lose(connection: sqlite3.Connection, message_ids: Sequence[int]) -> bool:
    """Note that messages are gone, whose answers must go too; return whether there are any."""
    marks = ",".join("?" * len(message_ids))
    return bool(
        connection.execute(
            "UPDATE actions_messages SET gone = 1, told = 0, outcome = NULL, actions = '', replaced = NULL"
            f" WHERE message_id IN ({marks}) RETURNING 1",
            tuple(message_ids),
        ).fetchall()
    )


def answers_to(connection: sqlite3.Connection, message_id: int, limit: int) -> list[int]:
    """Return the ids of answers to a message."""
    rows = connection.execute(
        "SELECT answer_id FROM actions_answers WHERE message_id = ? LIMIT ?", (message_id, limit)
    )
    return [row[0] for row in rows]


def forget(connection: sqlite3.Connection, message_id: int, answer_ids: Sequence[int]) -> None:
    """Delete some answers to a message that is gone, and its state once there is none left."""
    connection.executemany("DELETE FROM actions_answers WHERE answer_id = ?", [(one,) for one in answer_ids])
    if not answers_to(connection, message_id, 1):
        connection.execute("DELETE FROM actions_messages WHERE message_id = ?", (message_id,))


def forget_user(connection: sqlite3.Connection, user_id: str) -> None:
    """Delete the answers of a user who is erased, and that they closed something."""
    connection.execute(
        "UPDATE actions_messages SET told = 0, answers = answers - (SELECT count(*) FROM actions_answers a WHERE"
        " a.message_id = actions_messages.message_id AND a.user_id = ?1 AND a.round = actions_messages.round)"
        " WHERE message_id IN (SELECT message_id FROM actions_answers WHERE user_id = ?1)",
        (user_id,),
    )
    connection.execute("DELETE FROM actions_answers WHERE user_id = ?", (user_id,))
    connection.execute("UPDATE actions_messages SET closed_by = NULL, told = 0 WHERE closed_by = ?", (user_id,))


def catch_up(connection: sqlite3.Connection) -> None:
    """Note the messages that were erased while the plugin was off."""
    rows = connection.execute(
        "SELECT message_id FROM actions_messages m WHERE gone = 0 AND NOT EXISTS"
        " (SELECT 1 FROM log WHERE log.message_id = m.message_id AND deleted_at IS NULL)"
    ).fetchall()
    for (message_id,) in rows:
        lose(connection, [message_id])


def _states(connection: sqlite3.Connection, where: str, *values: Any, limit: int = 1) -> list[State]:
    rows = connection.execute(
        f"SELECT {_STATE} FROM actions_messages WHERE {where} ORDER BY message_id LIMIT {limit}", values
    )
    return [State._make((*row[:10], bool(row[10]), bool(row[11]))) for row in rows]
