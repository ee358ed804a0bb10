"""No ack before the disk has it: the system calls themselves, in the order in which they happened."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.frames import PLAIN, encode_frame
from tests.e2e.wire import PATIENCE
from tests.e2e.world import Device, World, message, unique

STRACE = shutil.which("strace")
CALLS = "recvfrom,recvmsg,read,sendto,sendmsg,write,writev,fdatasync,fsync,pwrite64"
BATCH = 50

ID, REF = (re.compile(rf'\\"{name}\\": ?\\"(dur-\d+)\\"') for name in ("id", "ref"))
IN = re.compile(r"\b(?:recvfrom|recvmsg|read)\(|<\.\.\. (?:recvfrom|recvmsg|read) resumed>")
OUT = re.compile(r"\b(?:sendto|sendmsg|write|writev)\(")
# A call that another thread interrupts is printed twice; only its end says that the disk has it.
SYNC = re.compile(r"\bf(?:data)?sync\([^)]*\) += 0|<\.\.\. f(?:data)?sync resumed>\) += 0")


def _may_trace() -> bool:
    if STRACE is None:
        return False
    done = subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True, check=False, timeout=PATIENCE)
    return done.returncode == 0


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not _may_trace(), reason="strace is not installed or ptrace is not permitted"),
]


@contextmanager
def traced(pid: int, file: Path) -> Iterator[None]:
    """Trace a process and its threads for the time of the block."""
    assert STRACE is not None
    command = [STRACE, "-f", "-s", "400", "-e", f"trace={CALLS}", "-o", str(file), "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        assert "attached" in tracer.stderr.readline()
        time.sleep(0.1)  # the remaining threads are attached one after the other
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=PATIENCE)


def events(file: Path, contents: set[str]) -> list[tuple[str, str]]:
    """Read a trace as a list of ("in", id), ("sync", "") and ("ack", id) in the order they happened."""
    found: list[tuple[str, str]] = []
    for line in file.read_text(errors="replace").splitlines():
        if SYNC.search(line):
            found.append(("sync", ""))
        elif IN.search(line):
            found += [("in", ref) for ref in ID.findall(line) if ref in contents]
        elif OUT.search(line):
            found += [("ack", ref) for ref in REF.findall(line) if ref in contents]
    return found


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(("alice", "bob"))


def settled(world: World) -> tuple[Device, Device]:
    alice, bob = world.device("alice"), world.device("bob")
    for _ in range(5):
        alice.say("bob", "warm")
    return alice, bob


def send_readable(device: Device, refs: list[str]) -> None:
    """Send messages under a mask of zeros, in one packet, short enough to be seen whole in a trace."""
    frames = [encode_frame(json.dumps(message("bob", ref, id=ref)).encode(), mask=PLAIN) for ref in refs]
    device.wire.send_bytes(b"".join(frames))
    for ref in refs:
        device.acked(ref)


def test_the_disk_has_a_message_before_its_sender_has_the_ack(world: World, tmp_path: Path) -> None:
    alice, _ = settled(world)
    refs = [unique("dur") for _ in range(10)]
    file = tmp_path / "trace.txt"
    with traced(world.server.pid, file):
        for ref in refs:
            send_readable(alice, [ref])
    seen = events(file, set(refs))
    for ref in refs:
        arrived, acked = seen.index(("in", ref)), seen.index(("ack", ref))
        between = [kind for kind, _ in seen[arrived:acked]]
        assert between.count("sync") == 1, f"one sync for one message: {between}\n{file.read_text()[-4000:]}"


def test_a_batch_costs_one_sync(world: World, tmp_path: Path) -> None:
    alice, _ = settled(world)
    refs = [unique("dur") for _ in range(BATCH)]
    file = tmp_path / "trace.txt"
    with traced(world.server.pid, file):
        send_readable(alice, refs)
    text = file.read_text(errors="replace")
    syncs = len(SYNC.findall(text))
    assert 1 <= syncs <= 5, f"{syncs} syncs for {BATCH} messages that came in one packet"
    kinds = [kind for kind, _ in events(file, set(refs))]
    collapsed = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
    assert "sync" in collapsed
    assert kinds.index("sync") < kinds.index("ack"), "never an ack before the first commit"
