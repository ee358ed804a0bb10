"""The log: it stores batches of messages and gives them their positions.

One rising integer, `message_id`, numbers everything stored in the order of its commit; each conversation counts
its own stream messages by `seq`, from 1 and without holes. Both are given out here, in the writer's thread and
inside its transaction: a transaction that is rolled back gives its numbers back, so no hole can appear.

A batch is inserted by a handful of many-row statements. With one statement for each message, the thread would
release the interpreter lock and fight for it again each time, which costs more than SQLite itself does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.storage import tombstones
from relay.storage.entry import Entry, Unchanged
from relay.storage.health import is_the_disks
from relay.storage.idempotency import find_duplicate, settle, taken_by_latest
from relay.storage.observer import observer_of

STREAM_COLUMNS: Final = (
    "message_id, channel_id, seq, type, sender_id, target_id, client_id, own_id, digest, payload, timestamp,"
    " sent_at, expires_at"
)
_ROWS_AT_ONCE: Final = 256


@cache
def _many(head: str, row: str, tail: str, count: int) -> str:
    return head + ",".join([row] * count) + tail


def insert_many(
    connection: sqlite3.Connection, head: str, width: int, rows: Sequence[tuple[Any, ...]], tail: str = ""
) -> None:
    """Insert rows with statements of a power of two rows, so that each of the few statements is prepared once."""
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
    """Gives out positions and stores batches; it lives on the writer's side only."""

    def __init__(self) -> None:
        self._position: int | None = None
        self._seqs: dict[int, int] = {}

    def forget(self) -> None:
        """Forget the counters, after a rollback of a transaction that used them; they are read again."""
        self._position = None
        self._seqs.clear()

    def append(self, connection: sqlite3.Connection, entries: Sequence[Entry], now: float) -> int:
        """Store a batch in order, inside the caller's transaction; return the log's new end.

        Each entry ends with `message_id`, `seq` and `timestamp`, or with `error` set. An entry whose `own_id` was
        used before, in this batch or years ago, gets the first one's answer and `duplicate`.
        """
        seen: dict[tuple[str, str], Entry] = {}
        echoes: list[tuple[Entry, Entry]] = []
        waiting: list[Entry] = []
        for entry in entries:
            if entry.own_id is not None:
                first = seen.setdefault((entry.sender_id, entry.own_id), entry)
                if first is not entry:
                    # Where the two differ, this one may be the true retry of a message that was stored earlier.
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
        """Return a conversation's newest `seq`, or 0."""
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
        """Insert stream messages at once; if that meets an id that was used before, look each of them up."""
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
            at = now if entry.at is None else entry.at
            entry.message_id, entry.seq, entry.timestamp, entry.stored = position, seq, at, True
            rows.append(
                (
                    position, channel_id, seq, entry.type, entry.sender_id, entry.target_id, entry.client_id,
                    entry.own_id, entry.digest, entry.payload, at, entry.sent_at, entry.expires_at,
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
            # The index says that a copy is there and not which entry it is, so each is looked up, and those that
            # are new are inserted again. The recursion ends: every round has fewer entries. If no entry is a copy,
            # the index has refused for another reason, and the error is raised.
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
        """Store one message of a type with a hook in the transaction, or one latest value."""
        if find_duplicate(connection, entry):
            return
        connection.execute("SAVEPOINT entry")
        entry.timestamp = now if entry.at is None else entry.at
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
        """Move each sender's own read pointer to what they sent, and record that they spoke."""
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
    """Give a copy within one batch the answer of the first one."""
    entry.message_id, entry.seq, entry.timestamp = first.message_id, first.seq, first.timestamp
    entry.error = first.error
    if first.error is None or entry.digest != first.digest:
        settle(entry, first.digest)


def _refuse(entry: Entry, refusal: Exception) -> None:
    """Give an entry the error for an exception of its hook."""
    if isinstance(refusal, RelayError):
        entry.error = refusal
    elif not isinstance(refusal, Unchanged):
        entry.fault = refusal
        entry.error = RelayError(ErrorCode.PLUGIN_FAILED, f"the plugin for {entry.type!r} failed")
