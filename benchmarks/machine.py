"""What the operating system's own books say: processor time, memory, and which machine this is."""

import os
import platform
import re
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import relay

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment, in seconds since some start of their own."""

    wall: float
    server: float
    load: float
    machine: float

    @classmethod
    def take(cls, pid: int) -> "Reading":
        """Read the clocks of the server `pid`, of this process and of the whole machine."""
        times = os.times()
        return cls(time.perf_counter(), process_seconds(pid), times.user + times.system, machine_seconds())


@dataclass(frozen=True)
class Usage:
    """What passed between two readings, in seconds; `others` is the machine's work for anybody else."""

    wall: float
    server: float
    load: float
    others: float

    @classmethod
    def between(cls, before: Reading, after: Reading) -> "Usage":
        """Subtract two readings."""
        server, load = after.server - before.server, after.load - before.load
        others = max(0.0, after.machine - before.machine - server - load)
        return cls(after.wall - before.wall, server, load, others)


def process_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, to the tick (proc(5), `stat`, utime + stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def machine_seconds() -> float:
    """Return the time all cores together were not idle, stolen time included (proc(5), `stat`)."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_A_SECOND


def memory_kib(pid: int) -> int:
    """Return a process's proportional set size in KiB (proc(5), `smaps_rollup`, Pss)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel reports no Pss")


def filesystem(folder: Path) -> str:
    """Return the type of the file system that holds `folder`."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        mount, this = line.split()[1:3]
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, this
    return kind


def sync_milliseconds(folder: Path, rounds: int = 200) -> float:
    """Return the median time of an fdatasync after appending 4 KiB: the floor under every durable latency."""
    path, took = folder / "sync-probe", []
    with path.open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    path.unlink()
    return sorted(took)[rounds // 2] * 1000


def describe(folder: Path) -> str:
    """Return the lines that say on what the figures below were measured."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    model = found[1] if found else platform.machine()
    return (
        f"relay {relay.__version__}, {time.strftime('%d %B %Y').lstrip('0')}\n"
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.2f}\n"
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, database on "
        f"{filesystem(folder)}, fdatasync of 4 KiB {sync_milliseconds(folder):.2f} ms (median)"
    )
