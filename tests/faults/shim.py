"""The shim of `shim.c`: built with the machine's C compiler, preloaded into a server, and told what to do."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("shim.c")
_FIELDS = ("seen", "fail_at", "lasting", "error", "failed", "sync_ns", "clock_ns")


def build(folder: Path) -> Path:
    """Compile the shim into a folder; skip where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the shim needs Linux and a C compiler (cc)")
    library = folder / "shim.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return library


class Shim:
    """What a server with the shim is to suffer; changes hold at once.

    Args:
        folder: of its library and its control block.
        database: the path with which the files begin whose writes are counted.
    """

    def __init__(self, folder: Path, database: Path) -> None:
        library, control = build(folder), folder / "control"
        control.write_bytes(bytes(8 * len(_FIELDS)))
        with control.open("r+b") as file:
            self._block = mmap.mmap(file.fileno(), 8 * len(_FIELDS))
        self.environ = {
            "LD_PRELOAD": str(library),
            "FAULTS_CONTROL": str(control),
            "FAULTS_PATH": str(database.resolve()),
        }

    def _set(self, **values: int) -> None:
        for name, value in values.items():
            struct.pack_into("q", self._block, 8 * _FIELDS.index(name), value)

    def _get(self, name: str) -> int:
        found: int = struct.unpack_from("q", self._block, 8 * _FIELDS.index(name))[0]
        return found

    @property
    def seen(self) -> int:
        """The calls since it was armed."""
        return self._get("seen")

    @property
    def failed(self) -> int:
        """The calls that it made fail since it was armed."""
        return self._get("failed")

    def arm(self, number: int, error: int, *, lasting: bool) -> None:
        """Have the call of that number from now on fail, and where it is lasting all after it."""
        self._set(fail_at=0)
        self._set(seen=0, failed=0, error=error, lasting=int(lasting))
        self._set(fail_at=number)

    def calm(self) -> None:
        """Fail no more."""
        self._set(fail_at=0)

    def slow_syncs(self, seconds: float) -> None:
        """Have each sync take so long."""
        self._set(sync_ns=int(seconds * 1e9))

    def move_clock(self, seconds: float) -> None:
        """Set the server's time of day so far ahead, or back, of the machine's."""
        self._set(clock_ns=int(seconds * 1e9))
