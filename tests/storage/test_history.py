"""Pages, unread counts and the list of conversations, against the same said in plain Python."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.storage import history, summaries, text_scan
from relay.storage.accounts import create_user
from relay.storage.folding import folded
from relay.storage.history import Filters, Record, View
from tests.storage.books import channel, fresh, log_row, member

SENDERS = ("bob", "zoe", "kim")
TYPES = ("chat_message", "notification")
WORDS = ("hello", "100%", "a_b", "back\\slash", "Grüße", "Груша")


@dataclass(frozen=True)
class Said:
    """One message of an example."""

    seq: int
    sender: str
    type: str
    text: str
    timestamp: float
    deleted: bool


@st.composite
def conversations(draw: st.DrawFn) -> tuple[sqlite3.Connection, View, list[Said]]:
    connection = fresh()
    place = channel(connection, "group:team")
    other = channel(connection, "group:other")
    floor = draw(st.integers(0, 3))
    said = []
    for seq in range(floor + 1, floor + 1 + draw(st.integers(0, 25))):
        message = Said(
            seq,
            draw(st.sampled_from(SENDERS)),
            draw(st.sampled_from(TYPES)),
            draw(st.sampled_from(WORDS)),
            float(draw(st.integers(0, 10))),
            draw(st.booleans()),
        )
        put(connection, seq * 2, place, message)
        put(connection, seq * 2 + 1, other, message)
        said.append(message)
    seen = View(place, "group:team", "group", draw(st.integers(1, 8)), draw(st.none() | st.integers(0, 30)))
    last = 1 << 62 if seen.last is None else seen.last
    return connection, seen, [message for message in said if seen.first <= message.seq <= last]


def put(connection: sqlite3.Connection, message_id: int, place: int, message: Said) -> None:
    log_row(
        connection,
        message_id,
        place,
        message.seq,
        sender=message.sender,
        type_=message.type,
        payload=json.dumps({"content": message.text}, ensure_ascii=False),
        timestamp=message.timestamp,
        deleted_at=1.0 if message.deleted else None,
    )


filters = st.builds(
    Filters,
    since=st.none() | st.integers(0, 10),
    until=st.none() | st.integers(0, 10),
    text=st.none()
    | st.sampled_from(
        [
            "hello",
            "HELLO",
            "0%",
            "%",
            "_",
            "a_",
            "\\",
            "ll",
            "",
            "rü",
            "GRU",
            "ß",
            "ss",
            "\u0433\u0440",
            "\u0413\u0420",
        ]
    ),
    type=st.none() | st.sampled_from(TYPES),
    sender=st.none() | st.sampled_from(SENDERS),
)


def matches(wanted: Filters, message: Said) -> bool:
    return (
        (wanted.since is None or message.timestamp >= wanted.since)
        and (wanted.until is None or message.timestamp <= wanted.until)
        and (wanted.type is None or message.type == wanted.type)
        and (wanted.sender is None or message.sender == wanted.sender)
        and (not wanted.text or (not message.deleted and folded(wanted.text) in folded(message.text)))
    )


def seqs(records: list[Record]) -> list[int]:
    return [record.seq or 0 for record in records]


@settings(max_examples=150, deadline=None)
@given(conversations(), filters, st.integers(1, 7))
def test_pages_tile_what_may_be_seen_in_both_directions(
    example: tuple[sqlite3.Connection, View, list[Said]], wanted: Filters, limit: int
) -> None:
    connection, seen, said = example
    expected = [message.seq for message in said if matches(wanted, message)]
    back: list[int] = []
    page = history.page(connection, seen, limit, filters=wanted)
    while True:
        assert len(page.records) == limit or not page.has_more
        back = seqs(page.records) + back
        if not page.has_more:
            break
        page = history.page(connection, seen, limit, before=back[0], filters=wanted)
    assert back == expected
    forth: list[int] = []
    page = history.page(connection, seen, limit, after=0, filters=wanted)
    while True:
        forth += seqs(page.records)
        if not page.has_more:
            break
        page = history.page(connection, seen, limit, after=forth[-1], filters=wanted)
    assert forth == expected


@settings(max_examples=100, deadline=None)
@given(conversations(), filters, st.integers(1, 7), st.integers(1, 600))
def test_a_page_that_looks_for_a_text_ends_after_so_much_and_says_where_to_go_on(
    example: tuple[sqlite3.Connection, View, list[Said]], wanted: Filters, limit: int, most: int
) -> None:
    connection, seen, said = example
    expected = [message.seq for message in said if matches(wanted, message)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_scan, "SCANNED", most)
        back: list[int] = []
        page = history.page(connection, seen, limit, filters=wanted)
        while True:
            back = seqs(page.records) + back
            if not page.has_more:
                break
            assert page.before is not None
            page = history.page(connection, seen, limit, before=page.before, filters=wanted)
        assert back == expected
        forth: list[int] = []
        page = history.page(connection, seen, limit, after=0, filters=wanted)
        while True:
            forth += seqs(page.records)
            if not page.has_more:
                break
            assert page.after is not None
            page = history.page(connection, seen, limit, after=page.after, filters=wanted)
        assert forth == expected


def test_looking_for_a_text_reads_so_many_characters_and_no_more() -> None:
    looked = []

    def rows() -> Iterator[tuple[int, int, str]]:
        for seq in range(480):
            looked.append(seq)
            yield (seq, seq, "a" * 20_000)

    said = text_scan.TextScan(rows(), "a" * 199 + "b")
    assert (list(said), said.ended) == ([], looked[-1])
    assert len(looked) == 100


@settings(max_examples=100, deadline=None)
@given(conversations(), filters, st.integers(1, 7), st.integers(0, 30))
def test_a_page_around_a_message_is_one_run_of_them_that_holds_it(
    example: tuple[sqlite3.Connection, View, list[Said]], wanted: Filters, limit: int, around: int
) -> None:
    connection, seen, said = example
    expected = [message.seq for message in said if matches(wanted, message)]
    page = history.page(connection, seen, limit, around=around, filters=wanted)
    found = seqs(page.records)
    assert len(found) <= limit
    if found:
        start = expected.index(found[0])
        assert expected[start : start + len(found)] == found
        assert page.has_more == (start > 0)
    before = [seq for seq in expected if seq <= around]
    assert [seq for seq in found if seq <= around] == before[len(before) - min(len(before), (limit + 1) // 2) :]
    assert len(found) == limit or found[-1:] == expected[-1:]


@settings(max_examples=100, deadline=None)
@given(conversations(), st.integers(0, 30))
def test_what_is_unread_is_counted_as_by_hand(
    example: tuple[sqlite3.Connection, View, list[Said]], read_seq: int
) -> None:
    connection, seen, _ = example
    everything = history.page(connection, seen._replace(first=1, last=None), 200).records
    by_hand = sum(
        (message.seq or 0) > read_seq
        and message.sender_id != "bob"
        and message.deleted_at is None
        and message.type == "chat_message"
        for message in everything
    )
    assert summaries.count_unread(connection, seen.channel_id, "bob", read_seq, ["chat_message"]) == by_hand


def people(connection: sqlite3.Connection, *names: str) -> None:
    for name in names:
        create_user(connection, name, 0.0, display_name=name.title())


def test_the_first_screen_says_of_each_conversation_what_a_member_may_know() -> None:
    connection = fresh()
    people(connection, "bob", "zoe")
    pair, team, left = (channel(connection, address) for address in ("user:bob:zoe", "group:team", "group:left"))
    connection.executemany(
        "INSERT INTO groups (group_id, channel_id, name, history, created_at) VALUES (?, ?, ?, 'join', 0)",
        [("team", team, "The team"), ("left", left, "Left behind")],
    )
    for place, first, last in ((pair, 1, None), (team, 3, None), (left, 1, 1)):
        member(connection, place, "bob", first, last)
        member(connection, place, "zoe")
    for number, place, seq in ((1, pair, 1), (2, pair, 2), (3, team, 1), (4, team, 2), (5, team, 3), (6, left, 1)):
        log_row(connection, number, place, seq, sender="zoe")
    connection.execute("INSERT INTO pointers (channel_id, user_id, read_seq) VALUES (?, 'bob', 1)", (pair,))
    found, further = summaries.summaries(connection, "bob", ["chat_message"], after=0, limit=10)
    assert further is None
    assert [(one.kind, one.target_id, one.name, one.last_seq, one.read_seq, one.unread) for one in found] == [
        ("user", "zoe", "Zoe", 2, 1, 1),
        ("group", "team", "The team", 3, 0, 1),
    ]
    assert [one.last and one.last.message_id for one in found] == [2, 5]


def test_the_list_of_conversations_pages_without_holes() -> None:
    connection = fresh()
    people(connection, "bob", *(f"u{number}" for number in range(7)))
    for number in range(7):
        place = channel(connection, f"user:bob:u{number}")
        member(connection, place, "bob")
        member(connection, place, f"u{number}")
        if number != 3:
            log_row(connection, number + 1, place, 1)
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page, after = summaries.summaries(connection, "bob", ["chat_message"], after=after, limit=2)
        assert len(page) <= 2
        found += [one.target_id for one in page]
    assert found == ["u0", "u1", "u2", "u4", "u5", "u6"], "u3 and bob never said a word"


@pytest.mark.parametrize(
    ("address", "user_id", "expected"),
    [
        ("user:bob:zoe", "bob", "zoe"),
        ("user:bob:zoe", "zoe", "bob"),
        ("user:bob", "bob", "bob"),
        ("group:team", "bob", "team"),
        ("self:bob", "bob", "bob"),
        ("*", "bob", "*"),
    ],
)
def test_a_user_calls_a_conversation_by_its_other_end(address: str, user_id: str, expected: str) -> None:
    assert history.other_party(address, user_id) == expected


def test_only_a_present_member_has_a_view() -> None:
    connection = fresh()
    team, gone = channel(connection, "group:team"), channel(connection, "group:gone")
    connection.execute(
        "INSERT INTO groups (group_id, channel_id, name, history, created_at, deleted_at)"
        " VALUES ('gone', ?, 'Gone', 'join', 0, 1)",
        (gone,),
    )
    member(connection, team, "bob", 4)
    member(connection, team, "zoe", 1, 9)
    member(connection, gone, "bob")
    assert history.view(connection, "bob", "group:team") == View(team, "group:team", "group", 4, None, "bob")
    for user_id, address in (
        ("zoe", "group:team"),
        ("kim", "group:team"),
        ("bob", "group:gone"),
        ("bob", "group:x"),
    ):
        assert history.view(connection, user_id, address) is None
    assert [seen.open for seen in history.read_views(connection, "zoe")] == [False]


def test_the_newest_seq_of_an_emptied_conversation_is_its_floor() -> None:
    connection = fresh()
    place = channel(connection, "group:team", floor_seq=7)
    assert history.newest_seq(connection, place) == 7
    log_row(connection, 1, place, 8)
    assert history.newest_seq(connection, place) == 8
    assert history.newest_seq(connection, 999) == 0


def test_pointers_and_first_seqs_have_a_beginning() -> None:
    connection = fresh()
    place = channel(connection, "group:team")
    assert history.read_pointer(connection, place, "bob") == 0
    assert history.present(connection, place, "bob") is None
    member(connection, place, "bob", 5)
    seen = history.present(connection, place, "bob")
    assert seen is not None
    assert seen.first == 5


def test_few_conversations_are_told_from_many() -> None:
    connection = fresh()
    for number in range(4):
        member(connection, channel(connection, f"group:g{number}"), "bob")
    assert history.few_conversations(connection, "bob", few=4)
    assert not history.few_conversations(connection, "bob", few=3)


def test_a_former_member_sees_up_to_their_end_and_nothing_after_it() -> None:
    seen = View(1, "group:team", "group", 2, 5)
    assert [seen.sees(fresh(), seq) for seq in (1, 2, 5, 6)] == [False, True, True, False]


def test_of_earlier_stays_each_member_sees_their_own() -> None:
    connection = fresh()
    for seq in range(1, 10):
        log_row(connection, seq, 1, seq)
    connection.executemany("INSERT INTO stays VALUES (1, ?, ?, ?)", [("bob", 1, 2), ("carol", 1, 5)])
    seen = View(1, "group:team", "group", 8, None, "bob", 1)
    found = history.page(connection, seen, 50)
    assert [record.seq for record in found.records] == [1, 2, 8, 9]
    assert [seq for seq in range(1, 10) if seen.sees(connection, seq)] == [1, 2, 8, 9]
