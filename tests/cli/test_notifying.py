"""`relay notify`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

QUERY = "SELECT sender_id, target_id, payload, expires_at FROM log WHERE type = 'notification' ORDER BY message_id"


def stored(folder: Path) -> list[tuple[str, str, dict[str, Any], float | None]]:
    connection = sqlite3.connect(folder / "relay.db")
    try:
        rows = connection.execute(QUERY).fetchall()
    finally:
        connection.close()
    return [(sender, target, json.loads(payload), expires_at) for sender, target, payload, expires_at in rows]


def test_a_notification_says_what_it_was_told_to(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "root", "--admin")
    anywhere("user", "add", "bob")
    printed = anywhere(
        "notify", "bob", "Disk full", "--body", "4 %", "--level", "warning", "--data", '{"disk": "sda"}',
        "--collapse-key", "disk", "--expires-in", "2h",
    ).output  # fmt: skip
    assert printed.startswith("notification ")
    assert printed.endswith(" from root\n")
    ((sender, target, payload, expires_at),) = stored(folder)
    assert (sender, target) == ("root", "bob")
    assert payload.pop("expires_at") == expires_at
    assert payload == {
        "title": "Disk full", "body": "4 %", "level": "warning", "data": {"disk": "sda"}, "collapse_key": "disk",
    }  # fmt: skip


def test_it_comes_from_whom_one_names_and_goes_to_everybody(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob")
    assert "no admin" in anywhere("notify", "*", "Hello", ok=False).output
    anywhere("notify", "*", "Hello", "--as", "bob")
    assert [(sender, target) for sender, target, _, _ in stored(folder)] == [("bob", "*")]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["nobody", "x"], 1, "nobody"),
        (["bob", "x", "--as", "nobody"], 1, "nobody"),
        (["bob", "x", "--expires-in", "soon"], 2, "2h or 7d"),
        (["bob", "x", "--data", "{"], 2, "JSON object"),
        (["bob", "x", "--data", "[]"], 1, "data"),
        (["bob", "x", "--level", "awful"], 2, "awful"),
        (["bob", "x" * 201], 1, "title"),
    ],
)
def test_what_cannot_be_is_said(anywhere: Run, arguments: list[str], status: int, told: str) -> None:
    anywhere("user", "add", "bob", "--admin")
    done = anywhere("notify", *arguments, ok=False)
    assert done.exit_code == status
    assert told in done.output
