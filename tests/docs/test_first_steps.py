"""The commands of the README, of the quickstart and of a new server, typed as they stand there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.conversation import blocks

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0

pytestmark = pytest.mark.e2e


class Shell:
    """A folder like a checkout after `make run`: relay.toml, .venv/bin/relay and a running server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        commands = folder / ".venv" / "bin"
        commands.mkdir(parents=True)
        relay = commands / "relay"
        # Told the name it was called by, as an installed command is.
        program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = '.venv/bin/relay'"
        relay.write_text(
            f'#!/bin/sh\nexec {sys.executable} -c "{program}; from relay.cli import main; main()" "$@"\n'
        )
        relay.chmod(0o755)
        python = commands / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        self.environ = environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        toml = (ROOT / "relay.toml").read_text(encoding="utf-8")
        (folder / "relay.toml").write_text(toml.replace("port = 8484", "port = 0"), encoding="utf-8")
        self.server = self.run("exec .venv/bin/relay serve --config relay.toml")
        line = wait_for(self.server, "listens on http://")
        self.port = line.partition("127.0.0.1:")[2].split(" ")[0]
        # The commands find the server by its settings, which say port 0 until it is known.
        (folder / "relay.toml").write_text(toml.replace("port = 8484", f"port = {self.port}"), encoding="utf-8")

    def run(self, script: str) -> "subprocess.Popen[str]":
        """Start a script as somebody would paste it."""
        process = subprocess.Popen(
            ["bash", "-c", "set -e\n" + script.replace("8484", getattr(self, "port", "8484"))],
            cwd=self.folder, env=self.environ, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def wait_for(process: "subprocess.Popen[str]", text: str) -> str:
    """Return the first line that has the text; fail with everything that came when it does not come."""
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return line
    finally:
        watchdog.cancel()
    raise AssertionError(f"{text!r} did not come:\n{''.join(lines)}")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    opened = Shell(tmp_path)
    yield opened
    opened.close()


def shown(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block.text for block in blocks(text) if block.language == language]


def test_the_readme_leads_to_the_first_message(shell: Shell) -> None:
    (commands,) = [one for one in shown("README.md", "sh") if "relay tail" in one]
    (program,) = shown("README.md", "python")
    wait_for(shell.run(commands), "alice → bob: Hello, Bob")
    (shell.folder / "by_hand.py").write_text(program.replace("8484", shell.port), encoding="utf-8")
    for duplicate in ("false", "true"):
        by_hand = shell.run("export ALICE=$(.venv/bin/relay token create alice)\nexec .venv/bin/python by_hand.py")
        assert re.search(rf'"duplicate": ?{duplicate}', wait_for(by_hand, '"ack"'))


def test_what_a_new_server_prints_leads_to_the_first_message(shell: Shell) -> None:
    assert shell.server.stdout is not None
    wait_for(shell.server, "There are no users yet")
    assert f"http://127.0.0.1:{shell.port}/#setup=" in shell.server.stdout.readline()
    assert "in a second terminal in this folder:" in shell.server.stdout.readline()
    commands = [shell.server.stdout.readline().strip() for _ in range(4)]
    assert all(".venv/bin/relay " in command and "--config relay.toml" in command for command in commands)
    wait_for(shell.run("\n".join(commands)), "alice → bob: hello")


def test_the_quickstart_works_from_top_to_bottom(shell: Shell) -> None:
    people, group, missed, history = shown("docs/quickstart.md", "sh")
    tail = shell.run("\n".join([people, group, missed]))
    wait_for(tail, "And coffee after?")
    names = (
        "export ALICE=$(relay token create alice) BOB=$(relay token create bob) CAROL=$(relay token create carol)"
    )
    path = 'export PATH="$PWD/.venv/bin:$PATH"'
    if shutil.which("curl") is not None:
        asked = shell.run("\n".join([path, names, history]))
        answer, _ = asked.communicate(timeout=PATIENCE)
        assert '"target_id":"team"' in answer
        assert answer.count("Lunch at noon, everybody") == 2
        assert answer.count("And coffee after?") == 1
    (program,) = shown("docs/quickstart.md", "python")
    (shell.folder / "program.py").write_text(program.replace("8484", shell.port), encoding="utf-8")
    wait_for(shell.run("\n".join([path, names, "exec python program.py"])), "stored as")
