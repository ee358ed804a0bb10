"""What the first run of retention over much that is stored costs those who write meanwhile."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks.frames import MismatchError
from benchmarks.loop import Loop
from benchmarks.report import Result, Target, milliseconds, percentile
from benchmarks.server import Server, running
from benchmarks.traffic import pace, settle
from benchmarks.workloads import PACE, PAIR_USERS, Scale, Window, pairs

OLD, FEW, OLD_PAIRS = 200_000, 20_000, 40
MOST_SECONDS = 1800
CONFIG = '[plugins]\nalso = ["retention"]\n[plugins.retention.rules.old]\nsenders = ["old"]\nkeep_messages = 0\n'


def retention(scale: Scale) -> Result:
    """Run durable one-to-one messages at a pace while the rules let go of 200,000 others."""
    count = OLD if scale.connections >= 5000 else FEW
    with running([*PAIR_USERS, "old", *_others()], scale.profile_of("retention"), CONFIG) as server:
        server.command("import", str(_written(server.folder, count)))
        loop = Loop()
        conversations = pairs(server, loop)
        pace(loop, conversations, PACE, scale.warm_up)
        before = Window(server, conversations)
        pace(loop, conversations, PACE, scale.seconds)
        before.end()
        _begin(server, "retention", "run")
        while not _found(server, "SELECT 1 FROM retention_runs"):  # starting the command is no part of it
            pace(loop, conversations, PACE, scale.warm_up)
        during = Window(server, conversations)
        seconds = 0.0
        while not _found(server, f"SELECT 1 FROM retention_runs WHERE messages = {count}"):
            pace(loop, conversations, PACE, scale.seconds)
            seconds += scale.seconds
            if seconds > MOST_SECONDS:
                raise MismatchError(f"{count:,} messages were not erased within {MOST_SECONDS} s")
        during.end()
        settle(loop, conversations)
        loop.close()
    quiet, busy = (milliseconds(percentile(window.latencies, 0.99)) for window in (before, during))
    added = percentile(during.latencies, 0.99) - percentile(before.latencies, 0.99)
    return Result(
        f"{PACE} messages/s while {count:,} are erased",
        f"{count / seconds:,.0f} erased/s",
        during.latencies,
        f"p99 {quiet} → {busy}",
        during.usage,
        [Target("what a run of retention adds to the p99 latency of others", added * 1000, 10, "ms")],
    )


def _others() -> list[str]:
    return [f"other{number:02d}" for number in range(OLD_PAIRS)]


def _written(folder: Path, count: int) -> Path:
    """Write messages of elsewhere to a file, to many conversations in turn."""
    path, others = folder / "old.ndjson", _others()
    with path.open("wb") as file:
        for number in range(count):
            meta = {"id": f"old-{number}", "sender_id": "old", "target_id": others[number % len(others)]}
            payload = {"content": f"message {number} " + "of what was said long ago " * 6}
            file.write(msgspec.json.encode({"type": "chat_message", "payload": payload, "meta": meta}) + b"\n")
    return path


def _begin(server: Server, *arguments: str) -> None:
    command = [sys.executable, "-m", "relay", *arguments, "--config", str(server.folder / "relay.toml")]
    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _found(server: Server, query: str) -> bool:
    """Look into the database beside the server."""
    with closing(sqlite3.connect(f"file:{server.folder / 'relay.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchone() is not None
