"""The five minutes of docs/plugins/writing.md, typed as they stand there, in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_docs import read
from tests.docs.test_first_steps import PATIENCE, ROOT, wait_for
from tests.e2e.server import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")]


class Folder:
    """An empty folder, and a shell in it that finds `relay` and `pytest`."""

    def __init__(self, path: Path, commands: Path) -> None:
        self.path = path
        for name, module in (("relay", "relay"), ("pytest", "pytest")):
            command = commands / name
            command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
            command.chmod(0o755)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        self.environ = environ | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "RELAY_SERVER__PORT": str(free_port()),
        }
        self.running: list[subprocess.Popen[str]] = []

    def start(self, line: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command as it is typed."""
        process = subprocess.Popen(
            ["bash", "-c", line], cwd=self.path, env=self.environ | environ, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.running.append(process)
        return process

    def type(self, line: str, **environ: str) -> str:
        """Run a command to its end and return what it printed."""
        told, _ = self.start(line, **environ).communicate(timeout=PATIENCE)
        assert self.running[-1].returncode == 0, f"{line}:\n{told}"
        return told.strip()

    def close(self) -> None:
        for process in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    for name in ("work", "bin"):
        (tmp_path / name).mkdir()
    made = Folder(tmp_path / "work", tmp_path / "bin")
    yield made
    made.close()


def test_a_message_of_a_new_type_in_five_minutes(folder: Folder) -> None:
    page = read("docs/plugins/writing.md").partition("## Five minutes\n")[2].partition("\n## ")[0]
    new, test, serve, send = re.findall(r"^    (.+)$", page, re.MULTILINE)
    assert (new.split()[:3], test.split()[0], serve) == (["relay", "plugins", "new"], "pytest", "relay serve")
    begun = time.monotonic()
    assert "plugins.d/star_rating.py" in folder.type(new)
    assert re.search(r"\b[23] passed", folder.type(test))
    wait_for(folder.start(serve), "listens on")
    tokens = {}
    for name in ("alice", "bob"):
        folder.type(f"relay user add {name}")
        tokens[name] = folder.type(f"relay token create {name}")
    assert "seq 1" in folder.type(send, RELAY_TOKEN=tokens["alice"])
    shown = wait_for(folder.start("relay tail", RELAY_TOKEN=tokens["bob"]), "star_rating")
    assert "great" in shown
    assert "5" in shown
    print(
        f"from nothing to a message of a type of its own: {time.monotonic() - begun:.1f} s of the machine's time"
    )


def test_what_the_command_says_to_try_next_can_be_typed(folder: Folder) -> None:
    told = folder.type("relay plugins new poke")
    sending = told.partition("start the server again, and: ")[2]
    wait_for(folder.start("relay serve"), "listens on")
    folder.type("relay user add alice")
    token = folder.type("relay token create alice")
    assert "seq 1" in folder.type(sending.replace("USER", "alice"), RELAY_TOKEN=token)
