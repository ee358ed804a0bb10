"""The beats: words of each node about itself, a few times in a lease, and the newest ones of the others."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from relay.cluster.stream import Bus

LEADER: Final = "leader"
"""The bus's subject of the leader's beats."""

NODES: Final = "nodes"
"""The bus's subject of the followers' beats."""

BEATS_PER_LEASE: Final = 4
_FORGOTTEN_LEASES: Final = 3
"""Leases after which a node that says nothing is no longer there."""


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node's words about itself.

    Attributes:
        node: its name.
        term: the newest that it knows; the leader's own.
        number: the newest record that its database has.
        version: of its relay.
        address: where other nodes reach it, HOST:PORT.
        key: what proves to the leader that a node reads this bus.
        connections: how many clients are connected to it.
        ready: whether it has a database that it may lead with.
    """

    node: str
    term: int
    number: int
    version: str = ""
    address: str = ""
    key: str = ""
    connections: int = 0
    ready: bool = True


encode_beat: Final = msgspec.json.Encoder().encode
_decode_beat: Final = msgspec.json.Decoder(Beat).decode


def decode_beat(data: bytes) -> Beat | None:
    """Return a beat; None for bytes that are none, as a later relay's may be."""
    try:
        return _decode_beat(data)
    except msgspec.MsgspecError:
        return None


class Heard:
    """The others' newest beats, heard for as long as a node runs.

    Args:
        node: its own name.
        lease: seconds that a leader has for its next beat.

    Attributes:
        leader: the newest beat of the leader of the newest term; None before one was heard.
        others: the newest beats of the other nodes, by name, with when they came.
    """

    def __init__(self, node: str, bus: Bus, lease: float) -> None:
        self._node = node
        self._bus = bus
        self._lease = lease
        self._term = 0
        self._since = trio.current_time()
        self._changed = trio.Event()
        self.leader: Beat | None = None
        self.others: dict[str, tuple[Beat, float]] = {}

    async def run(self) -> None:
        """Listen for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_to_leader)
            nursery.start_soon(self._listen_to_nodes)

    async def _listen_to_leader(self) -> None:
        async with self._bus.subscribe(LEADER) as beats:
            async for data in beats:
                beat = decode_beat(data)
                if beat is not None and beat.term >= self._term:
                    self._take(beat)

    def _take(self, beat: Beat) -> None:
        known, self.leader, self._term = self.leader, beat, beat.term
        self._since = trio.current_time()
        self.others[beat.node] = (beat, self._since)
        if known is None or (known.term, known.node, known.key) != (beat.term, beat.node, beat.key):
            self.change()

    async def _listen_to_nodes(self) -> None:
        async with self._bus.subscribe(NODES) as beats:
            async for data in beats:
                if (beat := decode_beat(data)) is not None:
                    self.others[beat.node] = (beat, trio.current_time())

    def begin(self, term: int) -> None:
        """Count a leader of this term or a later one only; it has a lease from now on to speak."""
        self._term = term
        if self.leader is not None and self.leader.term < term:
            self.leader = None
        self._since = trio.current_time()

    def silence(self) -> float:
        """Return for how many seconds no such leader was heard."""
        return trio.current_time() - self._since

    def change(self) -> None:
        """Wake all who wait for another leader."""
        self._changed.set()
        self._changed = trio.Event()

    async def another(self) -> None:
        """Wait until another leader, or another term of one, was heard."""
        await self._changed.wait()

    def present(self) -> list[Beat]:
        """Return the newest beats of the nodes that were heard lately, this one left out."""
        since = trio.current_time() - self._lease * _FORGOTTEN_LEASES
        return [beat for beat, at in self.others.values() if at >= since and beat.node != self._node]

    def successor(self) -> str | None:
        """Return the node that has most of the records, of those that may lead; None without any."""
        ready = [beat for beat in self.present() if beat.ready]
        return max(ready, key=lambda beat: beat.number).node if ready else None
