"""`relay plugins install` and `remove`: only the settings file changes, and each says what it did."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from tests.plugin.authors import HEAD

Relay = Callable[..., Result]


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relay.toml").write_text("# mine\n[server]\nport = 8500 # as ever\n")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["plugins", *arguments])

    return run


def plugins(folder: Path) -> dict[str, object]:
    text = (folder / "relay.toml").read_text()
    assert text.startswith("# mine\n[server]\nport = 8500 # as ever\n")
    found: dict[str, object] = tomllib.loads(text).get("plugins", {})
    return found


def test_a_bundled_one_goes_into_also_and_out_again(relay: Relay, tmp_path: Path) -> None:
    done = relay("install", "polls")
    assert done.output.splitlines() == [
        "polls, a bundled plugin, is in [plugins] also of relay.toml",
        "relay: the next start loads it",
    ]
    assert plugins(tmp_path) == {"also": ["polls"]}
    assert relay("install", "polls").output == "polls is enabled already\n"
    assert relay("remove", "polls").output == "polls is not in [plugins] also of relay.toml any more\n"
    assert plugins(tmp_path) == {"also": []}
    assert relay("remove", "polls").output == "polls is not enabled\n"


def test_a_dry_run_prints_the_change_and_makes_none(relay: Relay, tmp_path: Path) -> None:
    done = relay("install", "polls", "--dry-run")
    assert '+also = ["polls"]' in done.output
    assert "would do: polls, a bundled plugin" in done.output
    assert plugins(tmp_path) == {}


def test_one_that_needs_options_is_told_what_is_missing(relay: Relay) -> None:
    done = relay("install", "proxy_auth")
    assert "relay: it cannot be loaded yet: [plugins.proxy_auth] needs networks" in done.output


def test_one_that_is_enabled_by_default_is_left_out_of_the_list(relay: Relay, tmp_path: Path) -> None:
    assert relay("remove", "reaction").exit_code == 0
    enabled = plugins(tmp_path)["enabled"]
    assert isinstance(enabled, list)
    assert "reaction" not in enabled
    assert "chat_message" in enabled


def test_a_files_folder_goes_into_directories(relay: Relay, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for name in ("mine", "yours"):
        (folder / f"{name}.py").write_text(HEAD)
    done = relay("install", "more/mine.py")
    assert f"{folder} is in [plugins] directories of relay.toml" in done.output
    assert "these are loaded from it as well: yours" in done.output
    assert plugins(tmp_path) == {"directories": ["plugins.d", "more"]}
    assert "mine is enabled already" in relay("install", str(folder / "mine.py")).output
    refused = relay("remove", "mine")
    assert refused.exit_code == 1
    assert f"because {folder / 'mine.py'} is in one of [plugins] directories: move it" in refused.output


def test_mistakes_are_told_with_what_would_be_right(relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("")
    for given, told in {
        "pols": "there is no plugin 'pols'; did you mean polls?",
        "none.py": "is not a plugin: give a .py file, or a folder with __init__.py in it",
        "test_x.py": "would not be found: a plugin's name does not begin with _, . or test_",
    }.items():
        done = relay("install", given)
        assert done.exit_code == 1
        assert told in done.output
    assert "there is no plugin 'pols'; did you mean polls?" in relay("remove", "pols").output


def test_a_key_of_the_environment_is_not_written_in_vain(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_PLUGINS__ALSO", "bots")
    done = relay("install", "polls")
    assert done.exit_code == 1
    assert "[plugins] also comes from the environment: change RELAY_PLUGINS__ALSO" in done.output


def test_reload_without_a_server_says_so(relay: Relay) -> None:
    for command in ("reload", "unload"):
        done = relay(command, "polls")
        assert done.exit_code == 1
        assert "no server runs on this database" in done.output
