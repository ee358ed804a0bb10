"""The message system of a cluster, as it is needed: one stream of records in one order, and a bus beside it.

`relay.cluster.nats` is both on NATS JetStream; the simulation has its own on virtual time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import trio


class Unreachable(Exception):
    """The stream did not answer; what was appended may be in it or not."""


class Refused(Exception):
    """Something else stands in the stream where a record was to be appended."""


class Missing(Exception):
    """The stream has not kept the entries that were asked for, or it was made anew."""


class NoStream(Exception):
    """The cluster has no stream yet: nobody has begun it, or NATS has lost it."""


class Entry(NamedTuple):
    """One entry of the stream.

    Attributes:
        sequence: its place, from 1 on without a hole.
        data: a part of a record.
    """

    sequence: int
    data: bytes


class Stream(Protocol):
    """The stream of a cluster: every entry at one place, the same for all nodes, kept for a bounded time."""

    @property
    def most_bytes(self) -> int:
        """The most bytes that an entry has."""

    def append(self, parts: Sequence[bytes], expected: int) -> int:
        """Append entries one after the other behind the place `expected`, and return the place of the last one.

        It blocks, and is called on the writer's thread; not on the event loop, but on virtual time.

        Raises:
            Refused: there is something behind `expected` already.
            Unreachable: it is not known whether they are there; from now on they may come to stand there at any
                time, but never behind anything else.
        """

    async def last(self) -> int:
        """Return the place of the newest entry; 0 for a stream that has none yet.

        Raises:
            Unreachable: the stream did not answer.
            NoStream: there is none.
        """

    def entries(self, after: int) -> AbstractAsyncContextManager[AsyncIterator[Entry]]:
        """Return all entries behind the place `after` as they come, in order, for ever.

        One may come twice. A connection that breaks is made again; meanwhile none comes.

        Raises:
            Missing: the stream has no longer what came next.
            NoStream: there is none.
        """

    async def create(self) -> None:
        """Make the stream; it is empty. One that is there already stays as it is.

        Raises:
            Unreachable: NATS did not answer, or does not allow it.
        """


class Bus(Protocol):
    """Messages between nodes that may be lost, and reach only who listens."""

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to all nodes that listen to `subject`, this one included; lost where the bus is away."""

    def subscribe(self, subject: str) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[bytes]]:
        """Return what comes to `subject`; the oldest are dropped where nobody takes them."""
