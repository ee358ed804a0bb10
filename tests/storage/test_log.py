"""The log against a model in plain Python: whatever batches come, in whatever order, with whatever hooks."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.storage.entry import Entry, Unchanged
from relay.storage.log import Log, insert_many
from tests.storage.books import channel, fresh, message

OTHER = '{"content":"other"}'
REFUSALS = {"refuses": ErrorCode.FORBIDDEN, "breaks": ErrorCode.PLUGIN_FAILED}
HOOKS = ("none", "notes", "rewrites", "refuses", "unchanged", "breaks")


@dataclass(frozen=True)
class Wish:
    """One message that an example sends."""

    channel: int
    sender: str
    own_id: str | None
    content: str
    kind: Kind
    key: str
    hook: str


class Answer(NamedTuple):
    """What an entry is answered; `stored` is True for the one entry that made the row."""

    message_id: int | None
    seq: int | None
    timestamp: float | None
    duplicate: bool
    stored: bool
    code: ErrorCode | None


def refused(code: ErrorCode) -> Answer:
    return Answer(None, None, None, False, False, code)


@dataclass
class Model:
    """What the log should hold and answer, as plain values."""

    position: int = 0
    seqs: dict[int, int] = field(default_factory=dict)
    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    own_ids: dict[tuple[str, str], tuple[int, int | None, float, bytes | None]] = field(default_factory=dict)
    latest: dict[tuple[Any, ...], int] = field(default_factory=dict)
    pointers: dict[tuple[int, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def append(self, wishes: list[Wish], entries: list[Entry], now: float) -> list[Answer]:
        """Say what each entry should be answered; a copy within the batch is answered as its first was."""
        firsts: dict[tuple[str, str], tuple[Entry, Answer]] = {}
        answers: list[Answer] = []
        for wish, entry in zip(wishes, entries, strict=True):
            if wish.own_id is None:
                answers.append(self._one(wish, entry, now))
                continue
            who = (wish.sender, wish.own_id)
            if who not in firsts:
                firsts[who] = entry, self._one(wish, entry, now)
                answers.append(firsts[who][1])
            else:
                answers.append(self._copy(who, entry, *firsts[who]))
        return answers

    def _copy(self, who: tuple[str, str], entry: Entry, first: Entry, said: Answer) -> Answer:
        kept = self.own_ids.get(who)
        if said.code is not None and kept is not None and kept[3] == entry.digest:
            return Answer(*kept[:3], True, False, None)
        if first.digest != entry.digest:
            return refused(ErrorCode.CONFLICT)
        return said if said.code else said._replace(duplicate=True, stored=False)

    def _one(self, wish: Wish, entry: Entry, now: float) -> Answer:
        if wish.own_id is not None and (kept := self.own_ids.get((wish.sender, wish.own_id))) is not None:
            same = kept[3] == entry.digest
            return Answer(*kept[:3], True, False, None) if same else refused(ErrorCode.CONFLICT)
        if wish.hook in REFUSALS:
            return refused(REFUSALS[wish.hook])
        if wish.hook == "unchanged":
            return Answer(None, None, now, False, False, None)
        if wish.hook != "none":
            self.notes.append(wish.content)
        self.position += 1
        seq = None
        if wish.kind is Kind.STREAM:
            seq = self.seqs[wish.channel] = self.seqs.get(wish.channel, 0) + 1
            self.pointers[wish.channel, wish.sender] = seq
        else:
            self._replace(wish)
        payload = OTHER if wish.hook == "rewrites" else entry.payload
        self.rows[self.position] = (wish.channel, seq, wish.sender, wish.own_id, payload, now)
        if wish.own_id is not None:
            self.own_ids[wish.sender, wish.own_id] = self.position, seq, now, entry.digest
        return Answer(self.position, seq, now, False, True, None)

    def _replace(self, wish: Wish) -> None:
        place = (wish.channel, wish.sender, wish.key)
        older = self.latest.get(place)
        if older is not None:
            row = self.rows.pop(older)
            self.own_ids.pop((row[2], row[3]), None)  # an id lives as long as its message does
        self.latest[place] = self.position


def hook_of(wish: Wish) -> Any:
    if wish.hook == "none":
        return None

    def apply(connection: sqlite3.Connection, entry: Entry) -> str | None:
        connection.execute("INSERT INTO notes VALUES (?)", (wish.content,))
        if wish.hook == "refuses":
            raise RelayError(ErrorCode.FORBIDDEN, "no")
        if wish.hook == "unchanged":
            raise Unchanged
        if wish.hook == "breaks":
            raise ZeroDivisionError
        return OTHER if wish.hook == "rewrites" else None

    return apply


def entry_of(wish: Wish) -> Entry:
    type_ = "chat_message" if wish.kind is Kind.STREAM else "reaction"
    entry = message(
        wish.channel, wish.sender, wish.own_id, wish.content, kind=wish.kind, key=wish.key, type_=type_
    )
    entry.apply = hook_of(wish)
    return entry


kinds = st.sampled_from([Kind.STREAM, Kind.STREAM, Kind.LATEST])
wishes = st.builds(
    Wish,
    channel=st.integers(1, 3),
    sender=st.sampled_from(["alice", "bob"]),
    own_id=st.sampled_from([None, "1", "2", "3", "4", "5"]),
    content=st.sampled_from(["a", "b"]),
    kind=kinds,
    key=st.sampled_from(["", "k"]),
    hook=st.sampled_from(HOOKS),
)
batches = st.lists(st.tuples(st.lists(wishes, max_size=12), st.booleans()), min_size=1, max_size=6)


def contents(connection: sqlite3.Connection) -> tuple[dict[int, Any], dict[Any, int], list[str]]:
    rows = connection.execute(
        "SELECT message_id, channel_id, seq, sender_id, own_id, payload, timestamp FROM log UNION ALL"
        " SELECT message_id, channel_id, NULL, sender_id, own_id, payload, timestamp FROM latest"
    )
    kept = {row[0]: row[1:] for row in rows}
    pointers = {
        row[:2]: row[2] for row in connection.execute("SELECT channel_id, user_id, read_seq FROM pointers")
    }
    return kept, pointers, [row[0] for row in connection.execute("SELECT text FROM notes ORDER BY rowid")]


@settings(max_examples=150, deadline=None)
@given(batches)
def test_any_batches_are_stored_and_answered_as_a_plain_model_says(
    example: list[tuple[list[Wish], bool]],
) -> None:
    connection, log, model = fresh(), Log(), Model()
    connection.execute("CREATE TABLE notes (text TEXT)")
    for now, (batch, rolled_back) in enumerate(example):
        entries = [entry_of(wish) for wish in batch]
        connection.execute("BEGIN")
        end = log.append(connection, entries, float(now))
        if rolled_back:
            connection.execute("ROLLBACK")
            log.forget()
            assert log.position(connection) == model.position
            continue
        connection.execute("COMMIT")
        expected = model.append(batch, entries, float(now))
        assert [answer_of(entry) for entry in entries] == expected
        assert contents(connection) == (model.rows, model.pointers, model.notes)
        assert end == log.position(connection) == model.position


def answer_of(entry: Entry) -> Answer:
    if entry.error is not None:
        return Answer(None, None, None, False, False, entry.error.code)
    return Answer(entry.message_id, entry.seq, entry.timestamp, entry.duplicate, entry.stored, None)


def stored(connection: sqlite3.Connection, *entries: Entry, log: Log | None = None) -> list[Entry]:
    """Append one batch in a transaction of its own."""
    connection.execute("BEGIN")
    (log or Log()).append(connection, entries, 1.0)
    connection.execute("COMMIT")
    return list(entries)


def test_an_id_that_a_latest_value_has_is_taken_for_a_stream_message_too() -> None:
    connection = fresh()
    stored(connection, message(own_id="1", kind=Kind.LATEST, type_="reaction"))
    (second,) = stored(connection, message(own_id="1"))
    assert second.error is not None
    assert second.error.code is ErrorCode.CONFLICT
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)


def test_messages_before_a_retry_of_an_earlier_batch_are_stored_once() -> None:
    connection = fresh()
    stored(connection, message(own_id="old"))
    first, second, retry = stored(connection, message(), message(own_id="new"), message(own_id="old"))
    assert [one.message_id for one in (first, second, retry)] == [2, 3, 1]
    assert connection.execute("SELECT message_id FROM log").fetchall() == [(1,), (2,), (3,)]


def test_a_retry_behind_a_conflict_in_one_batch_still_gets_the_first_answer() -> None:
    connection = fresh()
    (first,) = stored(connection, message(own_id="1", content="a"))
    conflict, retry = stored(connection, message(own_id="1", content="b"), message(own_id="1", content="a"))
    assert conflict.error is not None
    assert answer_of(retry) == Answer(first.message_id, 1, 1.0, True, False, None)


def test_a_retry_of_a_latest_value_that_the_same_batch_replaces_still_gets_the_first_answer() -> None:
    connection = fresh()

    def value(own_id: str | None, content: str) -> Entry:
        return message(own_id=own_id, content=content, kind=Kind.LATEST, type_="reaction")

    (first,) = stored(connection, value("1", "a"))
    conflict, retry, newer = stored(
        connection, message(own_id="1", content="b"), value("1", "a"), value(None, "c")
    )
    assert conflict.error is not None
    assert newer.stored
    assert answer_of(retry) == Answer(first.message_id, None, 1.0, True, False, None)


def test_a_hook_with_a_mistake_in_its_sql_fails_alone() -> None:
    connection = fresh()

    def apply(database: sqlite3.Connection, _entry: Entry) -> None:
        database.execute("SELECT * FROM no_such_table")

    wrong = message()
    wrong.apply = apply
    before, wrong, after = stored(connection, message(), wrong, message())
    assert wrong.error is not None
    assert wrong.error.code is ErrorCode.PLUGIN_FAILED
    assert (before.seq, after.seq) == (1, 2)


def test_a_message_refused_after_it_had_its_numbers_leaves_no_hole() -> None:
    connection = fresh()

    def refuse(_database: sqlite3.Connection, _entry: Entry) -> None:
        raise RelayError(ErrorCode.FORBIDDEN, "no")

    refused_one = message()
    refused_one.after = refuse
    before, refused_one, after = stored(connection, message(), refused_one, message())
    assert answer_of(refused_one) == refused(ErrorCode.FORBIDDEN)
    assert [(one.message_id, one.seq) for one in (before, after)] == [(1, 1), (2, 2)]


def test_a_hook_that_meets_a_full_disk_fails_the_batch() -> None:
    connection = fresh()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    entry = message()
    entry.apply = lambda database, _entry: (
        database.execute("CREATE TABLE big AS SELECT zeroblob(1000000)") and None
    )
    with pytest.raises(sqlite3.OperationalError, match="full"):
        stored(connection, entry)


def test_a_conversation_goes_on_counting_from_its_floor() -> None:
    connection = fresh()
    place = channel(connection, "group:team", floor_seq=41)
    (entry,) = stored(connection, message(place))
    assert entry.seq == 42


def test_positions_go_on_over_the_high_water_mark() -> None:
    connection = fresh()
    connection.execute("UPDATE facts SET value = 1000 WHERE name = 'high_water'")
    (entry,) = stored(connection, message())
    assert entry.message_id == 1001


def test_a_batch_of_any_size_is_inserted_whole_and_in_order() -> None:
    connection = fresh()
    for count in (1, 2, 255, 256, 257, 700):
        entries = stored(connection, *(message() for _ in range(count)))
        ids = [entry.message_id for entry in entries]
        rows = connection.execute("SELECT message_id FROM log WHERE message_id >= ? ORDER BY 1", (ids[0],))
        assert [row[0] for row in rows] == ids


def test_no_rows_are_no_statement() -> None:
    connection = fresh()
    insert_many(connection, "INSERT INTO nonsense VALUES ", 3, [])


def test_a_message_that_does_not_read_leaves_its_senders_pointer() -> None:
    connection = fresh()
    entry = message()
    entry.reads = False
    stored(connection, entry)
    assert connection.execute("SELECT count(*) FROM pointers").fetchone() == (0,)


def test_who_sends_has_read_it_and_has_spoken() -> None:
    connection = fresh()
    stored(connection, message(), message())
    assert connection.execute("SELECT user_id, read_seq, spoke FROM pointers").fetchall() == [("alice", 2, 1)]


def test_a_pointer_that_is_ahead_of_what_its_user_sends_stays_there() -> None:
    connection = fresh()
    connection.execute("INSERT INTO pointers (channel_id, user_id, read_seq) VALUES (1, 'alice', 9)")
    stored(connection, message())
    assert connection.execute("SELECT read_seq, spoke FROM pointers").fetchone() == (9, 1)


def test_forgetting_makes_room_for_numbers_that_were_rolled_back() -> None:
    connection, log = fresh(), Log()
    stored(connection, message(), log=log)
    connection.execute("BEGIN")
    log.append(connection, [message(), message()], 1.0)
    connection.execute("ROLLBACK")
    log.forget()
    (entry,) = stored(connection, message(), log=log)
    assert (entry.message_id, entry.seq) == (2, 2)


def test_the_position_of_a_latest_value_that_was_deleted_is_given_to_no_other() -> None:
    connection = fresh()
    log = Log()
    log.append(connection, [message(own_id="1"), message(kind=Kind.LATEST, key="mark", type_="reaction")], 1.0)
    connection.execute("DELETE FROM latest")
    assert Log().position(connection) == 2  # as a server that starts again finds it
