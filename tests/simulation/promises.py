"""What relay promises, held against what every device saw and what the database holds."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from relay.client.events import Event

EVERYBODY = "*"


class Broken(NamedTuple):
    """A promise that was broken: which, in a word or two, by which two failures are alike; and how."""

    promise: str
    text: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}"


Tell = Callable[[str, str], None]
"""`tell(promise, text)` notes that a promise was broken."""


class Acked(NamedTuple):
    """An ack that a device had, and what it was for."""

    epoch: str
    message_id: int
    seq: int | None
    envelope: dict[str, Any]


class Witness:
    """What one device saw, and what of it is against the promises at first sight.

    Attributes:
        seen: the messages by epoch and message id: (seq, type, target, whether it came live).
        acks: by the messages' own ids; of several epochs the newest.
    """

    def __init__(self, user: str, client_id: str, tell: Tell) -> None:
        self.user = user
        self.client_id = client_id
        self._tell = tell
        self.epoch = ""
        self.seen: dict[tuple[str, int], tuple[int | None, str, str, bool]] = {}
        self.acks: dict[str, Acked] = {}
        self.answers: dict[str, str] = {}
        self._here: set[int] = set()
        self._live = 0
        self._synced = False

    def begins(self, epoch: str) -> None:
        """Take note of a new connection."""
        self.epoch = epoch
        self._here, self._live, self._synced = set(), 0, False

    def synced(self, cursor: int) -> None:
        """Take note that the replay is over."""
        self._live, self._synced = cursor, True

    def frame(self, event: Event, cursor: int | None) -> None:
        """Check a frame as it comes: none of the log's twice, and positions rise."""
        if event.type in ("ack", "error") or event.message_id is None:
            return
        id = event.message_id
        if event.seq is not None:
            if id in self._here:
                self._tell("once", f"{self.client_id} got message {id} twice on one connection")
            if cursor is not None and id <= cursor:
                self._tell("once", f"{self.client_id} got message {id} again, though its cursor is {cursor}")
            self._here.add(id)
        self._rises(event)
        self._see(event)

    def _rises(self, event: Event) -> None:
        """Check that live positions rise; a replay comes by priority."""
        id = event.message_id or 0
        if event.replay or not self._synced:
            return
        if id <= self._live:
            self._tell("order", f"{self.client_id} got message {id} live after {self._live}")
        self._live = id

    def delivered(self, event: Event, *, again: bool) -> None:
        """Check an event that a client gave its application: each of the log's once, over all connections.

        Args:
            again: whether it may come again, as the process died with it in its hands.
        """
        id = event.message_id
        if id is None:
            return
        if event.seq is not None and (self.epoch, id) in self.seen and not again:
            self._tell("once", f"{self.client_id}'s application got message {id} twice")
        self._see(event)

    def _see(self, event: Event) -> None:
        assert event.message_id is not None
        self.seen[self.epoch, event.message_id] = (
            event.seq, event.type, event.target_id or "", not event.replay
        )  # fmt: skip

    def answered(self, answer: Event, sent: dict[str, Any] | None) -> None:
        """Check an answer: a message has one ack, and the same one for ever."""
        ref = answer.meta.get("ref", "")
        self.answers[ref] = answer.type if answer.type == "ack" else str(answer.payload["code"])
        message_id = answer.payload.get("message_id")
        if answer.type != "ack" or message_id is None:
            return
        seq = answer.payload.get("seq")
        if not answer.payload["duplicate"] and self._synced:
            self._rises(Event("ack", {}, {"message_id": message_id}))
        earlier = self.acks.get(ref)
        if earlier is not None and earlier.epoch == self.epoch and earlier[1:3] != (message_id, seq):
            self._tell("one ack", f"{ref} was acked as {earlier[1:3]}, and then as {(message_id, seq)}")
        if sent is not None:
            self.acks[ref] = Acked(self.epoch, message_id, seq, sent)

    def knows(self, own_id: str) -> bool:
        """Return whether a message was acked by the database that the device is connected with."""
        return own_id in self.acks and self.acks[own_id].epoch == self.epoch

    def acked_again(self, number: int) -> dict[str, Any] | None:
        """Return one of the messages that were acked, to be sent again."""
        kept = [one.envelope for one in self.acks.values() if one.seq is not None]
        return kept[number % len(kept)] if kept else None


class Row(NamedTuple):
    """A message of the log."""

    message_id: int
    channel_id: int
    address: str
    seq: int
    type: str
    sender_id: str
    own_id: str | None
    client_id: str | None
    payload: dict[str, Any] | None


def read_log(connection: sqlite3.Connection) -> dict[int, Row]:
    """Return all messages of the log by their ids."""
    rows = connection.execute(
        "SELECT message_id, channel_id, address, seq, type, sender_id, own_id, client_id, payload"
        " FROM log JOIN channels USING (channel_id) ORDER BY message_id"
    )
    return {row[0]: Row(*row[:8], None if row[8] is None else msgspec.json.decode(row[8])) for row in rows}


