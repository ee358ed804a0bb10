"""A database replaced by a copy: whatever step is the last one, the next start finds the old or the new, whole."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.storage.replacing import arriving, beside, drop_old, outgoing, put_in_place, settle
from relay.storage.replica import locked

STEPS = ("rename", "link", "fsync", "unlink")


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(number: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """End the process in place of its `number`th step on files; yield what it has done."""
    done: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            if len(done) == number:
                raise Killed
            done.append(name)
            return call(*args, **named)

        return step

    with patch.context() as inside:
        for name in STEPS:
            inside.setattr(os, name, counted(name, getattr(os, name)))
        inside.setattr(Path, "unlink", counted("unlink", Path.unlink))
        try:
            yield done
        except Killed:
            done.append("killed")


def write(path: Path, *names: str) -> None:
    """Make a database as a process leaves it that was killed: the last rows are in its write-ahead log alone."""
    work = path.with_name("work.db")
    with closing(sqlite3.connect(work, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE names (name TEXT)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executemany("INSERT INTO names VALUES (?)", [(name,) for name in names])
        for end in ("", "-wal"):
            shutil.copy(beside(work, end), beside(path, end))
    work.unlink()


def copy(path: Path, *names: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE names (name TEXT)")
        connection.executemany("INSERT INTO names VALUES (?)", [(name,) for name in names])
        connection.commit()


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in connection.execute("SELECT name FROM names")]


def test_a_copy_takes_the_place_and_the_old_one_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    write(path, "old", "older")
    copy(arriving(path), "new")
    put_in_place(path)
    assert names(path) == ["new"]
    kept = beside(path, ".before-copy")
    shutil.copy(kept, tmp_path / "seen.db")
    shutil.copy(beside(kept, "-wal"), tmp_path / "seen.db-wal")
    assert names(tmp_path / "seen.db") == ["old", "older"]
    drop_old(path)
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith("relay")) == ["relay.db"]


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "after another that was not dropped"])
@pytest.mark.parametrize("number", range(20))
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, earlier: bool
) -> None:
    path = tmp_path / "relay.db"
    if earlier:
        write(path, "first")
        copy(arriving(path), "second")
        put_in_place(path)
        path.unlink()
    write(path, "old")
    copy(arriving(path), "new")
    with killed_at(number, monkeypatch) as done:
        put_in_place(path)
    with killed_at(number, monkeypatch):  # and once more, where what the first one had begun is finished
        settle(path)
    with locked(path):
        pass
    assert names(path) == (["old"] if done[:1] == ["killed"] else ["new"])
    assert not arriving(path).exists()
    drop_old(path)
    assert sorted(one.name for one in tmp_path.iterdir() if ".lock" not in one.name) == ["relay.db"]
    if number == 19:
        assert done[-1] != "killed"  # there are no more steps than these


def test_a_copy_for_a_node_without_a_database(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    copy(arriving(path), "new")
    with locked(path):
        assert path.stat().st_size == 0
        copy(arriving(path), "new")
        put_in_place(path)
    assert names(path) == ["new"]
    assert not beside(path, ".before-copy").exists()


def test_a_copy_that_did_not_arrive_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    write(path, "old")
    arriving(path).write_bytes(b"half of it")
    for number, end in ((0, ""), (0, "-journal"), (1, ".part"), (1, ".part-journal")):  # for other nodes
        beside(outgoing(path, number), end).write_bytes(b"half of it")
    with locked(path):
        assert not arriving(path).exists()
    assert names(path) == ["old"]
    assert settle(path) is False
    assert sorted(one.name for one in tmp_path.iterdir()) == ["relay.db", "relay.db.lock"]
