"""Backups of a real server under load, killed and restored; a full disk; a sandbox that reaches nobody."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.disks import MIB, fill, tmpfs
from tests.e2e.server import ROOT, Server
from tests.e2e.webhook_receivers import add_webhook, receivers
from tests.e2e.wire import PATIENCE, Closed, Gone
from tests.e2e.world import World, message, unique

pytestmark = pytest.mark.e2e

RATE = 500
TICKS = 20
"""Bursts a second in which that many messages are sent."""


class Load(threading.Thread):
    """Messages of alice's to bob, RATE a second, until it is stopped or the server is gone.

    Attributes:
        acked: when each was acked, by its id, in monotonic seconds.
        longest: of all waits for an ack that began after `measured_from`.
    """

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self.device = world.device("alice")
        self.sent: dict[str, float] = {}
        self.acked: dict[str, float] = {}
        self.over = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        try:
            while not self.over.is_set():
                refs = [unique("load") for _ in range(RATE // TICKS)]
                self.device.send_all([message("bob", ref, id=ref) for ref in refs])
                self.sent |= dict.fromkeys(refs, time.monotonic())
                due += 1 / TICKS
                self.device.pump(lambda: False, max(0.001, due - time.monotonic()))
                self._take()
        except (Closed, Gone, OSError):
            self._take()

    def _take(self) -> None:
        now = time.monotonic()
        answers, self.device.answers = self.device.answers, defaultdict(list)
        self.acked |= {str(ref): now for ref, (one, *_) in answers.items() if one["type"] == "ack"}
        self.device.messages.clear()

    def longest(self, since: float, until: float) -> float:
        """Return the longest wait for an ack of what was sent in a stretch of time."""
        waits = [
            self.acked[ref] - at
            for ref, at in list(self.sent.items())
            if since <= at <= until and ref in self.acked
        ]
        return max(waits, default=0.0)


def own_ids(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT own_id FROM log WHERE own_id IS NOT NULL")}


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relay", *arguments, "--config", str(server.config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def enlarge(server: Server, size: int) -> None:
    """Put bytes into the database of a stopped server, so that a backup takes a while."""
    with closing(sqlite3.connect(server.database, isolation_level=None)) as connection:
        connection.executemany(
            "INSERT INTO chunks VALUES (?, randomblob(131072))", [((1 << 40) + n,) for n in range(size >> 17)]
        )


def test_a_backup_under_load_restored_after_a_kill_has_all_that_was_acked_before_it(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"))
    server = world.server
    server.stop()
    enlarge(server, 64 * MIB)
    server.start()
    bob = world.device("bob", "phone")
    file = server.folder / "backup.db"
    load = Load(world)
    load.start()
    while len(load.acked) < 2 * RATE:
        time.sleep(0.05)
    before, began = set(load.acked), time.monotonic()
    told = json.loads(server.relay("backup", str(file), "--json"))
    ended = time.monotonic()
    while not any(at > ended for at in list(load.acked.values())):
        time.sleep(0.05)
    server.kill()
    load.join(PATIENCE)
    print(
        f"backup of {told['bytes'] >> 20} MiB in {ended - began:.2f} s; the longest wait for an ack:"
        f" {load.longest(0, began):.3f} s before it, {load.longest(began, ended):.3f} s meanwhile"
    )
    assert any(began < at < ended for at in load.acked.values()), "no message was acked while the backup was made"
    assert before <= own_ids(file)
    assert server.relay("verify", str(file)).startswith(f"{file}: ok: ")
    done = json.loads(server.relay("restore", str(file), "--json"))
    assert set(load.acked) <= own_ids(Path(done["aside"]))  # what came after it is kept beside
    server.start()
    old = bob.ready
    again = world.device("bob", "phone", sync=False, epoch=old["epoch"], cursor=bob.cursor)
    ready = again.ready
    assert (ready["resumed"], ready["epoch"] == old["epoch"]) == (False, False)
    alice = world.device("alice")
    alice.say("bob", "after the restore")
    again.wait_content("after the restore")
    assert sorted(again.contents()) == sorted(set(again.contents()))
    assert run(server, "restore", str(file)).stderr == (
        f"relay: a server runs on {server.database}; stop it first, and start it after the restore\n"
    )
    assert own_ids(server.database) >= before
    entries = json.loads(server.relay("audit", "--act", "backup.restored", "--json"))
    assert entries["details"]["from"] == "backup.db"


def test_an_old_log_beside_the_database_does_not_spoil_what_is_restored(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"))
    server = world.server
    world.device("alice").say("bob", "one")
    server.relay("backup", str(server.folder / "backup.db"))
    world.device("alice").say("bob", "two")
    server.kill()
    assert server.database.with_name("relay.db-wal").stat().st_size
    done = json.loads(server.relay("restore", str(server.folder / "backup.db"), "--json"))
    assert not server.database.with_name("relay.db-wal").exists()
    server.start()
    assert [one["payload"]["content"] for one in world.history("bob", peer="alice")] == ["one"]
    assert json.loads(server.relay("verify", done["aside"], "--json"))["messages"] == 2


def test_a_full_disk_makes_no_backup_and_says_so(make_world: MakeWorld, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 24 * MIB) as small:
        world = make_world(("alice", "bob"), {"backup": {"folder": str(small / "backups")}})
        server = world.server
        server.stop()
        enlarge(server, 20 * MIB)
        server.start()
        refused = run(server, "backup", str(small / "backup.db"))
        assert "there is no room for the copy: it takes about 20." in refused.stderr
        assert refused.returncode == 1
        refused = run(server, "backup")
        assert "the backup failed: there is no room for the copy" in refused.stderr
        assert list(small.glob("**/*.db*")) == []
        status = json.loads(server.relay("status", "--json"))
        assert status["backups"]["failing"].startswith("there is no room for the copy")
        fill(small)
        assert "are free" in run(server, "backup", str(small / "backup.db")).stderr
        world.device("alice").say("bob", "messages go on")


def test_a_stopped_backup_leaves_nothing(make_world: MakeWorld) -> None:
    server = make_world(("alice", "bob")).server
    server.stop()
    enlarge(server, 64 * MIB)
    server.start()
    file = server.folder / "backup.db"
    command = [sys.executable, "-m", "relay", "backup", str(file), "--config", str(server.config)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not file.with_name("backup.db.part").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE)[1] == (
        f"relay: {file}: stopped; nothing is left of it, and nothing was changed\n"
    )
    assert process.returncode == 1
    assert [path.name for path in server.folder.glob("backup*")] == []


def test_a_sandbox_is_a_server_that_reaches_nobody(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(("alice", "bob"), {"plugins": {"also": ["webhooks"]}})
    server = world.server
    with receivers("outside") as made:
        outside = made["outside"]
        add_webhook(server.relay, outside, "--type", "chat_message")
        outside.down()
        world.device("alice").say("bob", "waits to be delivered")
        server.relay("backup", str(tmp_path / "backup.db"))
        server.stop()
        outside.up()
        command = [sys.executable, "-m", "relay", "sandbox", str(tmp_path / "backup.db"), "--json"]
        command += ["--config", str(server.config)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told: dict[str, Any] = json.loads(process.stdout.readline())
            headers = {"Authorization": f"Bearer {world.tokens['alice']}"}
            with httpx.Client(base_url=told["url"], headers=headers, trust_env=False) as rest:
                said = rest.get("/api/messages/user/bob").json()["messages"]
                assert [one["payload"]["content"] for one in said] == ["waits to be delivered"]
                body = {"type": "chat_message", "payload": {"content": "more"}, "meta": {"target_id": "bob"}}
                assert rest.post("/api/messages", json=body).status_code == 201
            assert Path(told["database"]).exists()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        assert not Path(told["database"]).parent.exists()
        assert outside.requests == 0
        server.start()
        while len(outside.taken) < 1:  # the server itself delivers it
            time.sleep(0.05)
        assert [one["payload"]["content"] for one in world.history("bob", peer="alice")] == [
            "waits to be delivered"
        ]
