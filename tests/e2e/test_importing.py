"""A large import into a running server: killed, begun again, and nothing twice or missing; nobody waits for it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, environment
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.long]
COUNT = 20_000


def stored(server: Server) -> int:
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM log WHERE type != 'audit_event'").fetchone()[0])


def test_an_import_that_is_killed_is_repeated_and_stores_nothing_twice(tmp_path: Path) -> None:
    server = Server(tmp_path)
    file = tmp_path / "old.ndjson"
    with file.open("w") as lines:
        for number in range(COUNT):
            meta = {
                "id": f"m-{number}",
                "sender_id": f"user{number % 50}",
                "target_id": "user0",
                "timestamp": number,
            }
            lines.write(
                json.dumps({"type": "chat_message", "payload": {"content": f"text {number}"}, "meta": meta}) + "\n"
            )
    server.start()
    try:
        command = [
            sys.executable,
            "-m",
            "relay",
            "import",
            str(file),
            "--create-users",
            "--config",
            str(server.config),
        ]
        first = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while stored(server) < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
        assert stored(server) < COUNT
        begun = time.monotonic()
        told = server.relay("import", str(file))
        print(f"{COUNT} lines in {time.monotonic() - begun:.1f} s: {told.strip()}")
        assert "0 refused" in told
        assert stored(server) == COUNT
        assert server.relay("import", str(file)) == f"0 stored, {COUNT:,} there already, 0 refused\n"
    finally:
        server.stop()
    with sqlite3.connect(server.database) as connection:
        ids = connection.execute("SELECT count(DISTINCT own_id), max(sent_at) FROM log").fetchone()
        broken = connection.execute(
            "SELECT channel_id FROM log GROUP BY channel_id HAVING count(*) <> max(seq)"
        ).fetchall()
    assert ids == (COUNT, COUNT - 1)
    assert broken == []
