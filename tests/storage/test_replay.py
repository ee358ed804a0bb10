"""Replays against brute force: whatever was said, whoever was where, wherever the cursor stands."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.storage.replay import Gap, plan, undelivered
from tests.storage.books import channel, fresh, latest_row, log_row, member

PRIORITY = {"notification": 10, "chat_message": 20, "group_message": 30, "reaction": 40}
ADDRESSES = ("user:bob:zoe", "group:team", "self:bob", "group:fans")


@dataclass
class Place:
    """One conversation of an example, as bob may see it."""

    channel_id: int
    kind: str
    target_id: str
    first: int
    last: int | None
    rows: list[tuple[int, int, str]] = field(default_factory=list)  # message_id, seq, type

    def seen(self) -> list[tuple[int, int, str]]:
        last = self.last if self.last is not None else 1 << 62
        return [row for row in self.rows if self.first <= row[1] <= last]


@dataclass
class History:
    """A whole example: a database, and the same as plain values."""

    connection: sqlite3.Connection
    places: list[Place]
    latest: list[tuple[int, str]]  # what bob may see of it
    end: int

    def missed(self, cursor: int, until: int) -> list[list[tuple[int, int, str]]]:
        return [[row for row in place.seen() if cursor < row[0] <= until] for place in self.places]


@st.composite
def histories(draw: st.DrawFn) -> History:
    connection, places = fresh(), []
    for address in ADDRESSES:
        place = channel(connection, address)
        first = draw(st.integers(1, 6))
        last = draw(st.none() | st.integers(first - 1, 25))
        kind, _, rest = address.partition(":")
        places.append(Place(place, kind, "zoe" if kind == "user" else rest, first, last))
        member(connection, place, "bob", first, last)
        member(connection, place, "zoe")
    foreign = channel(connection, "user:amy:zoe")
    latest: list[tuple[int, str]] = []
    seqs = dict.fromkeys([place.channel_id for place in places], 0)
    position = 0
    for what in draw(st.lists(st.integers(0, 9), max_size=60)):
        position += 1
        if what == 9:
            log_row(connection, position, foreign, position)
        elif what >= 7:
            place = places[position % 4]
            only_for = draw(st.sampled_from([None, "bob", "zoe"]))
            latest_row(connection, position, place.channel_id, "reaction", only_for=only_for)
            if place.last is None and only_for != "zoe":
                latest.append((position, "reaction"))
        else:
            place = places[what % 4]
            type_ = draw(st.sampled_from(["notification", "chat_message", "group_message"]))
            seqs[place.channel_id] = seq = seqs[place.channel_id] + 1
            log_row(connection, position, place.channel_id, seq, type_=type_)
            place.rows.append((position, seq, type_))
    expire(connection, places, draw(st.integers(0, 4)))
    return History(connection, places, latest, position)


def expire(connection: sqlite3.Connection, places: list[Place], count: int) -> None:
    """Take the oldest messages away, as a limit on what is kept does."""
    for place in places:
        for message_id, _, _ in place.rows[:count]:
            connection.execute("DELETE FROM log WHERE message_id = ?", (message_id,))
        del place.rows[:count]


def types_of(history: History) -> dict[int, str]:
    streams = {message_id: type_ for place in history.places for message_id, _, type_ in place.rows}
    return streams | dict(history.latest)


@settings(max_examples=200, deadline=None)
@given(histories(), st.data())
def test_a_replay_and_its_gaps_are_exactly_what_was_missed(history: History, data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, history.end))
    until = data.draw(st.integers(cursor, history.end))
    limit = data.draw(st.integers(1, 30))
    ids, gaps = plan(history.connection, "bob", cursor, until, limit, PRIORITY.__getitem__)
    types, missed = types_of(history), history.missed(cursor, until)
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids, key=lambda message_id: (PRIORITY[types[message_id]], message_id))
    wanted_latest = {message_id for message_id, _ in history.latest if cursor < message_id <= until}
    assert {message_id for message_id in ids if types[message_id] == "reaction"} == wanted_latest
    streams = set(ids) - wanted_latest
    assert len(streams) == min(limit, sum(map(len, missed)))
    named = {(gap.kind, gap.target_id): gap for gap in gaps}
    assert len(named) == len(gaps)
    for place, rows in zip(history.places, missed, strict=True):
        brought = [row for row in rows if row[0] in streams]
        assert brought == rows[len(rows) - len(brought) :], "a conversation brings its newest"
        gap = named.pop((place.kind, place.target_id), None)
        left_out = rows[: len(rows) - len(brought)]
        if place.last is not None or not left_out:
            assert gap is None
        else:
            assert gap == Gap(place.kind, place.target_id, left_out[0][1], left_out[-1][1])
    assert not named


@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_a_limited_replay_is_shared_out_fairly(history: History, data: st.DataObject) -> None:
    limit = data.draw(st.integers(1, 20))
    ids = set(plan(history.connection, "bob", 0, history.end, limit, PRIORITY.__getitem__).message_ids)
    counts = [(sum(row[0] in ids for row in rows), len(rows)) for rows in history.missed(0, history.end)]
    cut = [brought for brought, missed in counts if brought < missed]
    if cut:
        assert max(cut) - min(cut) <= 1
        assert all(brought <= min(cut) + 1 for brought, _ in counts)


@settings(max_examples=150, deadline=None)
@given(histories(), st.data())
def test_windows_of_what_is_undelivered_tile_it(history: History, data: st.DataObject) -> None:
    after = start = data.draw(st.integers(0, history.end))
    limit = data.draw(st.integers(1, 12))
    types = types_of(history)
    expected = {row[0] for rows in history.missed(start, history.end) for row in rows}
    expected |= {message_id for message_id, _ in history.latest if message_id > start}
    brought: list[int] = []
    while True:
        window = undelivered(history.connection, "bob", after, limit, PRIORITY.__getitem__)
        ids = window.message_ids
        assert ids == sorted(ids, key=lambda message_id: (PRIORITY[types[message_id]], message_id))
        assert all(after < message_id <= window.cursor for message_id in ids)
        assert len(ids) <= limit
        brought += ids
        assert window.has_more == (len(brought) < len(expected))
        if not window.has_more:
            break
        assert len(ids) == limit
        after = window.cursor
    assert sorted(brought) == sorted(expected)


def test_a_replay_costs_by_what_was_missed_and_not_by_the_length_of_the_log() -> None:
    connection = fresh()
    place = channel(connection, "user:bob:zoe")
    member(connection, place, "bob")
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, timestamp)"
        " SELECT i, ?, i, 'chat_message', 'zoe', 'bob', 0 FROM n",
        (place,),
    )
    steps: list[int] = []
    connection.set_progress_handler(lambda: steps.append(1) and None, 100)
    assert plan(connection, "bob", 19_997, 20_000, 1000, lambda _type: 0).message_ids == [19_998, 19_999, 20_000]
    few = len(steps)
    steps.clear()
    limited = plan(connection, "bob", 5, 20_000, 10, lambda _type: 0)
    assert limited.gaps == [Gap("user", "zoe", 6, 19_990)]
    assert few < 10
    assert len(steps) < 50


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_limit_below_the_number_of_conversations_names_every_gap(limit: int) -> None:
    connection = fresh()
    for number, address in enumerate(("user:bob:zoe", "user:amy:bob", "user:bob:kim"), start=1):
        place = channel(connection, address)
        member(connection, place, "bob")
        log_row(connection, number, place, 1)
    ids, gaps = plan(connection, "bob", 0, 3, limit, lambda _type: 0)
    assert len(ids) == min(limit, 3)
    assert len(gaps) == 3 - len(ids)
    assert all(gap.from_seq == gap.to_seq == 1 for gap in gaps)
    assert all(a.target_id != b.target_id for a, b in pairwise(gaps))
