"""Commands that plugins add."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

CODE = '''
from relay.plugin import Command, hookimpl

async def count(server, word: str, *, times: int = 1) -> str:
    """Say a word."""
    return " ".join([word] * times)

@hookimpl
def relay_commands(): return [Command(name="words say", run=count)]
'''


@pytest.mark.parametrize("where", ["before", "between", "behind", "behind, with ="])
def test_a_plugins_command_is_found_wherever_the_settings_file_is_named(
    folder: Path, run: Run, where: str
) -> None:
    place = folder / "elsewhere"
    (place / "plugins.d").mkdir(parents=True)
    (place / "plugins.d" / "words.py").write_text(CODE)
    (place / "relay.toml").write_text('[storage]\npath = "relay.db"\n')
    file = ["--config", str(place / "relay.toml")]
    if where == "before":
        arguments = [*file, "words", "say", "hi", "--times", "2"]
    elif where == "between":
        arguments = ["words", *file, "say", "hi", "--times", "2"]
    elif where == "behind":
        arguments = ["words", "say", "hi", "--times", "2", *file]
    else:
        arguments = ["words", "say", "hi", "--times", "2", "=".join(file)]
    assert run(*arguments).output == "hi hi\n"
    assert "No such command 'words'" in run("words", "say", "hi", ok=False).output
