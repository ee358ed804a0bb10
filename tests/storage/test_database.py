"""The database file: who may open it, who may read it, and what it is called."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.storage.database import Lock, open_runner, path_problem, read_epoch
from relay.storage.errors import StorageError
from tests.storage.opening import note, opened

pytestmark = pytest.mark.real_time


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize("inline", [False, True])
async def test_the_files_are_for_their_owner_only(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path, inline=inline) as runner:
        await runner.write(note("a"))
        modes = modes_in(tmp_path)
    assert modes == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"), 0o600)


async def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    (tmp_path / "relay.db").chmod(0o644)
    async with opened(tmp_path):
        assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600


async def test_a_second_opener_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StorageError, match=r"in use by another relay; stop it, or .* \[storage\] path"):
            async with opened(tmp_path):
                pytest.fail("two writers")
    async with opened(tmp_path):
        pass


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        Lock(tmp_path / "relay.db").release()


async def test_the_epoch_stays_over_reopening_and_differs_between_databases(tmp_path: Path) -> None:
    epochs = []
    for folder in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        async with opened(folder, inline=True) as runner:
            epochs.append(await runner.read(read_epoch))
    assert epochs[0] == epochs[1] != epochs[2]


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"this is a letter to my grandmother, not a database" * 100)
    told = r"cannot open the database .*relay\.db: file is not a database; see whether \[storage\] path names the"
    with pytest.raises(StorageError, match=told):
        async with opened(tmp_path):
            pytest.fail("opened a letter")
    (tmp_path / "relay.db").unlink()
    async with opened(tmp_path):
        pass  # what failed gave its lock back


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (0, r"file is not a database; see whether \[storage\] path names the right file, or put a backup in its"),
        (100, r"the file is damaged .*; keep it and its -wal file as they are, and put a backup in their place"),
    ],
    ids=["header", "pages"],
)
async def test_a_file_that_was_written_over_is_refused_with_what_to_do_and_stays_as_it_is(
    tmp_path: Path, place: int, told: str
) -> None:
    async with opened(tmp_path):
        pass
    path = tmp_path / "relay.db"
    whole = path.read_bytes()
    broken = whole[:place] + b"\xa5" * (len(whole) - place)
    path.write_bytes(broken)
    with pytest.raises(StorageError, match=told):
        async with opened(tmp_path):
            pytest.fail("opened what is damaged")
    assert path.read_bytes() == broken


def test_what_this_user_may_not_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relay.db"
    path.touch()
    # Root may open everything, so that file modes alone would show nothing.
    monkeypatch.setattr("os.access", lambda asked, _mode: asked != path)
    assert path_problem(path) == f"{path} cannot be read and written by this user"
    monkeypatch.setattr("os.access", lambda asked, _mode: asked != tmp_path)
    assert path_problem(path) == f"the folder {tmp_path} cannot be written to by this user"


async def test_no_folder_is_made_up_for_a_path_with_a_typing_error(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "relay.db"
    with pytest.raises(StorageError, match=r"\[storage\] path: the folder .*/nowhere is not there; make it, or"):
        async with open_runner(path, inline=True, on_rollback=lambda: None):
            pytest.fail("made a folder")
    assert not path.parent.exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"file is not a folder"):
        async with opened(tmp_path / "file"):
            pytest.fail("opened below a file")


async def test_a_lock_holds_though_its_file_was_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path):
        (tmp_path / "relay.db.lock").unlink()
        with pytest.raises(StorageError, match="in use by another relay"):
            async with opened(tmp_path):
                pytest.fail("two writers")


async def test_the_database_of_another_program_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "relay.db") as other:
        other.execute("CREATE TABLE users (name TEXT)")
    other.close()
    with pytest.raises(StorageError, match=r"of another program \(it has the tables users\)"):
        async with opened(tmp_path):
            pytest.fail("opened another program's")
    with sqlite3.connect(tmp_path / "relay.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]
    other.close()


async def test_the_database_of_a_newer_relay_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "relay.db") as database:
        database.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('relay', 'from_the_future', '')"
        )
    database.close()
    with pytest.raises(StorageError, match=r"written by a newer relay .*'from_the_future'"):
        async with opened(tmp_path):
            pytest.fail("opened a newer one's")


async def test_a_folder_in_the_databases_place_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "relay.db").mkdir()
    with pytest.raises(StorageError, match=r"relay.db is a folder; a file is named"):
        async with opened(tmp_path):
            pytest.fail("opened a folder")
