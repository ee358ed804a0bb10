"""What the program puts right before its command line: leftovers, the library path, certificate authorities."""

from __future__ import annotations

import fcntl
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release import program
from tests.e2e.server import ROOT


def unpacked(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(mode=0o700)
    (made / "libpython.so").write_text("")
    return made


def test_what_a_killed_program_left_is_removed_and_what_is_in_use_or_of_others_stays(tmp_path: Path) -> None:
    killed, foreign, used, own = (unpacked(tmp_path, f"_MEI{name}") for name in ("one", "two", "three", "four"))
    (killed / program.IN_USE).touch()
    with (used / program.IN_USE).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        program.remove_leftovers(own)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["_MEIfour", "_MEIthree", "_MEItwo"]
    assert foreign.is_dir()  # without the mark: another program's, or one that is just being unpacked
    assert list(own.glob(".in-use*")) == [own / program.IN_USE]


def test_what_others_could_have_put_there_is_left_alone(tmp_path: Path) -> None:
    own, open_to_others, elsewhere = (unpacked(tmp_path, name) for name in ("_MEIone", "_MEItwo", "kept"))
    open_to_others.chmod(0o777)
    (elsewhere / program.IN_USE).write_text("not ours to touch")
    (open_to_others / program.IN_USE).symlink_to(elsewhere / program.IN_USE)
    (tmp_path / "_MEIthree").symlink_to(elsewhere)
    program.remove_leftovers(own)
    assert open_to_others.is_dir()
    assert (elsewhere / program.IN_USE).read_text() == "not ours to touch"


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    child = (
        "import os, time\nfrom release.program import end_with\n"
        "end_with(os.getppid())\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n"
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    number = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{number}").exists() and ") Z" not in Path(f"/proc/{number}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_started_from_it_has_the_library_path_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/program")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/of/before")
    program.give_back_library_path()
    assert os.environ["LD_LIBRARY_PATH"] == "/of/before"
    program.give_back_library_path()
    assert "LD_LIBRARY_PATH" not in os.environ


def verify_paths(cafile: str | None, capath: str | None) -> ssl.DefaultVerifyPaths:
    return ssl.DefaultVerifyPaths(cafile, capath, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")


def test_certificate_authorities_are_the_machines_else_those_inside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = tmp_path / "ca-bundle.crt"
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setattr(program, "AUTHORITIES", ("/absent", str(found)))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: verify_paths("/etc/ssl/cert.pem", None))
    program.find_authorities()
    assert os.environ["SSL_CERT_FILE"] == ""
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: verify_paths(None, str(tmp_path)))
    program.find_authorities()
    assert os.environ["SSL_CERT_FILE"].endswith("certifi/cacert.pem")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: verify_paths(None, None))
    found.touch()
    program.find_authorities()
    assert os.environ["SSL_CERT_FILE"] == str(found)
