"""Every command: what it imports, what it prints for programs, where its output goes, and how shells complete it."""

from __future__ import annotations

import ast
import inspect
import json
import os
import pty
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from relay.cli import main
from relay.cli.base import Document
from tests.cli.conftest import Run, controlled

RELAY = [sys.executable, "-m", "relay"]
DOCUMENTS = {"relay serve", "relay schema", "relay config schema", "relay config sample", "relay completion"}
"""Commands that print a document of a form of its own, or serve."""

HEAVY = {
    "trio", "sqlite3", "sqlite_utils", "httpx", "httpcore", "quart", "hypercorn", "werkzeug", "ssl", "asyncio", "pluggy",
    "cryptography", "argon2", "tomlkit", "prometheus_client", "email", "http", "multiprocessing", "subprocess",
    "relay.engine", "relay.storage", "relay.services", "relay.transports.rest", "relay.client",
}  # fmt: skip
"""Modules that take longer to import than all else that a command on a running server needs."""


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for sub_name, sub in command.commands.items():
            yield from walk(sub, f"{name} {sub_name}")
    else:
        yield name, command


COMMANDS = dict(walk(main, "relay"))


def test_every_command_speaks_to_programs_but_for_those_that_print_a_document() -> None:
    without = {name for name, one in COMMANDS.items() if not any("--json" in option.opts for option in one.params)}
    assert without == DOCUMENTS == {name for name, one in COMMANDS.items() if isinstance(one, Document)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_not_told_of_programs_prints_by_what_is(name: str) -> None:
    command = COMMANDS[name]
    assert command.callback is not None
    if isinstance(command, Document) or "as_json" in inspect.signature(command.callback).parameters:
        return
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(command.callback))))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and not any(keyword.arg == "err" for keyword in node.keywords)
    }
    assert "echo" not in called or "wants_json" in called, "print what was done by relay.cli.base.tell"


def test_what_commands_did_is_an_object_for_programs(run: Run, folder: Path) -> None:
    def did(*arguments: str, **options: Any) -> dict[str, Any]:
        (line,) = run(*arguments, "--json", **options).stdout.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    with controlled(folder / "relay.db"):
        assert did("user", "add", "alice", "--role", "owner") == {"user_id": "alice", "role": "owner"}
        assert did("user", "import", "-", input="bob\ncarol\nalice\n") == {"created": 2, "there_already": 1}
        assert did("user", "role", "bob", "admin") == {"user_id": "bob", "role": "admin"}
        assert did("user", "rename", "bob", "Robert") == {"user_id": "bob", "display_name": "Robert"}
        assert did("user", "disable", "carol") == {"user_id": "carol", "disabled": True}
        assert did("user", "enable", "carol") == {"user_id": "carol", "disabled": False}
        password = did("user", "passwd", "carol", "--password-stdin", input="correct horse battery\n")
        assert password == {"user_id": "carol", "logins_ended": 0}
        assert set(did("user", "reset-link", "carol")) == {"user_id", "code", "link"}
        assert set(did("user", "invite")) == set(did("invite", "create")) == {"code", "link"}
        token = did("token", "create", "bob")
        assert token["token"].startswith("rly_")
        made = json.loads(run("token", "list", "bob", "--json").output)["token_id"]
        assert did("token", "revoke", made) == {"token_id": made}
        assert did("group", "create", "team", "--name", "Team", "--owner", "alice") == {
            "group_id": "team",
            "owner": "alice",
        }
        assert did("group", "add", "team", "bob")["role"] == "member"
        assert did("group", "remove", "team", "bob") == {"group_id": "team", "user_id": "bob"}
        assert did("group", "delete", "team") == {"group_id": "team"}
        assert set(did("notify", "bob", "hello")) >= {"message_id", "sender_id"}
        row = {"type": "chat_message", "payload": {"content": "hi"}, "meta": {"sender_id": "alice"}}
        row["meta"] |= {"id": "one", "target_id": "bob"}
        assert did("import", "-", input=json.dumps(row)) == {"stored": 1, "there_already": 0, "refused": 0}
        assert did("timeout", "carol", "--for", "10m")["user_id"] == "carol"
        assert did("timeout", "carol", "--lift") == {"user_id": "carol", "group_id": None}
        assert did("ban", "carol", "--for", "1h")["until"] > 0
        assert did("unban", "carol") == {"user_id": "carol", "group_id": None}
        assert did("plugins", "unload", "search")["name"] == "search"
        assert did("user", "erase", "carol", "--yes")["user_id"] == "carol"
    assert did("plugins", "install", "webhooks", "--dry-run")["changes"] is True
    assert did("plugins", "new", "zap")["name"] == "zap"
    checked = [json.loads(line) for line in run("plugins", "check", "--json").output.splitlines()]
    assert {row["name"] for row in checked} >= {"chat_message", "zap"}


