"""`relay trace`, `relay status` and `relay storage`: what the operator sees at the terminal."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.cli.conftest import Run, controlled


def said(anywhere: Run, folder: Path) -> int:
    """Have alice say something to bob; return the message's id."""
    anywhere("user", "import", "-", input="alice\nbob\n")
    meta = {"id": "lunch-1", "sender_id": "alice", "target_id": "bob"}
    row = {"type": "chat_message", "payload": {"content": "secret"}, "meta": meta}
    anywhere("import", "-", input=json.dumps(row) + "\n")
    with sqlite3.connect(folder / "relay.db") as connection:
        found = connection.execute("SELECT message_id FROM log WHERE own_id = 'lunch-1'").fetchone()
    return int(found[0])


def test_a_trace_in_words(anywhere: Run, folder: Path) -> None:
    message_id = said(anywhere, folder)
    found = anywhere("trace", str(message_id)).output
    assert found.startswith(f"message {message_id}: chat_message in user:alice:bob, 20 bytes\n")
    assert "alice sent it by the server, or by REST; it was stored at " in found
    assert "for 1 others: 0 have it, 0 show that they read it" in found
    assert "bob: Waiting: bob has no device." in found
    assert "secret" not in found
    assert "alice: " not in anywhere("trace", str(message_id), "--user", "bob").output


def test_a_trace_for_programs(anywhere: Run, folder: Path) -> None:
    message_id = said(anywhere, folder)
    head, *recipients = map(json.loads, anywhere("trace", str(message_id), "--json").output.splitlines())
    assert head["message"]["message_id"] == message_id
    assert [one["user_id"] for one in recipients] == ["alice", "bob"]


def test_a_message_that_is_not_there(anywhere: Run) -> None:
    assert "message 7: the newest one is 0" in anywhere("trace", "7", ok=False).output


def test_the_use_of_the_disk(anywhere: Run) -> None:
    found = anywhere("storage").output
    assert found.startswith("database: ")
    assert " messages\n" in found
    assert "growth: not known: the figures do not reach back for a day yet" in found
    assert "erased within 90 days: 0 bytes" in found
    assert json.loads(anywhere("storage", "--json").output)["whole"] is True


def test_the_status_of_a_running_server(run: Run, folder: Path) -> None:
    with controlled(folder / "relay.db"):
        found = run("status").output
        assert found.startswith("good; it has run for 0 h 0 min\n")
        assert "devices: 0 connected, of 0 users; 0 away, 0 of them miss messages" in found
        assert json.loads(run("status", "--json").output)["state"] == "good"


def test_the_status_of_no_server(run: Run) -> None:
    found = run("status", ok=False).output
    assert "no server runs on this database; relay storage and relay trace work without one" in found
