"""The log: appending a batch and getting its positions.

One rising integer, `message_id`, numbers everything stored in the order of its commit; each
conversation counts its own stream messages by `seq`, contiguous from 1. Both are handed out here, in
the writer's thread and inside its transaction, so that no hole can appear: what is rolled back gives
its numbers back.

A batch is inserted by a handful of many-row statements. One statement a message would let go of the
interpreter lock and fight for it again at every message, which costs more than SQLite itself does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.storage import tombstones
from relay.storage.health import is_the_disks
from relay.storage.idempotency import find_duplicate, settle, taken_by_latest
from relay.storage.observer import observer_of

STREAM_COLUMNS: Final = (
    "message_id, channel_id, seq, type, sender_id, target_id, client_id, own_id, digest, payload, timestamp,"
    " sent_at, expires_at"
)
_ROWS_AT_ONCE: Final = 256
Apply = Callable[[sqlite3.Connection, "Entry"], "str | None"]
After = Callable[[sqlite3.Connection, "Entry"], None]


class Unchanged(Exception):
    """Raised by an `apply` hook: the message says nothing new; ack it and store nothing."""


@dataclass(slots=True, eq=False)
class Entry:
    """One message on its way into the log; `append` fills in the second half.

    Attributes:
        key: what a latest type replaces by, within (conversation, type, sender).
        digest: tells the same content from other content under the same `own_id`.
        apply: runs in the message's transaction, before it is stored; it may return another payload to
            store, raise Unchanged, or raise RelayError to refuse the message. `timestamp` is known.
        after: runs in the same transaction once it is stored: `message_id` and `seq` are known.
        reads: whether sending moves the sender's own read pointer.
        only_for: the one member who sees it, for a latest type; None for all of them.
        collapse: for a stream type: an older message of the same (conversation, type, sender, collapse)
            becomes a tombstone.
        about: the message that this one says something of, and goes with.
        expires_at: when it becomes a tombstone, Unix seconds.
        answer: what its ack says besides.
        elsewhere: whether it is stored where its sender did not send it; then its ack has no `seq`.
        depth: how many answers of programs led to it; for a stream type.
    """

    channel_id: int
    type: str
    kind: Kind
    sender_id: str
    target_id: str
    client_id: str | None
    own_id: str | None
    digest: bytes | None
    payload: str
    sent_at: float | None
    key: str = ""
    apply: Apply | None = None
    reads: bool = True
    only_for: str | None = None
    after: After | None = None
    collapse: str | None = None
    about: int | None = None
    expires_at: float | None = None
    answer: dict[str, Any] | None = None
    elsewhere: bool = False
    depth: int = 0

    replaces: int | None = None
    message_id: int | None = None
    seq: int | None = None
    timestamp: float = 0.0
    duplicate: bool = False
    stored: bool = False
    error: RelayError | None = None
    fault: Exception | None = None

    @property
    def plain(self) -> bool:
        """Whether storing it is one row and nothing else, so that many can be stored by one statement."""
        return (
            self.kind is Kind.STREAM
            and self.apply is None
            and self.after is None
            and self.collapse is None
            and not self.depth
        )


@cache
def _many(head: str, row: str, tail: str, count: int) -> str:
    return head + ",".join([row] * count) + tail


def insert_many(
    connection: sqlite3.Connection, head: str, width: int, rows: Sequence[tuple[Any, ...]], tail: str = ""
) -> None:
    """Insert rows by as few statements as powers of two allow, so that each is prepared once, ever."""
    placeholders = "(" + ",".join("?" * width) + ")"
    start = 0
    while left := len(rows) - start:
        count = min(_ROWS_AT_ONCE, 1 << (left.bit_length() - 1))
        parameters: list[Any] = []
        for row in rows[start : start + count]:
            parameters.extend(row)
        connection.execute(_many(head, placeholders, tail, count), parameters)
        start += count


class Log:
    """Hands out positions and stores batches; lives on the writer's side only."""

    def __init__(self) -> None:
        self._position: int | None = None
        self._seqs: dict[int, int] = {}

    def forget(self) -> None:
        """Read the counters anew: a transaction that used them was rolled back."""
        self._position = None
        self._seqs.clear()

    def append(self, connection: sqlite3.Connection, entries: Sequence[Entry], now: float) -> int:
        """Store a batch in order, inside the caller's transaction, and return the log's new end.

        Each entry ends with `message_id`, `seq` and `timestamp`, or with `error` set; the same `own_id`
        again, in this batch or years ago, gets the first one's answer and `duplicate`.
        """
        seen: dict[tuple[str, str], Entry] = {}
        echoes: list[tuple[Entry, Entry]] = []
        waiting: list[Entry] = []
        for entry in entries:
            if entry.own_id is not None:
                first = seen.setdefault((entry.sender_id, entry.own_id), entry)
                if first is not entry:
                    # A retry of what was stored before is known now: a later one of this batch may take its place.
                    if entry.digest == first.digest or not find_duplicate(connection, entry):
                        echoes.append((entry, first))
                    continue
            if entry.plain:
                waiting.append(entry)
                continue
            self._store_streams(connection, waiting, now)
            waiting = []
            self._store_carefully(connection, entry, now)
        self._store_streams(connection, waiting, now)
        for entry, first in echoes:
            _echo(entry, first)
        self._move_senders(connection, entries)
        return self.position(connection)

    def position(self, connection: sqlite3.Connection) -> int:
        """Return the highest position ever handed out."""
        if self._position is None:
            row = connection.execute(
                "SELECT max((SELECT coalesce(max(message_id), 0) FROM log),"
                " (SELECT coalesce(max(message_id), 0) FROM latest),"
                " (SELECT value FROM facts WHERE name = 'high_water'))"
            ).fetchone()
            self._position = int(row[0])
        return self._position

    def last_seq(self, connection: sqlite3.Connection, channel_id: int) -> int:
        """Return a conversation's newest `seq`, 0 when it has none."""
        seq = self._seqs.get(channel_id)
        if seq is None:
            row = connection.execute(
                "SELECT max(coalesce((SELECT max(seq) FROM log WHERE channel_id = ?1), 0),"
                " coalesce((SELECT floor_seq FROM channels WHERE channel_id = ?1), 0))",
                (channel_id,),
            ).fetchone()
            seq = int(row[0])
            if len(self._seqs) > 100_000:
                self._seqs.clear()
            self._seqs[channel_id] = seq
        return seq

    def _store_streams(self, connection: sqlite3.Connection, entries: list[Entry], now: float) -> None:
        """Insert stream messages at once; where that meets an own id already taken, look before each."""
        if not entries:
            return
        position = before = self.position(connection)
        seqs: dict[int, int] = {}
        rows = []
        for entry in entries:
            position += 1
            channel_id = entry.channel_id
            seq = seqs.get(channel_id)
            if seq is None:
                seq = self.last_seq(connection, channel_id)
            seqs[channel_id] = seq = seq + 1
            entry.message_id, entry.seq, entry.timestamp, entry.stored = position, seq, now, True
            rows.append(
                (
                    position, channel_id, seq, entry.type, entry.sender_id, entry.target_id, entry.client_id,
                    entry.own_id, entry.digest, entry.payload, now, entry.sent_at, entry.expires_at,
                )
            )  # fmt: skip
        if len(entries) > 1:
            connection.execute("SAVEPOINT streams")
        try:
            if taken_by_latest(connection, entries):
                raise sqlite3.IntegrityError("a latest value has one of these own ids")
            insert_many(connection, f"INSERT INTO log ({STREAM_COLUMNS}) VALUES ", 13, rows)
        except sqlite3.IntegrityError:
            if len(entries) > 1:
                connection.execute("ROLLBACK TO streams")
                connection.execute("RELEASE streams")
            for entry in entries:
                entry.message_id = entry.seq = None
                entry.stored = False
            self._position = before
            fresh = [entry for entry in entries if not find_duplicate(connection, entry)]
            if len(fresh) == len(entries):
                raise
            self._store_streams(connection, fresh, now)
            return
        if len(entries) > 1:
            connection.execute("RELEASE streams")
        self._position = position
        self._seqs.update(seqs)
        if (observer := observer_of(connection)) is not None:
            observer.stored(connection, entries)

    def _store_carefully(self, connection: sqlite3.Connection, entry: Entry, now: float) -> None:
        """Store one message whose type has a hook to run in the transaction, or is a latest value."""
        if find_duplicate(connection, entry):
            return
        connection.execute("SAVEPOINT entry")
        entry.timestamp = now
        try:
            if entry.apply is not None:
                entry.payload = entry.apply(connection, entry) or entry.payload
            if entry.kind is Kind.STREAM:
                self._store_streams(connection, [entry], now)
                if entry.depth:
                    connection.execute(
                        "UPDATE log SET depth = ? WHERE message_id = ?", (entry.depth, entry.message_id)
                    )
                tombstones.collapse(connection, entry, now)
            else:
                self._store_latest(connection, entry, now)
            if entry.after is not None:
                entry.after(connection, entry)
        except Exception as refusal:
            if is_the_disks(refusal):
                raise
            connection.execute("ROLLBACK TO entry")
            self.forget()
            entry.message_id = entry.seq = None
            entry.stored = False
            _refuse(entry, refusal)
        connection.execute("RELEASE entry")

    def _store_latest(self, connection: sqlite3.Connection, entry: Entry, now: float) -> None:
        position = self.position(connection) + 1
        connection.execute(
            "INSERT OR REPLACE INTO latest (message_id, channel_id, type, sender_id, key, target_id,"
            " client_id, own_id, digest, payload, timestamp, sent_at, only_for, about)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                position, entry.channel_id, entry.type, entry.sender_id, entry.key, entry.target_id,
                entry.client_id, entry.own_id, entry.digest, entry.payload, now, entry.sent_at, entry.only_for,
                entry.about,
            ),
        )  # fmt: skip
        self._position = position
        entry.message_id, entry.timestamp, entry.stored = position, now, True
        if (observer := observer_of(connection)) is not None:
            observer.stored(connection, [entry])

    def _move_senders(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Move each sender's own read pointer to what they sent, and note that they spoke: sending is reading."""
        pointers = {
            (entry.channel_id, entry.sender_id): entry.seq
            for entry in entries
            if entry.reads and entry.stored and entry.seq is not None
        }
        insert_many(
            connection,
            "INSERT INTO pointers (channel_id, user_id, read_seq, spoke) VALUES ",
            4,
            [(*who, seq, 1) for who, seq in pointers.items()],
            " ON CONFLICT DO UPDATE SET read_seq = max(read_seq, excluded.read_seq), spoke = 1",
        )


def _echo(entry: Entry, first: Entry) -> None:
    """Answer a copy within one batch as its first was answered."""
    entry.message_id, entry.seq, entry.timestamp = first.message_id, first.seq, first.timestamp
    entry.error = first.error
    if first.error is None or entry.digest != first.digest:
        settle(entry, first.digest)


def _refuse(entry: Entry, refusal: Exception) -> None:
    """Give an entry the answer to what its hook raised."""
    if isinstance(refusal, RelayError):
        entry.error = refusal
    elif not isinstance(refusal, Unchanged):
        entry.fault = refusal
        entry.error = RelayError(ErrorCode.PLUGIN_FAILED, f"the plugin for {entry.type!r} failed")
