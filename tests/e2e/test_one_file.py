"""The program as one file: two processes, the bootloader, which unpacks, and the server, its child."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.binary import ONE_FILE
from tests.e2e.server import LISTENING, UNLIMITED, free_port, merged, to_toml
from tests.e2e.test_program import of_the_program
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, of_the_program]


class OneFile:
    """A server of the one file, at a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.config = folder / "relay.toml"
        self.port = free_port()
        self.config.write_text(to_toml(merged(UNLIMITED, {"server": {"port": self.port}})))
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal = -1
        self.said = b""

    def start(self) -> None:
        self.terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [ONE_FILE, "serve", "--config", self.config],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TMPDIR": str(self.temporary)},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        while not LISTENING.search(self.said.decode(errors="replace")):
            self.said += os.read(self.terminal, 4096)

    @property
    def child(self) -> int:
        assert self.process is not None
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(told.split()[0])

    def rest_of_output(self) -> str:
        with contextlib.suppress(OSError):  # how a terminal without a process ends
            while more := os.read(self.terminal, 4096):
                self.said += more
        os.close(self.terminal)
        return self.said.decode()


@pytest.fixture
def one_file(tmp_path: Path) -> Iterator[OneFile]:
    made = OneFile(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_ctrl_c_at_a_terminal_is_one_signal_and_leaves_nothing_behind(one_file: OneFile) -> None:
    one_file.start()
    os.write(one_file.terminal, b"\x03")
    said = one_file.rest_of_output()
    assert one_file.process is not None
    assert one_file.process.wait(PATIENCE) == 0, said
    assert said.count("SIGINT: draining") == 1
    assert list(one_file.temporary.iterdir()) == []


def test_kill_9_ends_the_server_and_the_next_start_removes_what_it_left(one_file: OneFile) -> None:
    one_file.start()
    assert one_file.process is not None
    child = one_file.child
    one_file.process.kill()
    one_file.process.wait()
    deadline = time.monotonic() + PATIENCE
    while is_alive(child):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)
    one_file.rest_of_output()
    (left,) = one_file.temporary.iterdir()
    one_file.said = b""
    one_file.start()
    assert [path for path in one_file.temporary.iterdir() if path == left] == []
    one_file.process.send_signal(signal.SIGTERM)
    one_file.rest_of_output()
    assert one_file.process.wait(PATIENCE) == 0
    assert list(one_file.temporary.iterdir()) == []


def test_two_at_once_leave_each_others_folder(one_file: OneFile, tmp_path: Path) -> None:
    one_file.start()
    command = [ONE_FILE, "user", "list", "--config", one_file.config]
    environ = {**os.environ, "TMPDIR": str(one_file.temporary)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    (folder,) = one_file.temporary.iterdir()
    assert (folder / "relay/web").is_dir()
