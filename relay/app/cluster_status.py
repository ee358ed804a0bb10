"""The cluster as this node sees it, for its operators; and the move of the leader to another node."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

import trio

from relay.cluster.beats import Beat, Heard
from relay.cluster.replication import LeaderLog
from relay.engine.cluster_office import ClusterNode, ClusterStatus
from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.jobs import Runner

_BEHIND: Final = 1000
"""Records that a node may lack and be made the leader all the same: it reads them first, while nobody writes."""


class Office:
    """One node's office of its cluster.

    Args:
        cluster: its name.
        beat: returns what this node says of itself now.

    Attributes:
        term: the writer of the term that this node leads, with its log; None while it does not.
    """

    def __init__(self, cluster: str, heard: Heard, beat: Callable[[], Beat]) -> None:
        self._cluster = cluster
        self._heard = heard
        self._beat = beat
        self.term: tuple[Runner, LeaderLog] | None = None

    def leader(self) -> Beat | None:
        """Return the leader's newest beat; None while nobody is heard to lead."""
        return self._beat() if self.term is not None else self._heard.leader

    def status(self) -> ClusterStatus:
        """Return the nodes that were heard lately, and how far each is."""
        own, leader = self._beat(), self.leader()
        beats = sorted([own, *self._heard.present()], key=lambda beat: beat.node)
        newest = own.number if leader is None else leader.number
        return ClusterStatus(
            name=self._cluster,
            node=own.node,
            leader=None if leader is None else leader.node,
            term=max(beat.term for beat in beats),
            nodes=[
                ClusterNode(
                    node=beat.node,
                    role="leader" if leader is not None and beat.node == leader.node else "follower",
                    term=beat.term,
                    number=beat.number,
                    behind=max(0, newest - beat.number),
                    version=beat.version,
                    connections=beat.connections,
                    address=beat.address,
                    silent_seconds=self._silent(beat.node),
                )
                for beat in beats
            ],
        )

    def successor(self) -> str | None:
        """Return the node that should lead when this one stops; None without any."""
        return self._heard.successor()

    def _silent(self, node: str) -> float:
        heard = self._heard.others.get(node)
        return 0.0 if heard is None or node == self._beat().node else trio.current_time() - heard[1]

    async def move(self, node: str, note: Callable[[sqlite3.Connection], None]) -> None:
        """Have another node lead: it is written down in the last transaction of this node's term.

        Args:
            note: called in that transaction.

        Raises:
            RelayError: `conflict`: this node does not lead, or the other one cannot at the moment.
            StorageError: the transaction failed.
        """
        if self.term is None:
            raise RelayError(ErrorCode.CONFLICT, "this node does not lead")
        runner, log = self.term
        other = next((beat for beat in self._heard.present() if beat.node == node), None)
        if other is None or not other.ready:
            why = "was not heard of lately" if other is None else "has no database that it may lead with"
            raise RelayError(ErrorCode.CONFLICT, f"{node} cannot lead: it {why}")
        if (behind := log.position.number - other.number) > _BEHIND:
            raise RelayError(ErrorCode.CONFLICT, f"{node} cannot lead yet: it lacks {behind:,} records")

        def hand_over(connection: sqlite3.Connection) -> None:
            note(connection)
            log.hand_over(node)

        await runner.write(hand_over)


class FollowersOffice:
    """The same, for a node that follows: it can tell, and moves nothing.

    Args:
        office: the node's.
    """

    def __init__(self, office: Office) -> None:
        self._office = office

    def status(self) -> ClusterStatus:
        """Return the nodes that were heard lately, and how far each is."""
        return self._office.status()

    async def move(self, _node: str) -> None:
        """Refuse, and name who can.

        Raises:
            RelayError: `conflict`.
        """
        leader = self._office.leader()
        where = "nobody leads at the moment" if leader is None else f"run it at the leader, {leader.node}"
        raise RelayError(ErrorCode.CONFLICT, f"this node follows; {where}")
