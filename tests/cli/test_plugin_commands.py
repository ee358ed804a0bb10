"""Commands that plugins add, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CODE = '''
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.plugin import Command, hookimpl


class Answer(msgspec.Struct):
    word: str
    named: list[str]
    loud: bool
    times: int
    sender: str | None


async def say(
    server,
    word: str,
    *,
    name: Annotated[list[str] | None, Meta(description="Whom it is said to; may be repeated.")] = None,
    times: Annotated[int, Meta(ge=1, le=9, description="How often.")] = 1,
    loud: bool = False,
    as_: str | None = None,
) -> Answer:
    """Say WORD."""
    return Answer(word, name or [], loud, times, as_)


async def every(server) -> list[Answer]:
    """Say two things."""
    return [Answer(word, [], False, 1, None) for word in ("one", "two")]


@hookimpl
def relay_commands():
    return [Command(name="talk say", run=say), Command(name="talk every", run=every)]
'''


@pytest.fixture
def talking(folder: Path) -> Path:
    """Settings of another name, with a plugin that only they know of."""
    (folder / "own").mkdir()
    (folder / "own" / "talk.py").write_text(CODE)
    file = folder / "own.toml"
    file.write_text(f'[plugins]\ndirectories = ["{folder / "own"}"]\n[storage]\npath = "{folder / "relay.db"}"\n')
    return file


def test_options_are_repeated_bounded_and_explained(run: Run, talking: Path) -> None:
    config = ("--config", str(talking))
    said = run(*config, "talk", "say", "hi", "--name", "ann", "--name", "ben", "--as", "eve", "--loud").output
    assert said == "word: hi\nnamed: ann, ben\nloud: yes\ntimes: 1\nsender: eve\n"
    assert run(*config, "talk", "say", "hi").output == "word: hi\nnamed: -\nloud: no\ntimes: 1\nsender: -\n"
    shown = json.loads(run(*config, "talk", "say", "hi", "--times", "3", "--json").output)
    assert shown == {"word": "hi", "named": [], "loud": False, "times": 3, "sender": None}
    refused = run(*config, "talk", "say", "hi", "--times", "10", ok=False)
    assert refused.exit_code == 1
    assert "Expected `int` <= 9" in refused.output
    explained = run(*config, "talk", "say", "--help").output
    assert "Whom it is said to; may be repeated." in explained
    assert "How often." in explained


def test_a_list_is_a_table_or_lines_of_json(run: Run, talking: Path) -> None:
    config = ("--config", str(talking))
    lines = run(*config, "talk", "every").output.splitlines()
    assert [line.split()[0] for line in lines] == ["WORD", "one", "two"]
    lines = run(*config, "talk", "every", "--json").output.splitlines()
    assert [json.loads(line)["word"] for line in lines] == ["one", "two"]


@pytest.mark.parametrize("form", [["--config", "{}"], ["--config={}"]])
def test_the_settings_may_be_named_behind_a_command_that_only_they_know_of(
    run: Run, talking: Path, form: list[str]
) -> None:
    behind = [part.format(talking) for part in form]
    assert run("talk", "every", *behind).output.splitlines()[1].startswith("one")
    assert "No such command 'talk'" in run("talk", "every", ok=False).output
    assert "No such command 'tolk'" in run("tolk", *behind, ok=False).output
    assert "No such command 'talk'" in run("talk", "every", "--config", ok=False).output
