"""`relay connections`, `relay plugins set-aside` and `relay plugins options`: what only a running server can."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run, controlled


def test_without_a_server_nobody_is_connected(run: Run, folder: Path) -> None:
    told = run("connections", "list", ok=False)
    assert (told.exit_code, told.stderr) == (1, "relay: no server runs on this database; nobody is connected\n")
    assert (
        "change [plugins.search] in the settings file"
        in run("plugins", "options", "search", "--set", "results=20", ok=False).stderr
    )


def test_connections_are_listed_and_one_that_is_not_there_cannot_be_ended(run: Run, folder: Path) -> None:
    with controlled(folder / "relay.db"):
        assert run("connections", "list", "--json").stdout == ""
        assert run("connections", "list").stdout.split()[:2] == ["USER", "ID"]
        told = run("connections", "end", "bob", "phone", ok=False)
        assert (told.exit_code, "connection of 'bob'" in told.stderr) == (1, True)


def test_a_plugin_is_set_aside_with_a_reason(run: Run, folder: Path) -> None:
    with controlled(folder / "relay.db"):
        assert run("plugins", "set-aside", "pin", "--reason", "too slow").stdout == "pin: set aside\n"
        (row,) = [
            one
            for one in map(json.loads, run("plugins", "list", "--json").stdout.splitlines())
            if one["name"] == "pin"
        ]
        assert (row["state"], row["reason"]) == ("set aside", "too slow")
        assert "plugin 'nothing' at work" in run("plugins", "set-aside", "nothing", ok=False).stderr


def test_options_are_shown_with_where_they_come_from(run: Run, folder: Path) -> None:
    rows = [json.loads(one) for one in run("plugins", "options", "search", "--json").stdout.splitlines()]
    results = next(one for one in rows if one["option"] == "results")
    assert (results["value"], results["origin"]) == (50, "default")
    assert results["description"]
    assert "declares no options" in run("plugins", "options", "reaction", ok=False).stderr


def test_options_that_are_no_assignment_or_named_twice_are_refused(run: Run, folder: Path) -> None:
    told = run("plugins", "options", "search", "--set", "results", ok=False)
    assert (told.exit_code, "is not OPTION=VALUE" in told.stderr) == (2, True)
    told = run("plugins", "options", "search", "--set", "results=1", "--default", "results", ok=False)
    assert (told.exit_code, "in --set and in --default" in told.stderr) == (2, True)
