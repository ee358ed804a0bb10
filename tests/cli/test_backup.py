"""`relay backup`, `relay verify` and `relay restore`, with a server and without: what they print, do and refuse."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from relay.app.muting import refuse
from tests.cli.conftest import Run, controlled

IN_WORDS = "2 users, 0 groups, 1 messages, the newest of "


def said(run: Run) -> None:
    """Have alice say something to bob."""
    run("user", "import", "-", input="alice\nbob\n")
    meta = {"id": "lunch-1", "sender_id": "alice", "target_id": "bob"}
    row = {"type": "chat_message", "payload": {"content": "Lunch?"}, "meta": meta}
    run("import", "-", input=json.dumps(row) + "\n")


def test_a_backup_says_what_is_in_it_and_so_does_its_check(anywhere: Run, folder: Path) -> None:
    said(anywhere)
    made = anywhere("backup", "copy.db").output
    assert made.startswith("copy.db: ok: ")
    assert IN_WORDS in made
    assert anywhere("verify", "copy.db").output == made
    found = json.loads(anywhere("verify", "copy.db", "--json").output)
    assert (found["users"], found["messages"], found["problems"]) == (2, 1, [])
    assert (folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob("copy.db?*"))


def test_a_backup_into_a_folder_gets_a_name(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "alice")
    (folder / "kept").mkdir()
    anywhere("backup", "kept")
    (file,) = (folder / "kept").iterdir()
    assert file.match("relay-????????-??????.db")


def test_a_backup_without_a_server_changes_nothing(run: Run, folder: Path) -> None:
    said(run)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run("backup", "copy.db")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == {**before, "copy.db": after["copy.db"]}
    assert run("backup", ok=False).stderr == (
        "relay: no server runs on this database; name a FILE for the backup: relay backup FILE works without one\n"
    )


def test_a_server_knows_of_backups_and_makes_one_itself(run: Run, folder: Path) -> None:
    with controlled(folder / "relay.db"):
        run("user", "add", "alice")
        run("backup", "copy.db")
        made = Path(run("backup").output.strip())
        assert made.parent == folder / "backups"
        assert made.exists()
        listed = run("backup", "--list").output.splitlines()
        assert listed[0].split() == ["AT", "WAY", "FILE", "SIZE", "SECONDS", "MESSAGES", "RESULT"]
        assert [line.split()[-1] for line in listed[1:]] == ["good", "good"]
        assert made.name in listed[1]
        assert str(folder / "copy.db") in listed[2]
        found = json.loads(run("backup", "--list", "--json").output)
        assert found["last_good"]["file"] == made.name
        assert json.loads(run("backup", "--json").output)["problem"] is None
        acts = [json.loads(line) for line in run("audit", "--act", "backup", "--json").output.splitlines()]
        assert [one["about"]["id"] for one in acts[:2]] == [str(folder / "copy.db"), made.name]


def test_what_is_refused_is_named(anywhere: Run, folder: Path) -> None:
    said(anywhere)
    anywhere("backup", "copy.db")
    assert "copy.db is there already" in anywhere("backup", "copy.db", ok=False).stderr
    assert "the folder nowhere does not exist" in anywhere("backup", "nowhere/copy.db", ok=False).stderr
    (folder / "letter").write_text("dear grandmother")
    assert "letter is not a database" in anywhere("verify", "letter", ok=False).stderr
    assert "none cannot be read: No such file or directory" in anywhere("verify", "none", ok=False).stderr
    with closing(sqlite3.connect(folder / "copy.db", isolation_level=None)) as connection:
        connection.execute("UPDATE log SET channel_id = 99 WHERE own_id = 'lunch-1'")
    result = anywhere("verify", "copy.db", ok=False)
    assert result.stdout.startswith("copy.db: damaged: ")
    assert "  ! 1 messages are in no conversation\n" in result.stdout
    assert result.stderr == "relay: copy.db is damaged: it cannot be restored\n"


def test_a_backup_where_there_is_no_database(run: Run, folder: Path) -> None:
    assert "there is no database" in run("backup", "copy.db", ok=False).stderr
    assert [path.name for path in folder.iterdir()] == []


def test_a_restore(run: Run, folder: Path) -> None:
    said(run)
    run("backup", "copy.db")
    run("user", "add", "carol")
    run("user", "erase", "bob", "--yes")
    output = run("restore", "copy.db").output.splitlines()
    assert output[0].startswith(f"{folder / 'relay.db'} is restored from copy.db: ")
    assert IN_WORDS in output[0]
    (aside,) = folder.glob("relay.db.before-*")
    assert output[1] == f"the old database is {aside} now; delete it when you need it no more"
    assert output[2] == "erased since that backup, and here again: bob"
    names = [json.loads(line)["user_id"] for line in run("user", "list", "--json").output.splitlines()]
    assert names == ["alice", "bob"]
    assert json.loads(run("restore", "copy.db", "--json").output)["erased"] == []


def test_a_restore_under_a_server_is_refused(run: Run, folder: Path) -> None:
    said(run)
    run("backup", "copy.db")
    with controlled(folder / "relay.db"):
        run("user", "add", "carol")
        assert run("restore", "copy.db", ok=False).stderr == (
            f"relay: a server runs on {folder / 'relay.db'}; stop it first, and start it after the restore\n"
        )
        assert len(run("user", "list").output.splitlines()) == 4


def test_a_bar_is_drawn_on_a_terminal_only(run: Run, folder: Path) -> None:
    said(run)
    code = (
        "import time, relay.cli.backup as b\n"
        "with b._bar() as told:\n"
        "    told('copying', 1, 9); time.sleep(1.1); told('copying', 3, 9); told('checking', 0, 0)\n"
    )
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, timeout=60)
        drawn = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "copying" in drawn
    assert "33%" in drawn
    assert drawn.endswith("checking …\r\n")
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert quiet.stderr == b""


def test_settings_that_contradict_each_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_BACKUP__AT", "3:30")
    assert "a time of the day is written 03:30" in run("config", "check", ok=False).output
    monkeypatch.setenv("RELAY_BACKUP__AT", "03:30")
    monkeypatch.setenv("RELAY_BACKUP__EVERY_SECONDS", "3600")
    assert "stands beside [backup] at" in run("config", "check", ok=False).output
    monkeypatch.delenv("RELAY_BACKUP__AT")
    monkeypatch.setenv("RELAY_BACKUP__COMMAND", '["rclone", "copy"]')
    assert "does not say {file}" in run("config", "check", ok=False).output


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("127.0.0.1", 25))),
        ("socket.sendto", (None, ("8.8.8.8", 53))),
        ("subprocess.Popen", ("sendmail",)),
        ("os.system", ("sendmail",)),
        ("socket.getaddrinfo", ("example.org", 443, 0, 0, 0)),
    ],
)
def test_a_sandbox_reaches_nobody(event: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(PermissionError, match="this is a sandbox, which"):
        refuse(event, arguments)


def test_a_sandbox_listens() -> None:
    for host in ("127.0.0.1", b"::1", None, ""):
        refuse("socket.getaddrinfo", (host, 0, 0, 0, 0))
    refuse("socket.bind", (None, ("127.0.0.1", 0)))
