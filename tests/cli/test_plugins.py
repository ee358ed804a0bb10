"""`relay plugins check`: each plugin is named once, with the place to look at."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.app.plugin_admin import checked, load_for
from relay.settings import load

ROOT = Path(__file__).parents[2]


def test_a_broken_plugin_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "odd.py").write_text("1 / 0\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "relay", "plugins", "check", "odd"],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if "ZeroDivisionError" in line] == [
        "relay: odd: odd.py:1: ZeroDivisionError: division by zero"
    ]


def test_one_of_an_installed_package_is_called_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relay_of_mine.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("mine", "relay_of_mine", "relay.plugins")
    monkeypatch.setattr("relay.engine.discovery.installed", lambda: {"mine": _found(entry)})
    settings = load(None, {"RELAY_PLUGINS__ALSO": "mine, nowhere", "RELAY_PLUGINS__DIRECTORIES": ""})
    told = {broken.name: str(broken) for broken in load_for(settings).broken}
    assert told["mine"].startswith("plugin 'mine' (module relay_of_mine) is left out: relay_of_mine.py:1: Zero")
    assert told["nowhere"].startswith("plugin 'nowhere' is left out: there is no plugin of that name")
    assert [row["name"] for row in checked(settings, ("nowhere",))] == ["nowhere"]


def _found(entry: importlib.metadata.EntryPoint) -> object:
    from relay.engine.discovery import Found

    return Found("mine", "installed", entry=entry)
