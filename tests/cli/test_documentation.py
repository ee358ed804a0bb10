"""docs/cli.md is held to the commands: their names, options and help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from relay.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMON = {"--config", "--help", "-h", "--json"}
"""Options that the page explains once, for all commands."""


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for sub_name, sub in command.commands.items():
            yield from walk(sub, f"{name} {sub_name}")


COMMANDS = dict(walk(main, "relay"))


def sections() -> dict[str, str]:
    parts = re.split(r"^## (relay.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options(command: click.Command) -> set[str]:
    return {name for one in command.params if isinstance(one, click.Option) for name in one.opts}


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_names_the_options_its_command_has_and_no_others(name: str) -> None:
    command, text = COMMANDS[name], sections()[name]
    for elsewhere in re.findall(r"`(relay [a-z]+(?: [a-z]+)? [^`]*--[^`]*)`", text):
        if not elsewhere.startswith(name):
            text = text.replace(elsewhere, "")
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    if name == "relay":
        assert told - COMMON == options(command) - COMMON
    else:
        assert told - {"--json"} == options(command) - COMMON


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if not isinstance(one, click.Group)])
def test_a_command_says_what_it_does_and_each_option_has_a_help_text(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
        else:
            assert option.make_metavar(click.Context(command)).strip("[]") in sections()[name]


def test_every_command_takes_the_settings_file() -> None:
    assert [name for name, command in COMMANDS.items() if "--config" not in options(command)] == []
