"""A database restored from a backup: in one step, with a new epoch, and the old one kept."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage import restoring
from relay.storage.copying import Progress
from relay.storage.database import Lock, read_epoch
from relay.storage.errors import BackupFailed, StorageInUse
from relay.storage.restoring import RESTORED, Restored, restore
from relay.storage.upgrading import migrate
from tests.storage.filled import backup, change, fill, kill_after, messages_in, say


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return fill(tmp_path / "relay.db")


def restored(file: Path, database: Path) -> Restored:
    return restore(file, database, Progress(), uid=7)


def epoch(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return read_epoch(connection)


def later(database: Path) -> Path:
    """Return a backup of a database that has five more messages since."""
    file = backup(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        say(connection, 5)
    return file


def test_the_backup_stands_in_the_place_of_the_old_which_is_kept(database: Path) -> None:
    file = later(database)
    before = file.read_bytes()
    done = restored(file, database)
    assert done.aside is not None
    assert (messages_in(database), messages_in(Path(done.aside))) == (10, 15)
    assert len({epoch(database), epoch(Path(done.aside)), epoch(file)}) == 2
    assert file.read_bytes() == before
    assert database.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in database.parent.iterdir()} == {
        "backup.db", "relay.db", "relay.db.lock", Path(done.aside).name,
    }  # fmt: skip
    migrate(database)


def test_a_database_is_restored_where_there_is_none(database: Path, tmp_path: Path) -> None:
    file = backup(database)
    (tmp_path / "new").mkdir()
    done = restored(file, tmp_path / "new" / "relay.db")
    assert (done.aside, messages_in(tmp_path / "new" / "relay.db")) == (None, 10)


def test_a_log_whose_file_was_lost_is_set_aside(database: Path) -> None:
    file = backup(database)
    database.unlink()
    Path(f"{database}-wal").write_bytes(b"what is left")
    assert restored(file, database).aside is None
    assert messages_in(database) == 10
    (kept,) = database.parent.glob("relay.db.before-*-wal")
    assert kept.read_bytes() == b"what is left"


def test_what_was_in_the_old_log_only_is_kept_with_the_old(database: Path) -> None:
    file = backup(database)
    killed = kill_after(database, 5)
    done = restored(file, killed)
    assert not Path(f"{killed}-wal").exists()
    assert done.aside is not None
    assert (messages_in(killed), messages_in(Path(done.aside))) == (10, 15)


def test_a_damaged_database_is_set_aside_with_its_log(database: Path) -> None:
    file = backup(database)
    log = Path(f"{database}-wal")
    database.write_bytes(b"rubbish" * 10_000)
    log.write_bytes(b"more of it")
    done = restored(file, database)
    assert done.aside is not None
    assert Path(done.aside).read_bytes() == b"rubbish" * 10_000
    assert Path(f"{done.aside}-wal").read_bytes() == b"more of it"
    assert not log.exists()
    assert messages_in(database) == 10


def test_two_restores_in_one_second_keep_both_old_files(database: Path) -> None:
    file = later(database)
    first, second = restored(file, database), restored(file, database)
    assert first.aside != second.aside
    assert messages_in(Path(str(first.aside))) == 15
    assert messages_in(Path(str(second.aside))) == 10


def test_a_database_in_use_is_left_as_it_is(database: Path) -> None:
    file = later(database)
    lock = Lock(database)
    with pytest.raises(StorageInUse, match="in use by another relay"):
        restored(file, database)
    lock.release()
    assert messages_in(database) == 15


def test_a_bad_backup_restores_nothing(database: Path) -> None:
    file = later(database)
    change(file, "DELETE FROM chunks")
    with pytest.raises(BackupFailed, match="is damaged, and nothing was restored: a file of 380,000 bytes has 0"):
        restored(file, database)
    assert messages_in(database) == 15


@pytest.mark.parametrize("step", ["copy", "link", "rename", "sync_folder"])
def test_a_restore_that_is_interrupted_leaves_the_old_one_or_the_new_one(
    database: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = later(database)

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    owner = os if step in ("link", "rename") else restoring
    monkeypatch.setattr(owner, step, die)
    with pytest.raises(KeyboardInterrupt):
        restored(file, database)
    monkeypatch.undo()
    assert messages_in(database) == 15
    restored(file, database)
    assert messages_in(database) == 10


def test_a_restored_database_has_not_crashed_and_knows_where_it_is_from(database: Path) -> None:
    file = backup(database)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO facts VALUES ('running', 1)")  # as in a copy of a running server's
    restored(file, database)
    with closing(sqlite3.connect(database)) as connection:
        facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
    assert "running" not in facts
    told = json.loads(facts[RESTORED])
    assert (told["from"], told["uid"]) == ("backup.db", 7)


def test_where_the_old_one_cannot_be_set_aside_nothing_is_changed_and_nothing_left(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = later(database)

    def link(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(BackupFailed, match="it is as it was"):
        restored(file, database)
    assert messages_in(database) == 15
    assert list(database.parent.glob("*restored*")) == []


def test_a_folder_without_room_restores_nothing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = later(database)
    monkeypatch.setattr("relay.storage.copying.room", lambda _folder: 1000)
    with pytest.raises(BackupFailed, match="no room for the copy"):
        restored(file, database)
    assert messages_in(database) == 15


def test_wrong_places_are_named(database: Path, tmp_path: Path) -> None:
    file = backup(database)
    with pytest.raises(BackupFailed, match=r"the folder .*/none does not exist; make it, or correct"):
        restored(file, tmp_path / "none" / "relay.db")
    with pytest.raises(BackupFailed, match="is the database itself; name a backup"):
        restored(database, database)


def test_accounts_that_were_erased_since_the_backup_are_told(database: Path) -> None:
    file = backup(database)
    change(database, "INSERT INTO erasures (user_id, asked_at) VALUES ('bob', 0)")
    assert restored(file, database).erased == ["bob"]
