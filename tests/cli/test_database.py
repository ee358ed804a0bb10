"""Commands on a database, with and without a server that runs on it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.cli import database
from relay.storage.database import Lock
from tests.cli.conftest import Run, controlled
from tests.storage.earlier_schemas import FOLDER


def test_a_database_in_use_for_a_moment_is_waited_for(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock(folder / "relay.db")
    monkeypatch.setattr(database.time, "sleep", lambda _seconds: lock.release())
    assert run("user", "add", "bob").output == "user bob: created\n"


def test_a_server_that_starts_meanwhile_is_asked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(folder / "relay.db")
    with contextlib.ExitStack() as server:

        def start(_seconds: float) -> None:
            lock.release()
            server.enter_context(controlled(folder / "relay.db"))

        monkeypatch.setattr(database.time, "sleep", start)
        assert run("user", "add", "bob").output == "user bob: created\n"
        assert (folder / "relay.db.sock").is_socket()


def test_a_database_that_stays_in_use_is_given_up_after_five_seconds(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock(folder / "relay.db")
    now = [0.0]
    monkeypatch.setattr(database.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(database.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds * 10))
    refused = run("user", "add", "bob", ok=False)
    lock.release()
    assert refused.exit_code == 1
    assert "in use by another relay" in refused.stderr
    assert 5 <= now[0] < 6


def test_a_file_that_is_no_database_is_named(run: Run, folder: Path) -> None:
    (folder / "relay.db").write_bytes(b"this is a text file, and quite long enough to be looked at. " * 100)
    refused = run("user", "list", ok=False)
    assert refused.exit_code == 1
    assert str(folder / "relay.db") in refused.stderr
    assert "Traceback" not in refused.stderr


def test_arguments_that_are_no_text_are_refused(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    refused = anywhere("token", "create", "bob", "--label", "\udcff", ok=False)
    assert refused.stderr == "relay: an argument is not UTF-8 text\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work on the database of another user")
def test_what_root_creates_belongs_to_the_owner_of_the_folder(run: Run, folder: Path) -> None:
    os.chown(folder, 65534, 65534)
    run("user", "add", "bob")
    for name in ("relay.db", "relay.db.lock"):
        assert ((folder / name).stat().st_uid, (folder / name).stat().st_gid) == (65534, 65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work on the database of another user")
def test_a_copy_that_roots_upgrade_made_belongs_to_the_owner_of_the_folder_too(run: Run, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "relay.db")) as database:
        database.executescript((FOLDER / "schema-21.sql").read_text())
    os.chown(folder, 65534, 65534)
    assert "alice" in run("user", "list").output
    kept = (folder / "relay.db.schema-21").stat()
    assert (kept.st_uid, kept.st_gid, kept.st_mode & 0o777) == (65534, 65534, 0o600)
