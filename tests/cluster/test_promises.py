"""The checks of a cluster find what is planted: something lost, doubled, out of order, elsewhere, or never sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay.cluster.records import START, Kind, Record, parts
from tests.cluster.crowd import Acked, Came, Ledger, Sent
from tests.cluster.promises import broken_by_devices, broken_in_file, copy, different
from tests.cluster.streams import broken_in_stream

DEVICES = {"alice": ["alice-laptop", "alice-phone"], "bob": ["bob-laptop"], "carol": ["carol-laptop"]}


def told() -> Ledger:
    """Return a ledger of two direct messages and one to a group, as all should be."""
    ledger = Ledger(DEVICES, {"group0": ["alice", "bob", "carol"]})
    for number, (ref, target, readers) in enumerate((
        ("one", "bob", ("alice-phone", "bob-laptop")),
        ("two", "bob", ("alice-phone", "bob-laptop")),
        ("three", "group0", ("alice-phone", "bob-laptop", "carol-laptop")),
    ), 1):  # fmt: skip
        seq = number if target == "bob" else 1
        ledger.sent[ref] = Sent(ref, "alice", "alice-laptop", target, 0.0)
        ledger.acked[ref] = Acked(number, seq, 0, 0.0)
        for device in readers:
            name = target if target == "group0" else "alice bob"
            ledger.received[device].append(Came(number, seq, name, ref))
    return ledger


def stored(ledger: Ledger, path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE log (message_id INTEGER PRIMARY KEY, channel_id, seq, type, sender_id, own_id)"
    )
    connection.execute("CREATE TABLE facts (name, value)")
    for ref, acked in ledger.acked.items():
        channel = 2 if ledger.sent[ref].target == "group0" else 1
        kind = "group_message" if channel == 2 else "chat_message"
        connection.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?, 'alice', ?)", (acked.message_id, channel, acked.seq, kind, ref)
        )
    connection.commit()
    return connection


def test_what_is_as_it_should_be_breaks_nothing(tmp_path: Path) -> None:
    ledger = told()
    assert list(broken_by_devices(ledger)) == []
    with closing(stored(ledger, tmp_path / "one.db")):
        assert list(broken_in_file(ledger, tmp_path / "one.db")) == []


def unacked(ledger: Ledger) -> None:
    del ledger.acked["two"]


def lost(ledger: Ledger) -> None:
    ledger.received["bob-laptop"].pop()


def lost_at_the_own_phone(ledger: Ledger) -> None:
    ledger.received["alice-phone"].pop()


def silent(ledger: Ledger) -> None:
    del ledger.received["carol-laptop"]


def doubled(ledger: Ledger) -> None:
    ledger.received["bob-laptop"].append(ledger.received["bob-laptop"][0])


def reversed_(ledger: Ledger) -> None:
    came = ledger.received["bob-laptop"]
    came[0], came[1] = came[1], came[0]


def elsewhere(ledger: Ledger) -> None:
    ledger.received["carol-laptop"] = [Came(9, 9, "group0", "three")]


def strange(ledger: Ledger) -> None:
    ledger.received["carol-laptop"].append(Came(1, 1, "alice bob", "one"))


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (unacked, "two was never acknowledged"),
        (lost, "bob-laptop never received 1: ['three']"),
        (lost_at_the_own_phone, "alice-phone never received 1"),
        (silent, "received nothing at all: ['carol-laptop']"),
        (doubled, "bob-laptop received one 2 times"),
        (reversed_, "one (1 of alice bob) came after 2"),
        (elsewhere, "three came as (9, 9), and was acknowledged as (3, 1)"),
        (strange, "carol-laptop received what is not for it"),
    ],
)
def test_what_a_device_sees_wrong_is_found(plant: Callable[[Ledger], None], said: str) -> None:
    ledger = told()
    plant(ledger)
    found = "\n".join(broken_by_devices(ledger))
    assert said in found


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            "DELETE FROM log WHERE own_id = 'two'",
            "two was acknowledged as (2, 2) by node 0; the database has None",
        ),
        ("DELETE FROM log WHERE own_id = 'one'", "sequences with holes"),
        ("UPDATE log SET message_id = 7 WHERE own_id = 'two'", "the database has (7, 2)"),
        ("INSERT INTO log VALUES (8, 1, 3, 'chat_message', 'alice', 'two')", "stored twice: ['two']"),
        ("INSERT INTO log VALUES (8, 1, 3, 'chat_message', 'alice', 'four')", "stored and never sent: ['four']"),
    ],
)
def test_what_a_database_has_wrong_is_found(tmp_path: Path, plant: str, said: str) -> None:
    ledger = told()
    with closing(stored(ledger, tmp_path / "one.db")) as connection:
        connection.execute(plant)
        connection.commit()
    assert said in "\n".join(broken_in_file(ledger, tmp_path / "one.db"))


def test_a_row_that_one_node_has_alone_is_found(tmp_path: Path) -> None:
    with closing(stored(told(), tmp_path / "one.db")) as connection:
        copy(tmp_path / "one.db", tmp_path / "two.db")
        assert list(different([tmp_path / "one.db", tmp_path / "two.db"])) == []
        connection.execute("UPDATE log SET seq = 5 WHERE own_id = 'three'")
        connection.commit()
    [found] = different([tmp_path / "one.db", tmp_path / "two.db"])
    assert found.startswith("two.db and one.db: log: ")


def chain(*kinds: tuple[Kind, int]) -> list[Record]:
    """Return records of these kinds and terms, each behind the one before."""
    made: list[Record] = []
    for number, (kind, term) in enumerate(kinds, 1):
        made.append(Record(kind, number, term, made[-1].digest() if made else START, b"body" * 500))
    return made


def entries(records: list[Record]) -> list[bytes]:
    return [part for record in records for part in parts(record, 1000)]


GOOD = chain((Kind.TERM, 1), (Kind.CHANGE, 1), (Kind.CHANGE, 1), (Kind.TERM, 2), (Kind.CHANGE, 2))


def test_a_stream_as_it_should_be_breaks_nothing() -> None:
    whole = entries(GOOD)
    assert list(broken_in_stream(whole)) == []
    half = parts(Record(Kind.CHANGE, 4, 1, GOOD[2].digest(), b"half" * 500), 1000)[:2]
    at = len(entries(GOOD[:3]))
    assert list(broken_in_stream([*whole[:at], *half, *whole[at:]])) == []  # its leader died, and nobody made it


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ([*GOOD[:4], Record(Kind.CHANGE, 5, 1, GOOD[3].digest(), b"")], "a change of term 1 in term 2"),
        ([*GOOD[:2], *GOOD[3:]], "record 4 stands behind record 2"),
        ([*GOOD[:3], GOOD[2], *GOOD[3:]], "record 3 stands behind record 3"),
        ([*GOOD[:4], Record(Kind.CHANGE, 5, 2, START, b"")], "record 5 stands behind record 4, or another one"),
    ],
    ids=["deposed", "hole", "twice", "another"],
)
def test_what_a_stream_has_wrong_is_found(planted: list[Record], said: str) -> None:
    assert said in "\n".join(broken_in_stream(entries(planted)))
