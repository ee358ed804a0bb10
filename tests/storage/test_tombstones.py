"""Tombstones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import Kind
from relay.storage import tombstones
from relay.storage.entry import Entry
from relay.storage.log import Log
from relay.storage.observer import Writer
from relay.storage.upgrading import migrate
from tests.storage.books import fresh


def entry(type_: str = "note", sender: str = "alice", **more: Any) -> Entry:
    return Entry(
        channel_id=1,
        type=type_,
        kind=Kind.STREAM,
        sender_id=sender,
        target_id="team",
        client_id=None,
        own_id=None,
        digest=None,
        payload='{"content":"x"}',
        sent_at=None,
        **more,
    )


@pytest.fixture
def connection() -> sqlite3.Connection:
    return fresh()


def standing(connection: sqlite3.Connection) -> list[int]:
    """Return the seqs of messages that still say something."""
    rows = connection.execute("SELECT seq, payload FROM log WHERE channel_id = 1 ORDER BY seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    return [seq for seq, payload in rows if payload is not None]


def test_what_is_said_about_a_message_goes_with_it(connection: sqlite3.Connection) -> None:
    log = Log()
    first, other = entry(), entry()
    log.append(connection, [first, other], 1.0)
    edit = entry("edit", collapse=str(first.message_id), about=first.message_id)
    like = entry("like", about=first.message_id, key="1")
    like.kind = Kind.LATEST
    log.append(connection, [edit, like], 2.0)
    assert first.message_id is not None
    connection.execute("INSERT INTO holds (attachment_id, message_id) VALUES ('file', ?)", (first.message_id,))
    tombstones.erase_messages(connection, [first.message_id], 3.0)
    assert standing(connection) == [2]
    for table in ("latest", "newest", "holds"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    tombstones.erase_messages(connection, [first.message_id], 9.0)
    assert connection.execute("SELECT deleted_at FROM log WHERE seq = 1").fetchone() == (3.0,)


def test_a_newer_message_of_the_same_key_replaces_the_older_and_no_other(connection: sqlite3.Connection) -> None:
    log = Log()
    log.append(connection, [entry(collapse="a"), entry(collapse="b"), entry("other", collapse="a"), entry()], 1.0)
    log.append(connection, [entry(sender="bob", collapse="a"), entry(collapse="a")], 2.0)
    assert standing(connection) == [2, 3, 4, 5, 6]
    log.append(connection, [entry(collapse="a"), entry(collapse="a")], 3.0)
    assert standing(connection) == [2, 3, 4, 5, 8]


def test_nothing_of_a_text_is_left_to_compare_a_guess_with(connection: sqlite3.Connection) -> None:
    said = entry()
    said.own_id, said.digest = "1", b"of the text"
    Log().append(connection, [said], 1.0)
    tombstones.erase_messages(connection, [1], 2.0)
    assert connection.execute("SELECT payload, digest FROM log").fetchall() == [(None, None)]


def test_a_message_tells_which_one_it_replaces_and_it_is_one_of_the_same_sender(
    connection: sqlite3.Connection,
) -> None:
    log = Log()
    log.append(connection, [entry(collapse="a"), entry(sender="bob", collapse="a")], 1.0)
    newer = entry(collapse="a")
    log.append(connection, [newer], 2.0)
    assert standing(connection) == [2, 3]
    assert connection.execute("SELECT replaces FROM log ORDER BY seq").fetchall() == [(None,), (None,), (1,)]
    assert newer.replaces == 1


def test_what_is_refused_after_it_was_stored_replaces_nothing(connection: sqlite3.Connection) -> None:
    log = Log()
    log.append(connection, [entry(collapse="a")], 1.0)

    def fail(_connection: sqlite3.Connection, _entry: Entry) -> None:
        raise ValueError("no")

    refused = entry(collapse="a", after=fail)
    log.append(connection, [refused], 2.0)
    assert isinstance(refused.fault, ValueError)
    assert (refused.stored, refused.message_id, refused.seq) == (False, None, None)
    assert standing(connection) == [1]
    log.append(connection, [entry()], 3.0)
    assert standing(connection) == [1, 2]


def test_messages_expire_in_the_order_of_their_times_a_slice_at_a_time(connection: sqlite3.Connection) -> None:
    log = Log()
    assert tombstones.next_expiry(connection) is None
    log.append(connection, [entry(expires_at=at) for at in (30.0, 10.0, 20.0)] + [entry()], 1.0)
    expire = partial(tombstones.expire, connection)
    assert tombstones.next_expiry(connection) == 10.0
    assert expire(5.0, 10) == 0
    assert expire(25.0, 1) == 1
    assert standing(connection) == [1, 3, 4]
    assert expire(25.0, 10) == 1
    assert tombstones.next_expiry(connection) == 30.0
    assert expire(30.0, 10) == 1
    assert connection.execute("SELECT deleted_at FROM log WHERE seq < 4 ORDER BY seq").fetchall() == [
        (30.0,),
        (10.0,),
        (20.0,),
    ]
    assert tombstones.next_expiry(connection) is None


class Keeper:
    """A observer that keeps some messages and notes what became a tombstone."""

    def __init__(self, *kept: int) -> None:
        self.keeps = set(kept)
        self.gone: list[int] = []

    def stored(self, _connection: sqlite3.Connection, _entries: Any) -> None:
        """Take no note."""

    def edited(self, _connection: sqlite3.Connection, _message: Any) -> None:
        """Take no note."""

    def kept(self, _connection: sqlite3.Connection, message_ids: Any) -> set[int]:
        return self.keeps & set(message_ids)

    def erased(self, _connection: sqlite3.Connection, message_ids: Any) -> None:
        self.gone += message_ids


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Writer]:
    migrate(tmp_path / "relay.db")
    connection = sqlite3.connect(tmp_path / "relay.db", isolation_level=None, factory=Writer)
    yield connection
    connection.close()


def test_what_a_witness_keeps_stays_with_what_is_said_about_it(watched: Writer) -> None:
    log, first, other = Log(), entry(), entry()
    log.append(watched, [first, other], 1.0)
    edit = entry("edit", collapse=str(first.message_id), about=first.message_id)
    log.append(watched, [edit], 2.0)
    assert first.message_id is not None
    assert other.message_id is not None
    watched.observer = keeper = Keeper(first.message_id)
    assert tombstones.erase_messages(watched, [first.message_id, other.message_id], 3.0) == [other.message_id]
    assert standing(watched) == [1, 3]
    assert keeper.gone == [other.message_id]
    keeper.keeps = {edit.message_id or 0}
    assert tombstones.erase_messages(watched, [first.message_id, other.message_id], 4.0) == [first.message_id]
    assert standing(watched) == [3]


def test_what_is_kept_when_it_was_to_expire_is_looked_at_again_a_day_later(watched: Writer) -> None:
    kept, gone = entry(expires_at=10.0), entry(expires_at=10.0)
    Log().append(watched, [kept, gone], 1.0)
    watched.observer = keeper = Keeper(kept.message_id or 0)
    assert tombstones.expire(watched, 20.0, 10) == 2
    assert standing(watched) == [1]
    assert tombstones.next_expiry(watched) == 20.0 + 86_400
    keeper.keeps.clear()
    assert tombstones.expire(watched, 90_000.0, 10) == 1
    assert standing(watched) == []
