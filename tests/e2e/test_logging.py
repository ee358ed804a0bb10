"""The log of a real server: its start and its end, who was refused, and nothing but JSON where that was asked for."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relay.storage.identity import read_epoch
from tests.e2e.conftest import MakeWorld
from tests.e2e.server import Server
from tests.e2e.wire import PATIENCE, Closed, Gone
from tests.e2e.world import message, unique

pytestmark = pytest.mark.e2e


def said(server: Server) -> list[dict[str, Any]]:
    """Return the lines of standard error, each of which is JSON."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_with_json_every_line_is_json_from_the_start_to_the_end_and_has_no_secret(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(("alice",), {"log": {"format": "json"}})
    server = world.server
    for body in ({"user_id": "alice", "password": "a-wrong-secret"},) * 3:
        assert world.rest(None).post("/api/login", json=body).status_code == 403
    with server.rest("rly_a-wrong-secret") as stranger:
        assert stranger.get("/api/users/me").status_code == 401
    server.relay("user", "passwd", "alice", "--password-stdin", stdin="a-new-secret\n")
    server.relay("user", "disable", "alice")
    assert server.stop() == 0
    lines = [line["message"] for line in said(server)]
    for part, count in {
        f"started: http://127.0.0.1:{server.port}, database {server.database}, process {server.pid}": 1,
        "a login from 127.0.0.1 was refused, of 'alice'": 3,
        "a token from 127.0.0.1 was refused": 1,
        "control: user.passwd user_id='alice', asked by uid ": 1,
        "control: user.disable user_id='alice', asked by uid ": 1,
        "SIGTERM: draining": 1,
        "stopped; everything is stored": 1,
    }.items():
        assert sum(part in line for line in lines) == count, part
    assert "secret" not in server.log.read_text()
    assert world.tokens["alice"] not in server.log.read_text()


def test_with_json_a_start_without_users_and_an_end_by_a_fault_are_json_too(tmp_path: Path) -> None:
    server = Server(tmp_path, {"log": {"format": "json"}})
    server.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while "#setup=" not in (out := (tmp_path / "stdout.txt").read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        code = out.partition("#setup=")[2].split()[0]
        server.database.rename(tmp_path / "elsewhere.db")
        assert server.process is not None
        assert server.process.wait(PATIENCE) == 1
    finally:
        server.kill()
    last = said(server)[-1]
    assert (last["level"], "was replaced, moved or deleted" in last["message"]) == ("critical", True)
    assert code not in server.log.read_text()


def test_messages_that_are_acked_while_the_file_is_replaced_are_in_the_old_file_or_were_not_acked(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(("alice", "bob"))
    alice = world.device("alice")
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(world.server.database)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
        epoch = read_epoch(connection)
    refs = [unique("moved") for _ in range(400)]
    alice.send_all(message("bob", ref, id=ref) for ref in refs[:200])
    alice.acked(refs[150])
    world.server.database.rename(tmp_path / "moved.db")
    backup.rename(world.server.database)
    assert world.server.process is not None
    with contextlib.suppress(Gone, Closed, OSError, AssertionError):  # however the connection ends
        for ref in refs[200:]:
            alice.send_all([message("bob", ref, id=ref)])
            alice.acked(ref)
    assert world.server.process.wait(PATIENCE) == 1
    acked = {ref for ref in refs if any(answer["type"] == "ack" for answer in alice.answers.get(ref, ()))}
    with closing(sqlite3.connect(tmp_path / "moved.db")) as connection:
        stored = {row[0] for row in connection.execute("SELECT own_id FROM log")}
    assert refs[150] in acked
    assert acked <= stored
    world.server.start()  # the old write-ahead log was emptied: it did not meet the other file
    with closing(sqlite3.connect(world.server.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert read_epoch(connection) != epoch
