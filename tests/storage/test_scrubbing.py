"""What SQLite leaves in the unused part of pages is wiped, and the database is as it was."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage import scrubbing
from relay.storage.errors import StorageFailed
from relay.storage.scrubbing import Scrubber, wipe


@pytest.mark.parametrize("vacuum", ["NONE", "INCREMENTAL"])
def test_copies_of_moved_rows_are_wiped_and_nothing_else_changes(tmp_path: Path, vacuum: str) -> None:
    path, dice = tmp_path / "a.db", random.Random(3)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA auto_vacuum = {vacuum}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, payload TEXT)")
    scrubber = Scrubber(path)
    secrets: dict[int, str] = {}
    for number in range(4000):
        text = f"zq{dice.randrange(10**12):012d}"
        secrets[number] = text
        padding = "y" * dice.choice([0, 5, 50, 300, 1500, 6000])
        connection.execute("INSERT INTO log VALUES (?, ?)", (number, f"{text} {padding}"))
        for gone in dice.sample(list(secrets), dice.randint(0, 10)) if number % 10 == 9 else ():
            del secrets[gone]
            left = dice.choice([None, "z" * dice.randint(1, 3000)])
            connection.execute("UPDATE log SET payload = ? WHERE id = ?", (left, gone))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    known = connection.execute("SELECT * FROM log").fetchall()
    before = copies(path)
    assert len(before) > len(secrets)
    assert scrubber.look() != []
    scrubber._next = 0
    scrubber.wipe(scrubber.look())
    connection.execute("PRAGMA shrink_memory")
    assert copies(path) == set(secrets.values())
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT * FROM log").fetchall() == known
    scrubber._next = 0
    assert scrubber.look() == []
    connection.close()
    scrubber.close()


def copies(path: Path) -> set[str]:
    import re

    return {found.decode() for found in re.findall(rb"zq[0-9]{12}", path.read_bytes())}


def test_a_disk_that_fails_says_so_as_at_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "empty_wal", lambda _: True)
    path = tmp_path / "relay.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holding:
        holding.executescript("PRAGMA journal_mode = WAL; CREATE TABLE some (value)")
        holding.execute("BEGIN IMMEDIATE")
        with (
            closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer,
            pytest.raises(StorageFailed),
        ):
            wipe(Scrubber(path), [1], writer)


def test_the_writer_does_not_write_back_what_was_wiped(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.executescript("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; CREATE TABLE log (payload TEXT)")
        writer.execute("INSERT INTO log VALUES ('kept')")
    with path.open("r+b") as file:
        file.seek(4096 + 2000)  # in the middle of the table's page
        file.write(b"secret")
    with closing(Scrubber(path)) as scrubber, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        assert writer.execute("SELECT payload FROM log").fetchall() == [("kept",)]  # so that it has the page
        wipe(scrubber, scrubber.look(), writer)
        assert b"secret" not in path.read_bytes()
        writer.execute("UPDATE log SET payload = 'left'")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"secret" not in path.read_bytes()
        assert b"left" in path.read_bytes()


def test_a_file_that_is_no_database_yet_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    scrubber = Scrubber(path)
    assert scrubber.look() == []
    scrubber.close()
