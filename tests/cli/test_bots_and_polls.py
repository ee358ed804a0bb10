"""The commands of bundled plugins that are off by default: found by the settings that they name themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ENABLED = '[plugins]\nalso = ["bots", "polls"]\n'


@pytest.fixture
def other(folder: Path) -> str:
    (folder / "elsewhere").mkdir()
    config = folder / "elsewhere" / "other.toml"
    config.write_text(f'[storage]\npath = "{folder}/elsewhere/relay.db"\n{ENABLED}')
    return str(config)


def test_a_command_is_found_by_the_settings_that_it_names(run: Run, other: str) -> None:
    assert "No such command" in run("bot", "list", ok=False).output
    token = run("bot", "add", "dice", "--owner", "nobody", "--config", other, ok=False)
    assert "there is no user 'nobody'" in token.output
    assert run("bot", "add", "dice", f"--config={other}").output.startswith("rly_")
    for arguments in (["--config", other, "bot", "list"], ["bot", "list", "--config", other]):
        assert json.loads(run(*arguments, "--json").output)["bot"] == "dice"
    assert "No such command" in run("bot", "list", "--config", ok=False).output


def test_its_help_names_its_arguments_and_options(run: Run, folder: Path) -> None:
    (folder / "relay.toml").write_text(ENABLED)
    told = run("bot", "add", "--help").output
    assert "NAME" in told
    for option in ("--display-name", "--owner", "--config", "--json"):
        assert option in told
    assert {"bot", "poll", "search"} <= set(run("--help").output.split())


def test_the_commands_of_bots_and_polls_work_on_a_database_that_no_server_runs_on(run: Run, folder: Path) -> None:
    (folder / "relay.toml").write_text(ENABLED)
    token = run("bot", "add", "dice").output
    assert token.count("\n") == 1
    assert run("bot", "token", "dice", "--replace").output not in (token, "")
    assert "dice" in run("bot", "list").output
    assert run("bot", "remove", "dice").output == "bot dice: removed\n"
    assert run("bot", "list", "--json").output == ""
    assert run("poll", "list", "--all").output == ""
    assert "there is no poll 7" in run("poll", "show", "7", ok=False).output
    assert "there is no poll 7" in run("poll", "close", "7", ok=False).output