def test_a_command_on_a_running_server_imports_nothing_that_is_slow(folder: Path) -> None:
    program = (
        "import sys; from relay.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, *sys.modules, file=sys.stderr)\n"
    )
    with controlled(folder / "relay.db"):
        for command in (["status"], ["user", "list"], ["user", "add", "bob"], ["token", "create", "bob"]):
            done = subprocess.run(
                [sys.executable, "-c", program, *command], capture_output=True, text=True, check=True, cwd=folder
            )
            code, *modules = done.stderr.split()
            assert code == "0"
            slow = HEAVY & {*modules, *(name.partition(".")[0] for name in modules)}
            assert slow == set(), command
            own = {name for name in modules if name.startswith("relay.cli.")}
            assert len(own) <= 8, own  # those of the other commands are not imported


@pytest.mark.parametrize(
    "command",
    [["config", "show"], ["user", "list"], ["--help"], ["completion", "bash"]],
    ids=" ".join,
)
def test_output_that_nobody_takes_ends_a_command_without_a_traceback(command: list[str], folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*RELAY, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "relay: standard output cannot be written to: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*RELAY, *command], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_an_error_that_cannot_be_told_is_an_error_all_the_same(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run([*RELAY, "user", "list", "--no-such"], stderr=full, env=environment, check=False)
    assert done.returncode == 1  # 120 is the interpreter's, for text that it could not write at its end


def test_a_closed_standard_output_is_no_fault(folder: Path) -> None:
    command = " ".join((*RELAY, "config", "check", ">&-"))
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_import_shows_a_bar_to_who_looks_at_it(folder: Path) -> None:
    rows = [
        {
            "type": "chat_message",
            "payload": {"content": "hi"},
            "meta": {"id": str(n), "sender_id": "a", "target_id": "b"},
        }
        for n in range(50)
    ]
    (folder / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
    looking, terminal = pty.openpty()
    done = subprocess.run(
        [*RELAY, "import", "rows", "--create-users"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    seen = os.read(looking, 65_536).decode()
    os.close(looking)
    assert done.stdout == "50 stored, 0 there already, 0 refused\n"
    assert "relay: import" in seen
    assert "100%" in seen
    assert "line 50" not in seen


# Completion


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def completing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with `relay` on the path."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def run_shell(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.stdout


def test_bash_completes_commands_and_options(run: Run, completing: Path) -> None:
    place = completing / ".local/share/bash-completion/completions/relay"
    assert run("completion", "bash", "--install").stdout == f"{place}\n"
    program = """
source "$1"
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _relay_completion relay; echo "${COMPREPLY[*]}"; }
try relay us; try relay user dis; try relay user list --js; try relay completion f
"""
    assert run_shell(shell("bash"), "-c", program, "bash", str(place)).splitlines() == [
        "user", "disable", "--json", "fish",
    ]  # fmt: skip


def test_fish_completes_commands_and_options(run: Run, completing: Path) -> None:
    fish = shell("fish")
    run("completion", "fish", "--install")
    assert (completing / ".config/fish/completions/relay.fish").is_file()
    said = run_shell(fish, "-c", "complete -C 'relay us'; complete -C 'relay user list --js'")
    assert [line.split("\t")[0] for line in said.splitlines()] == ["user", "--json"]


def test_zsh_takes_its_completion(run: Run, completing: Path) -> None:
    zsh = shell("zsh")
    run("completion", "zsh", "--install")
    program = "fpath+=($HOME/.zfunc); autoload -Uz compinit; compinit -u -D; print $_comps[relay]"
    assert run_shell(zsh, "-f", "-c", program) == "_relay\n"
    (completing / "sourced").write_text(run("completion", "zsh").stdout)
    program = "autoload -Uz compinit; compinit -u -D; source ~/sourced; print $_comps[relay]"
    assert run_shell(zsh, "-f", "-c", program) == "_relay_completion\n"


def test_what_zsh_is_told_has_the_words_and_their_meaning(completing: Path) -> None:
    environ = {**os.environ, "COMP_WORDS": "relay user enab", "COMP_CWORD": "2", "_RELAY_COMPLETE": "zsh_complete"}
    done = subprocess.run(["relay"], env=environ, capture_output=True, text=True, check=False, timeout=60)
    kind, word, meaning, *rest = done.stdout.split("\n")
    assert (kind, word) == ("plain", "enable")
    assert meaning.startswith("Enable the disabled user NAME")
    assert "".join(rest) == ""


def test_a_place_that_cannot_be_written_is_said(run: Run, completing: Path) -> None:
    (completing / ".local").write_text("in the way")
    refused = run("completion", "bash", "--install", ok=False)
    assert "cannot be written: Not a directory" in refused.stderr
