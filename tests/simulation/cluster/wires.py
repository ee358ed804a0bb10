"""The network between devices and nodes: a connection enters at one node, and the leader serves it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import trio

from tests.simulation.network import DELAYS, End, Network, Trace, Wire

if TYPE_CHECKING:
    from tests.simulation.cluster.node import Node

_HELD = 6.0
"""Seconds for which a connection is held while no leader is known."""

_LOOKS = 0.2


class _Sizes(Trace):
    """A trace that leaves out what is sent: a database's bytes have in them when its tables were really made."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def note(self, what: str, data: bytes = b"") -> None:
        """Add something that happened now."""
        self._trace.note(f"{what} {len(data)}")


class _ServedEnd(End):
    """The leader's end of a connection; nothing passes while a process on the way is stopped."""

    _wire: NodeWire

    async def _running(self) -> None:
        await self._wire.entry.line.running()
        await self._wire.leader.line.running()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send once both processes run."""
        await self._running()
        await super().send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has arrived, once both processes run."""
        await self._running()
        data = await super().receive_some(max_bytes)
        await self._running()
        return data


class NodeWire(Wire):
    """One connection, from a device through the node that it has dialled to the one that leads.

    Attributes:
        entry: the node that was dialled.
        leader: the one that serves it; the same where that leads itself.
    """

    def __init__(
        self, name: str, rng: random.Random, trace: Trace, slowness: float, entry: Node, leader: Node
    ) -> None:
        super().__init__(name, rng, trace, slowness)
        self.entry, self.leader = entry, leader
        self.server = _ServedEnd(self, f"{name} <")
        self.server.peer, self.device.peer = self.device, self.server


class ClusterNetwork(Network):
    """Connects each device to a node that it has chosen, and to another one where that does not answer."""

    def __init__(self, rng: random.Random, trace: Trace, nodes: list[Node]) -> None:
        super().__init__(rng, trace)
        self._nodes = nodes
        self._unlinked: set[frozenset[str]] = set()
        self.homes: dict[str, int] = {}

    def linked(self, one: Node, other: Node) -> bool:
        """Return whether two nodes reach each other."""
        return frozenset((one.name, other.name)) not in self._unlinked

    def unlink(self, one: Node, other: Node) -> None:
        """Have two nodes no longer reach each other; what is passed on between them is swallowed."""
        self._unlinked.add(frozenset((one.name, other.name)))
        for wire in self._between(one, other):
            wire.fall_silent()

    def link(self, one: Node, other: Node) -> None:
        """Have two nodes reach each other again, on new connections."""
        self._unlinked.discard(frozenset((one.name, other.name)))
        for wire in self._between(one, other):
            if wire.silent:
                wire.cut()

    def _wires(self) -> list[NodeWire]:
        return [wire for wire in self._open if isinstance(wire, NodeWire)]

    def _between(self, one: Node, other: Node) -> list[NodeWire]:
        return [wire for wire in self._wires() if {wire.entry, wire.leader} == {one, other}]

    def process_ends(self, node: Node, *, at_once: bool) -> None:
        """Break what goes through a node; with `at_once` what it still sends reaches nobody."""
        for wire in self._wires():
            if wire.leader is node and at_once:
                wire.server_dies()
            elif node in (wire.entry, wire.leader):
                wire.cut()

    def term_ends(self, node: Node) -> None:
        """Break what a node serves that leads no more."""
        for wire in self._wires():
            if wire.leader is node:
                wire.cut()

    def turns(self, node: Node) -> None:
        """Break what a node passes on to another leader than the one that it knows."""
        for wire in self._wires():
            if wire.entry is node and wire.leader is not self._leader(node):
                wire.cut()

    def calm(self) -> None:
        """Be quick from now on; all nodes reach each other."""
        super().calm()
        self._unlinked.clear()

    def _leader(self, node: Node) -> Node | None:
        """Return who leads, as far as a node knows."""
        if node.life is not None or node.heard.leader is None:
            return node if node.life is not None else None
        return next((one for one in self._nodes if one.name == node.heard.leader.node), None)

    async def _find(self, node: Node) -> Node | None:
        """Wait until a node can pass a connection on, for a while; return to which one."""
        with trio.move_on_after(_HELD):
            while node.up:
                await node.line.running()
                leader = self._leader(node) if node.up else None
                if leader is not None and leader.life is not None and self.linked(node, leader):
                    return leader
                await trio.sleep(_LOOKS)
        return None

    async def dial(self, device: str) -> End:
        """Open a connection.

        Raises:
            OSError: the node is gone, or knows of no leader.
        """
        await trio.sleep(self._rng.choice(DELAYS))
        at = self.homes.setdefault(device, len(self.homes)) % len(self._nodes)
        leader = await self._find(node := self._nodes[at])
        if leader is None or leader.life is None:
            self.homes[device] = at + 1
            raise ConnectionRefusedError("connection refused")
        self.wires[device] = wire = self._wire(device, node, leader, self._trace)
        leader.life.accept(wire.server)
        return wire.device

    def wire_for_copy(self, node: Node, leader: Node) -> NodeWire:
        """Make a connection on which a node takes the leader's database."""
        return self._wire(f"{node.name} copies", node, leader, _Sizes(self._trace))

    def _wire(self, name: str, entry: Node, leader: Node, trace: Trace) -> NodeWire:
        self._count += 1
        wire = NodeWire(f"{name}/{self._count}", self._rng, trace, self.slowness, entry, leader)
        self._open = [one for one in self._open if not (one.device.closed and one.server.closed)]
        self._open.append(wire)
        return wire
