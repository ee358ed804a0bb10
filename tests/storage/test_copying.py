"""A copy of a database: whole, private, on the disk before it has its name, and of one moment."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage import copying
from relay.storage.copying import Progress, copy, in_units
from relay.storage.errors import BackupFailed
from tests.storage.filled import backup, change, fill, kill_after, messages_in, say


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return fill(tmp_path / "relay.db")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_copy_is_one_file_for_its_owner_that_any_sqlite_opens(database: Path) -> None:
    target = backup(database)
    assert target.stat().st_mode & 0o777 == 0o600
    assert messages_in(target) == 10
    assert names(database.parent) == {"relay.db", "backup.db"}


def test_a_copy_is_of_the_moment_at_which_it_began(database: Path) -> None:
    over = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            while not over.is_set():
                say(connection, 1)

    change(database, "INSERT INTO chunks VALUES (9999999, zeroblob(67108864))")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        say(connection, 5)  # in the write-ahead log only
        thread = threading.Thread(target=write)
        thread.start()
        target = database.with_name("backup.db")
        copy(database, target, Progress(), alone=False)
        over.set()
        thread.join()
    copied = messages_in(target)
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT max(seq) FROM log").fetchone() == (copied,)  # none is left out between
    assert 15 <= copied < messages_in(database)


def test_a_copy_has_no_byte_of_what_was_erased(database: Path) -> None:
    change(database, "UPDATE log SET payload = 'a secret ' || message_id")
    change(database, "PRAGMA secure_delete = OFF", "DELETE FROM log")
    assert b"a secret" in database.read_bytes()
    assert b"a secret" not in backup(database).read_bytes()


def test_a_file_that_is_there_is_left_as_it_is(database: Path) -> None:
    target = database.with_name("backup.db")
    target.write_text("a letter")
    with pytest.raises(
        BackupFailed, match=r"backup\.db is there already; it is left as it is: choose another name"
    ):
        copy(database, target, Progress(), alone=True)
    assert target.read_text() == "a letter"


def test_the_rest_of_a_copy_that_was_killed_is_replaced(database: Path) -> None:
    database.with_name("backup.db.part").write_bytes(b"half")
    assert messages_in(backup(database)) == 10
    assert "backup.db.part" not in names(database.parent)


def test_a_copy_that_finishing_refuses_leaves_nothing(database: Path) -> None:
    def refuse(part: Path) -> None:
        assert part.name == "backup.db.part"
        assert messages_in(part) == 10
        raise BackupFailed("no good")

    with pytest.raises(BackupFailed, match="no good"):
        copy(database, database.with_name("backup.db"), Progress(), alone=True, finish=refuse)
    assert names(database.parent) == {"relay.db"}


def test_a_disk_without_room_is_known_before_anything_is_written(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "room", lambda _folder: 9 << 20)
    change(database, "INSERT INTO chunks VALUES (9999999, zeroblob(4194304))")
    with pytest.raises(
        BackupFailed, match=r"no room for the copy: it takes about 4\.\d MiB, .* 9\.0 MiB are free"
    ):
        backup(database)
    assert names(database.parent) == {"relay.db"}


def test_a_copy_that_is_stopped_leaves_nothing(database: Path) -> None:
    progress = Progress(lambda one: one.stop())
    with pytest.raises(BackupFailed, match="stopped before its end"):
        copy(database, database.with_name("backup.db"), progress, alone=True)
    assert names(database.parent) == {"relay.db"}


def test_a_long_copy_is_stopped_in_its_midst(database: Path) -> None:
    change(
        database,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        " INSERT INTO chunks SELECT 1000000000 + i, zeroblob(20) FROM n",
    )
    progress = Progress()
    began = threading.Event()
    progress._told = lambda _one: began.set()

    def stop() -> None:
        began.wait(10)
        progress.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(BackupFailed, match="stopped before its end"):
        copy(database, database.with_name("backup.db"), progress, alone=True)
    thread.join()
    assert names(database.parent) == {"relay.db"}


def test_a_stop_between_two_statements_ends_the_next_one(database: Path) -> None:
    progress = Progress()
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n"
    )
    with closing(sqlite3.connect(database)) as connection, progress.on(connection):
        progress.stop()  # an interrupt while nothing runs does nothing
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(endless).fetchall()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(database: Path) -> None:
    folder = database.with_name("shut")
    folder.mkdir(0o500)
    with pytest.raises(BackupFailed, match=r"shut/backup\.db cannot be written: Permission denied"):
        copy(database, folder / "backup.db", Progress(), alone=True)


def test_a_folder_that_is_missing_is_named(database: Path) -> None:
    with pytest.raises(BackupFailed, match=r"nowhere/backup\.db cannot be written: No such file or directory"):
        copy(database, database.with_name("nowhere") / "backup.db", Progress(), alone=True)


def test_a_damaged_database_is_named_and_not_the_copy(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(300_000))
    with pytest.raises(BackupFailed, match=r"the database .*relay\.db cannot be read: the file is damaged"):
        backup(database)
    assert names(database.parent) == {"relay.db"}


def test_the_log_beside_a_database_that_was_killed_is_read_too(database: Path) -> None:
    killed = kill_after(database, 5)
    assert messages_in(backup(killed)) == 15


def test_sizes_in_units() -> None:
    assert [in_units(size) for size in (0, 1023, 1024, 1536 << 20, 5 << 50)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB", "5120.0 TiB",
    ]  # fmt: skip
