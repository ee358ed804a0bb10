"""What `relay version --verbose` tells."""

from __future__ import annotations

import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import relay
from relay.app.about import about, form, packages


def test_it_tells_what_this_relay_is_made_of() -> None:
    told = about()
    assert told["form"] == "Python package"
    assert told["path"] == str(Path(relay.__file__).parent)
    assert (told["Python"], told["SQLite"]) == (platform.python_version(), sqlite3.sqlite_version)
    assert "chat_message, connection_event" in told["bundled plugins"]


def test_the_packages_are_those_that_are_used_and_no_tools() -> None:
    told = packages()
    assert told["trio"] == version("trio")
    assert {"cffi", "outcome", "mcp", "pydantic", "nats-py"} <= set(told)
    assert set(told).isdisjoint({"relay-server", "pytest", "mypy", "pyinstaller"})
    assert list(told) == sorted(told, key=str.lower)


@pytest.mark.parametrize(
    ("program", "unpacked", "said"),
    [
        ("/opt/relay/relay", "/opt/relay/lib", "program in a folder"),
        ("/usr/local/bin/relay", "/tmp/_MEI1", "program in one file"),
    ],
)
def test_the_program_knows_its_form(
    monkeypatch: pytest.MonkeyPatch, program: str, unpacked: str, said: str
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", unpacked, raising=False)
    monkeypatch.setattr(sys, "executable", program)
    assert form() == said
    assert about()["path"] == program
