"""A watch on the stream, and on what nodes commit: one chain, one writer in a term, and nothing that is not in it."""

from __future__ import annotations

import sqlite3
from collections import Counter

from relay.cluster.records import START, Assembler, Damaged, Kind, Record
from relay.storage.cluster import read_position
from tests.simulation.promises import Tell


class StreamWatch:
    """Holds each entry, and each commit of a node, against the records that came before.

    Attributes:
        term: the newest in the stream.
        leaders: who leads in each term.
        kinds: how many records there are of each kind.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._assembler = Assembler()
        self._number, self._digest = 0, START
        self._digests = {0: START}
        self._places = {0: 0}
        self._at: dict[str, int] = {}
        self.term = 0
        self.leaders: dict[int, str] = {}
        self.kinds: Counter[Kind] = Counter()

    @property
    def end(self) -> int:
        """The place of the newest record's last entry."""
        return self._places[self._number]

    def take(self, author: str, place: int, data: bytes) -> None:
        """Take an entry that a node has appended."""
        try:
            records = list(self._assembler.add(data))
        except Damaged as wrong:
            self._tell("one chain", f"the entry {place} of {author}: {wrong}")
            return
        for record in records:
            self._check(author, record)
            self.kinds[record.kind] += 1
            self._number, self._digest = record.number, record.digest()
            self._digests[record.number] = self._digest
            self._places[record.number] = place

    def _check(self, author: str, record: Record) -> None:
        if record.number != self._number + 1 or record.before != self._digest:
            self._tell("one chain", f"{author}'s record {record.number} does not continue {self._number}")
        if record.kind is Kind.TERM:
            if record.term != self.term + 1:
                self._tell("one chain", f"{author} begins the term {record.term} after {self.term}")
            named = record.body.decode()
            if author not in (named, self.leaders.get(self.term)):
                self._tell("one leader", f"{author}, who does not lead, has {named} lead")
            self.term = record.term
            self.leaders[record.term] = named
        elif record.term != self.term or self.leaders.get(record.term) != author:
            self._tell(
                "one leader",
                f"{author} writes the record {record.number} of term {record.term}; in term {self.term}"
                f" {self.leaders.get(self.term)} leads",
            )

    def led(self, node: str, connection: sqlite3.Connection) -> bool:
        """Check what a leader has committed: its record is in the stream, and no later term was when it came.

        Returns whether it has committed a record: who is deposed may still end a transaction without changes.
        """
        position = read_position(connection)
        if position is None or self._digests.get(position.number) != position.digest:
            self._tell("in the stream first", f"{node} has committed {position}, which is not in the stream")
            return False
        moved = position.number != self._at.get(node, position.number)
        if moved and (position.term != self.term or position.number != self._number):
            self._tell("the deposed are mute", f"{node} commits {position} in term {self.term}")
        self._at[node] = position.number
        return moved

    def applied(self, node: str, connection: sqlite3.Connection) -> None:
        """Check what a follower has committed: it is in the stream, at that place."""
        position = read_position(connection)
        if position is None:
            self._tell("in the stream first", f"{node} has no position")
        elif (self._digests.get(position.number), self._places.get(position.number)) != (
            position.digest, position.sequence
        ):  # fmt: skip
            self._tell("in the stream first", f"{node} has applied {position}, which is not in the stream")
        else:
            self._at[node] = position.number
