"""Bugs to be planted in relay for the time of a simulation, by which the simulation is tested itself."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import trio

from relay.engine.hooks import Hooks
from relay.services.router import MessageRouter, Submission
from relay.storage import conversations, replay
from relay.storage.history import View
from tests.simulation.server import progress


class _Undo(Exception):
    """Rolls a transaction back."""


@contextmanager
def _ack_before_commit() -> Iterator[None]:
    """Acks are sent before the commit, with the positions that the messages are about to get."""
    commit = MessageRouter._commit

    async def acks_first(self: MessageRouter, batch: Sequence[Submission]) -> int:
        entries = [copy.copy(submission.entry) for submission in batch]

        def foresee(connection: sqlite3.Connection) -> None:
            self._log.append(connection, entries, self._now())
            raise _Undo

        try:
            await self._runner.write(foresee)
        except _Undo:
            self._log.forget()
        except Exception:
            return await commit(self, batch)
        for submission, entry in zip(batch, entries, strict=True):
            if entry.error is None and submission.origin is not None:
                self._answer(Submission(entry, submission.conversation, origin=submission.origin))
                submission.origin = None
        self._connections.flush()
        await trio.sleep(0.05)
        return await commit(self, batch)

    with mock.patch.object(MessageRouter, "_commit", acks_first):
        yield


@contextmanager
def _replay_off_by_one() -> Iterator[None]:
    """A replay begins one message too late."""
    missed = replay._missed

    def later(connection: sqlite3.Connection, seen: View, cursor: int, until: int, limit: int) -> Any:
        return missed(connection, seen, cursor + 1, until, limit)

    with mock.patch.object(replay, "_missed", later):
        yield


@contextmanager
def _pointer_back() -> Iterator[None]:
    """A receipt for an older message moves the read pointer back."""

    def move(
        connection: sqlite3.Connection, channel_id: int, user_id: str, up_to_seq: int, *, shown: bool
    ) -> bool:
        connection.execute(
            "INSERT INTO pointers (channel_id, user_id, read_seq, shown_seq) VALUES (?1, ?2, ?3, ?3)"
            " ON CONFLICT DO UPDATE SET read_seq = ?3, shown_seq = iif(?4, ?3, shown_seq)",
            (channel_id, user_id, up_to_seq, shown),
        )
        return True

    with mock.patch.object(conversations, "move_read", move):
        yield


@contextmanager
def _erased_stays() -> Iterator[None]:
    """Plugins are not told what was erased: the words stay in the search's tables."""
    with mock.patch.object(Hooks, "erased", return_value=None):
        yield


@contextmanager
def _hole_of_returning_members() -> Iterator[None]:
    """Who comes back to a group no longer sees what they saw before they left."""
    add = conversations.add_member

    def forget_stays(connection: sqlite3.Connection, channel_id: int, user_id: str, *rest: Any) -> None:
        add(connection, channel_id, user_id, *rest)
        connection.execute("DELETE FROM stays WHERE channel_id = ? AND user_id = ?", (channel_id, user_id))
        connection.execute(
            "UPDATE members SET seen_before = NULL WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
        )

    with mock.patch.object(conversations, "add_member", forget_stays):
        yield


@contextmanager
def _leak_to_returning_members() -> Iterator[None]:
    """Who comes back to a group sees what was said in between."""
    condition = View.condition

    def whole(self: View) -> tuple[str, list[Any]]:
        return condition(self if self.seen_before is None else self._replace(first=self.start, seen_before=None))

    with mock.patch.object(View, "condition", whole):
        yield


@contextmanager
def _lost_to_search() -> Iterator[None]:
    """Search leaves out the last of the messages that it indexes together."""
    put = progress.put

    def leave_out(server: Any, connection: sqlite3.Connection, messages: Sequence[Any]) -> None:
        put(server, connection, messages[:-1])

    with mock.patch.object(progress, "put", leave_out):
        yield


BUGS: dict[str, Callable[[], Any]] = {
    "ack-before-commit": _ack_before_commit,
    "replay-off-by-one": _replay_off_by_one,
    "pointer-back": _pointer_back,
    "erased-stays": _erased_stays,
    "hole-of-returning-members": _hole_of_returning_members,
    "leak-to-returning-members": _leak_to_returning_members,
    "lost-to-search": _lost_to_search,
}


@contextmanager
def planted(name: str | None, bugs: Mapping[str, Callable[[], Any]] = BUGS) -> Iterator[None]:
    """Plant a bug inside the block; None for none."""
    if name is None:
        yield
        return
    with bugs[name]():
        yield
