"""Bugs to be planted in a cluster for the time of a simulation, by which the simulation is tested itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from relay.cluster.following import Follower
from relay.cluster.records import Kind, Record, parts
from relay.cluster.replica import Replica
from relay.cluster.stream import Entry
from relay.storage import jobs
from relay.storage.cluster import Position
from relay.storage.jobs import Replication
from tests.simulation.cluster.broker import Broker


@contextmanager
def _commit_before_publish() -> Iterator[None]:
    """A leader commits first, and then appends to the stream what it has committed."""

    def commit(connection: sqlite3.Connection, replication: Replication | None) -> None:
        connection.execute("COMMIT")
        if replication is not None:
            replication.seal(connection)
            replication.committed()

    with mock.patch.object(jobs, "_commit", commit):
        yield


@contextmanager
def _no_expected_sequence() -> Iterator[None]:
    """Nodes append to the stream without saying behind what."""
    append = Broker.append

    def anywhere(self: Broker, author: str, data: bytes, _expected: int) -> bool:
        return append(self, author, data, len(self.entries))

    with mock.patch.object(Broker, "append", anywhere):
        yield


@contextmanager
def _apply_twice() -> Iterator[None]:
    """A follower applies once more what comes twice."""

    def take(self: Replica, entry: Entry) -> int:
        records = list(self._assembler.add(entry.data))
        for record in records:
            self._make(record)
            if record.number > self.position.number:
                self._firm = self.position = Position(
                    self.position.cluster, record.number, record.term, record.digest(), entry.sequence
                )
        self._taken = max(self._taken, entry.sequence)
        return len(records)

    with mock.patch.object(Replica, "_take", take):
        yield


@contextmanager
def _stand_without_reading() -> Iterator[None]:
    """A node stands behind the stream's end before it has read up to there."""

    async def write_term(self: Follower, last: int) -> None:
        before = self._replica.position
        record = Record(Kind.TERM, before.number + 1, before.term + 1, before.digest, self._name.encode())
        await self._run(partial(self._stream.append, parts(record, self._stream.most_bytes), last))
        self._heard.begin(before.term)

    with mock.patch.object(Follower, "_write_term", write_term):
        yield


BUGS: dict[str, Callable[[], Any]] = {
    "commit-before-publish": _commit_before_publish,
    "no-expected-sequence": _no_expected_sequence,
    "apply-twice": _apply_twice,
    "stand-without-reading": _stand_without_reading,
}
