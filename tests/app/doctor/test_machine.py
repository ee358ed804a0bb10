"""What `relay doctor` finds on this machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from relay.app.doctor import machine
from relay.app.doctor.findings import Finding
from relay.settings import Settings


def settings(**sections: object) -> Settings:
    return msgspec.convert(sections, Settings)


def states(found: Iterable[Finding]) -> list[str]:
    return [one.state for one in found]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database file with the rights that a server gives it."""
    tmp_path.chmod(0o700)
    path = tmp_path / "relay.db"
    path.write_bytes(b"")
    path.chmod(0o600)
    return path


def test_a_port_that_another_program_has_is_named_with_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        found = machine.port(settings(server={"port": number}), None)
        assert machine.port(settings(server={"port": number}), 17).text == (
            f"the server runs (process 17) and has 127.0.0.1:{number}"
        )
    assert found.state == "bad"
    assert f"cannot listen on 127.0.0.1:{number}: Address already in use; another program listens" in found.text


def test_an_address_of_another_machine_is_named() -> None:
    found = machine.port(settings(server={"host": "203.0.113.9"}), None)
    assert found.state == "bad"
    assert found.text.endswith("[server] host names an address of this machine, such as 127.0.0.1 or 0.0.0.0")


def test_files_with_the_rights_of_a_server_are_well(database: Path) -> None:
    assert states(machine.files(database)) == ["good"]


def test_a_database_that_others_may_open_or_replace_is_named_with_its_remedy(database: Path) -> None:
    database.chmod(0o644)
    database.parent.chmod(0o777)
    replaced, opened = machine.files(database)
    assert (
        replaced.text
        == f"everybody may write to {database.parent}, and replace the database: chmod o-w " + str(database.parent)
    )
    assert opened.text == f"others than the owner may open {database}: chmod 600 {database}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_another_user_is_named_with_its_remedy(database: Path) -> None:
    lock = Path(f"{database}.lock")
    lock.write_bytes(b"")
    lock.chmod(0o600)
    os.chown(lock, 12_345, 12_345)
    (found,) = machine.files(database)
    owner = database.parent.stat()
    assert found.state == "bad"
    assert found.text.endswith(f": chown {owner.st_uid}:{owner.st_gid} {lock}")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert states(machine.files(tmp_path / "absent" / "relay.db")) == ["bad"]
    assert states(machine.disk(tmp_path / "absent" / "relay.db")) == []


def test_a_disk_with_little_room_and_one_of_another_machine_are_named(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_file_system", lambda folder: "nfs4")
    monkeypatch.setattr(machine, "_LEAST_FREE", 1 << 60)
    little, remote = machine.disk(database)
    assert (little.state, remote.state) == ("bad", "bad")
    assert little.text.endswith("the server soon takes no messages; make room")
    assert " is on nfs4: " in remote.text


def test_the_kind_of_a_file_system_is_known() -> None:
    assert machine._file_system(Path("/proc/self")) == "proc"


def test_a_clock_that_was_set_back_is_named(database: Path) -> None:
    later = time.time() + 7200
    os.utime(database, (later, later))
    (found,) = machine.clock(database)
    assert found.state == "bad"
    assert found.text.endswith("the clock was set back, or is wrong")


@pytest.mark.parametrize(("kept", "state"), [(True, "good"), (False, "warning"), (None, "unknown")])
def test_a_clock_that_nothing_keeps_right_is_a_warning(
    kept: bool | None, state: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_clock_is_kept", lambda: kept)
    assert states(machine.clock(database)) == [state]


def test_the_kernel_is_asked_about_its_clock() -> None:
    assert machine._clock_is_kept() in (True, False, None)


def test_an_old_sqlite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.sqlite().state == "good"
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 34, 1))
    assert "3.38 or newer is needed" in machine.sqlite().text


def test_more_connections_than_descriptors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 1024))
    assert machine.descriptors(settings(limits={"connections": 5000}), None).state == "bad"
    assert machine.descriptors(settings(), None).state == "warning"
    own = machine.descriptors(settings(), os.getpid())
    assert own.text.startswith("the server's limit on open files is ")
    assert " are open: room for " in own.text
