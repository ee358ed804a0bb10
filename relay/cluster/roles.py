"""The roles of a node, one after the other: it takes a copy of the database, follows, leads, follows again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, NamedTuple

import trio

from relay.cluster.beats import Beat, Heard
from relay.cluster.following import Follower, Run
from relay.cluster.replica import Diverged, Replica
from relay.cluster.stream import Missing, NoStream, Stream, Unreachable
from relay.protocol.errors import said
from relay.storage.cluster import Position, read_position, schema_digest
from relay.storage.errors import Deposed, StorageError
from relay.storage.identity import schema_version
from relay.storage.replica import locked, open_replica, purging

_log: Final = logging.getLogger("relay.cluster")

_STREAM_SECONDS: Final = 5.0
"""How often a node looks for a stream that is not there."""

_COPY_SECONDS: Final = (1.0, 30.0)
"""The first and the longest pause between two tries at a copy."""

_DISK_SECONDS: Final = 1.0
"""How long a node waits that cannot open its database any more, as where the disk is full."""

_REST_SECONDS: Final = 30.0
"""How long a node that could not lead leaves it to others."""


class CannotCopy(Exception):
    """No copy of the database was had from the leader; the text says why."""


class Term(NamedTuple):
    """The beginning of a node's term.

    Attributes:
        position: the record of its own term, the newest in the stream and in its file.
        schema: the digest of the tables that the followers have.
    """

    position: Position
    schema: bytes


class Roles:
    """One node's roles.

    Args:
        name: of the node.
        cluster: the name of the cluster.
        path: of the database.
        lease: seconds without a beat of the leader after which another stands for it.
        copy: fetches a copy of the database from the leader of a beat, and puts it in place; raises `CannotCopy`.
        lead: leads, until the node is told to stop, or another leads; then it raises `Deposed`.
        beside: what runs beside the replica while this node does not lead.
        run: runs a step of the replica's, off the event loop where there are threads.

    Attributes:
        replica: the copy of the database that follows; None while there is none, and while this node leads.
        copying: whether a copy is fetched, or waited for.
    """

    def __init__(
        self,
        name: str,
        cluster: str,
        path: Path,
        stream: Stream,
        heard: Heard,
        lease: float,
        *,
        durability: str,
        copy: Callable[[Beat], Awaitable[None]],
        lead: Callable[[Term], Awaitable[None]],
        beside: Callable[[], AbstractAsyncContextManager[object]],
        run: Run = trio.to_thread.run_sync,
    ) -> None:
        self._name = name
        self._cluster = cluster
        self._path = path
        self._stream = stream
        self._heard = heard
        self._lease = lease
        self._durability = durability
        self._copy = copy
        self._lead = lead
        self._beside = beside
        self._run_step = run
        self._rests_until = float("-inf")
        self._knows_schema = True
        self._followed = False
        self.replica: Replica | None = None
        self.copying = False

    def may_lead(self) -> bool:
        """Tell whether this node may stand for the leader."""
        return self._knows_schema and trio.current_time() >= self._rests_until

    async def run(self) -> None:
        """Take one role after the other, until leading ends because the node is told to stop.

        Raises:
            StorageError: the database cannot be used, or is another's.
        """
        while True:
            async with self._beside():
                term = await self._until_leading()
            _log.info("this node, %s, leads from now on: term %d", self._name, term.position.term)
            try:
                await self._lead(term)
            except Deposed as error:
                _log.warning("this node leads no more: %s", said(error))
            except StorageError as error:
                _log.error("this node cannot lead: %s; for %g s it leaves it to others", error, _REST_SECONDS)
                self._rests_until = trio.current_time() + _REST_SECONDS
            else:
                return

    async def _until_leading(self) -> Term:
        """Follow, with a copy of the database where one is needed, until this node leads."""
        reason, pause = self._lacks_database(), 0.0
        while True:
            if reason is not None:
                await trio.sleep(pause)  # a copy may not fit either
                await self._take_copy(reason)
                pause = min(pause * 2 or _COPY_SECONDS[0], _COPY_SECONDS[1])
            try:
                return await self._follow()
            except (Diverged, Missing) as error:
                reason = (
                    str(error) or "the stream has no longer what this node needs next; it was away for too long"
                )
            except NoStream:
                reason = None
                await self._wait_for_stream()
            except StorageError as error:
                if not self._followed or not isinstance(error.__cause__, sqlite3.Error):
                    raise
                reason = None
                _log.error("%s; this node tries again in %g s", error, _DISK_SECONDS)
                await trio.sleep(_DISK_SECONDS)

    def _lacks_database(self) -> str | None:
        there = self._path.exists() and self._path.stat().st_size  # one that was killed leaves an empty file
        return None if there else "this node has no database yet"

    async def _follow(self) -> Term:
        with (
            locked(self._path),
            purging(self._path) as purge,
            open_replica(self._path, self._durability) as (connection, handle),
        ):
            position = read_position(connection)
            if position is None or position.cluster != self._cluster:
                raise StorageError(_not_ours(self._path, position, self._cluster))
            self._knows_schema = connection.execute("PRAGMA user_version").fetchone()[0] <= schema_version()
            self._followed = True
            replica = self.replica = Replica(connection, handle, self._name)
            _log.info("this node, %s, follows from record %d on", self._name, position.number)
            try:
                follower = Follower(
                    self._name,
                    replica,
                    self._stream,
                    self._heard,
                    self._lease,
                    may_lead=self.may_lead,
                    purge=purge,
                    run=self._run_step,
                )
                await follower.follow()
            finally:
                self.replica = None
            return Term(replica.position, schema_digest(connection))

    async def _take_copy(self, reason: str) -> None:
        """Fetch a copy from whoever leads; tried until it is there."""
        _log.warning("%s: a copy of the database is fetched from the leader", reason)
        pause, longest = _COPY_SECONDS
        self.copying = True
        self._heard.begin(0)  # whoever leads will do, also where the cluster has begun again with an older term
        try:
            while True:
                while (beat := self._heard.leader) is None or beat.node == self._name:
                    await self._heard.another()
                try:
                    await self._copy(beat)
                except CannotCopy as error:
                    _log.error("no copy from %s: %s; again in %g s", beat.node, said(error), pause)
                else:
                    return
                await trio.sleep(pause)
                pause = min(pause * 2, longest)
        finally:
            self.copying = False

    async def _wait_for_stream(self) -> None:
        _log.error(
            "the cluster %s has no stream in NATS. If it has not begun yet: `relay cluster begin`. If NATS has"
            " lost it: `relay cluster begin --again` on the node with the highest record, see `relay cluster"
            " status`. This node looks every %g s",
            *(self._cluster, _STREAM_SECONDS),
        )
        while True:
            await trio.sleep(_STREAM_SECONDS)
            try:
                await self._stream.last()
            except NoStream:
                continue
            except Unreachable:
                continue
            return


def _not_ours(path: Path, position: Position | None, cluster: str) -> str:
    if position is None:
        return (
            f"{path} is a database of its own, not the cluster {cluster}'s. If it is to be every node's, make it"
            " so once: `relay cluster begin`. If this node is to have the cluster's, move the file away"
        )
    return (
        f"{path} is of the cluster {position.cluster}, and [cluster] name says {cluster}; correct one of the two,"
        " or make the file one of its own: `relay cluster leave`"
    )