@dataclass
class Stays:
    """Who was in a group when, by what its events say: ranges of (seq, message id), both ends included."""

    ranges: dict[str, list[list[tuple[int, int]]]] = field(default_factory=lambda: defaultdict(list))
    over: bool = False

    def take(self, row: Row) -> None:
        """Take one event of the group's."""
        event = row.payload or {}
        place, about = (row.seq, row.message_id), event.get("user_id", "")
        if event["event"] == "created":
            for member in event["members"]:
                self.ranges[member["user_id"]].append([place])
        elif event["event"] == "member_added":
            self.ranges[about].append([place])
        elif event["event"] == "member_removed":
            self.ranges[about][-1].append(place)
        elif event["event"] == "deleted":
            self.over = True
            for stays in self.ranges.values():
                if len(stays[-1]) == 1:
                    stays[-1].append(place)

    def is_in(self, user: str) -> bool:
        """Return whether a user is a member at the end."""
        return user in self.ranges and len(self.ranges[user][-1]) == 1

    def sees(self, user: str, seq: int, *, whole: bool) -> bool:
        """Return whether a user may see a message; with `whole`, members see what was before them too."""
        return any(
            (whole or first[0] <= seq) and (not rest or seq <= rest[0][0])
            for first, *rest in self.ranges.get(user, ())
        )

    def at(self, user: str, position: int) -> bool:
        """Return whether a user was a member when a position was given out."""
        return any(
            first[1] <= position and (not rest or position <= rest[0][1])
            for first, *rest in self.ranges.get(user, ())
        )


class Truth:
    """What the log of one epoch says: who may see what.

    Args:
        whole: the groups whose members see what was before them.
    """

    def __init__(self, rows: dict[int, Row], whole: set[str]) -> None:
        self.rows = rows
        self._whole = whole
        self.groups: dict[str, Stays] = defaultdict(Stays)
        for row in rows.values():
            if row.type == "group_event":
                self.groups[row.address].take(row)

    def may_see(self, user: str, row: Row) -> bool:
        """Return whether a user may see a message."""
        kind, _, rest = row.address.partition(":")
        if kind == "group":
            return self.groups[row.address].sees(user, row.seq, whole=rest in self._whole)
        return row.address == EVERYBODY or user in rest.split(":")

    def must_have(self, user: str, row: Row) -> bool:
        """Return whether every device of a user must have a message: they may see it, and are there now."""
        kind = row.address.partition(":")[0]
        if kind == "group" and (self.groups[row.address].over or not self.groups[row.address].is_in(user)):
            return False
        return self.may_see(user, row)


def check_log(rows: dict[int, Row], tell: Tell) -> None:
    """Check that each conversation counts from 1 without holes, and that nothing is stored twice."""
    seqs: dict[str, list[int]] = defaultdict(list)
    own: dict[tuple[str, str], int] = {}
    for row in rows.values():
        seqs[row.address].append(row.seq)
        if row.own_id is not None:
            other = own.setdefault((row.sender_id, row.own_id), row.message_id)
            if other != row.message_id:
                tell("stored once", f"{row.own_id} of {row.sender_id} is stored as {other} and {row.message_id}")
    for address, found in seqs.items():
        if found != list(range(1, len(found) + 1)):
            tell("no holes", f"{address} has the seqs {found}")


def check_acks(witness: Witness, logs: dict[str, dict[int, Row]], tell: Tell) -> None:
    """Check that whatever a device had acked is stored as it was acked."""
    for ref, acked in witness.acks.items():
        if acked.seq is None:
            continue
        row = logs[acked.epoch].get(acked.message_id)
        if row is None or (row.own_id, row.sender_id, row.seq) != (ref, witness.user, acked.seq):
            tell("acked is stored", f"{ref} was acked as {acked[1:3]}, and the log has {row} there")


def check_seen(witness: Witness, truths: dict[str, Truth], tell: Tell) -> None:
    """Check that a device was sent only what its user may see, and what is stored."""
    for (epoch, message_id), (seq, type_, target, live) in witness.seen.items():
        truth = truths[epoch]
        row = truth.rows.get(message_id)
        if seq is None:
            stays = truth.groups.get(f"group:{target}")
            if live and stays is not None and not stays.at(witness.user, message_id):
                tell("entitled", f"{witness.client_id} was sent the {type_} {message_id} of group {target}")
        elif row is None or row.seq != seq:
            tell("sent is stored", f"{witness.client_id} was sent message {message_id} ({type_}), and it is {row}")
        elif not truth.may_see(witness.user, row):
            how = "live" if live else "in a replay"
            tell("entitled", f"{witness.client_id} was sent message {message_id} of {row.address} {how}")


def check_complete(witness: Witness, shown: dict[str, set[int]], truth: Truth, tell: Tell) -> None:
    """Check that a device shows all that its user must have.

    Args:
        shown: the seqs that the device shows, by address.
    """
    for row in truth.rows.values():
        if truth.must_have(witness.user, row) and row.seq not in shown.get(row.address, ()):
            tell(
                "complete",
                f"{witness.client_id} lacks message {row.message_id}: {row.address} {row.seq} {row.type}",
            )


class Pointers:
    """A watch on everything that only moves forward: read pointers, what is delivered, what devices acked."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._known: dict[Any, tuple[int, ...]] = {}
        self.position = 0

    def forget(self) -> None:
        """Begin anew, with another database."""
        self._known.clear()
        self.position = 0

    def look(self, connection: sqlite3.Connection) -> None:
        """Compare with the last look."""
        found: dict[Any, tuple[int, ...]] = {}
        for channel_id, user, *seqs in connection.execute(
            "SELECT channel_id, user_id, read_seq, shown_seq FROM pointers"
        ):
            found["read", channel_id, user] = tuple(seqs)
        for user, delivered in connection.execute("SELECT user_id, delivered FROM users"):
            found["delivered", user] = (delivered,)
        for user, client_id, acked in connection.execute("SELECT user_id, client_id, acked FROM devices"):
            found["acked", user, client_id] = (acked,)
        for what, now in found.items():
            before = self._known.get(what, now)
            if any(later < earlier for earlier, later in zip(before, now, strict=True)):
                self._tell("forward", f"the pointer {what} moved from {before} to {now}")
        self._known = found
        position = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()[0]
        if position < self.position:
            self._tell("committed stays", f"the log ended at {self.position}, and now at {position}")
        self.position = position
