"""The page's settings and commands, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from relay.settings import load
from tests.cli.conftest import Run, folder, run  # noqa: F401 - fixtures

PAGE = (Path(__file__).parents[3] / "docs" / "plugins" / "retention.md").read_text(encoding="utf-8")
SETTINGS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]


def shown() -> list[list[str]]:
    return [shlex.split(line)[1:] for line in re.findall(r"^    (relay .*)$", PAGE, re.MULTILINE)]


def test_the_commands_work_with_the_settings_of_the_page(folder: Path, run: Run) -> None:  # noqa: F811
    (folder / "relay.toml").write_text(SETTINGS, encoding="utf-8")
    run("user", "add", "bob")
    for group in ("lobby", "team"):
        run("group", "create", group, "--name", group, "--owner", "bob")
    assert (
        "retention: message hooks: keeps, before; migrations: holds, runs"
        in run("plugins", "check", "retention").output
    )
    told = {" ".join(command): run(*command).output for command in shown()}
    assert len(told) == 10
    assert [line.split()[0] for line in told["retention plan"].splitlines()] == [
        "RULE",
        "everything",
        "alarms",
        "lobby",
    ]
    assert "group  team  J. Doe, legal  case 2026-17" in told["retention hold list"]
    assert "settled" in told["retention hold list --ended"]
    assert "bob: no longer on hold" in told["retention hold remove user bob --who J. Doe, legal --why settled"]
    assert "group_event" in told["retention report"]
    assert "group:lobby" in told["retention report --by conversation --limit 20"]
    assert "ENDED" in told["retention runs"]
    assert json.loads(run("retention", "hold", "list", "--json").output)["name"] == "team"


def test_a_plugins_command_takes_the_settings_behind_it(folder: Path, run: Run) -> None:  # noqa: F811
    (folder / "other.toml").write_text(SETTINGS, encoding="utf-8")
    for option in (["--config", "other.toml"], ["--config=other.toml"]):
        assert "everything" in run("retention", "plan", *option).output
        assert "everything" in run(*option, "retention", "plan").output
    assert "No such command 'retention'" in run("retention", "plan", ok=False).output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("hold", "add", "user", "bob", "--who", "x"), "Missing option '--why'"),
        (("hold", "add", "user", "nobody", "--who", "x", "--why", "y"), "there is no user 'nobody'"),
        (("run",), "there are no rules"),
        (("hold",), ""),
    ],
)
def test_a_mistake_is_told(folder: Path, run: Run, arguments: tuple[str, ...], told: str) -> None:  # noqa: F811
    (folder / "relay.toml").write_text('[plugins]\nalso = ["retention"]\n')
    result = run("retention", *arguments, ok=not told)
    assert told in result.output
    if not told:
        assert {"add", "remove", "list"} <= set(result.output.split())


def test_the_pages_rules_are_read_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text(SETTINGS, encoding="utf-8")
    read = load(tmp_path / "relay.toml", {}).plugins.options["retention"]
    assert read == tomllib.loads(SETTINGS)["plugins"]["retention"]
