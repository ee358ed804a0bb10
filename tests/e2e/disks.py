"""Small file systems of a test's own, that can be filled and broken; they need root and loop devices."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.wire import PATIENCE

MIB = 1 << 20
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN: the file system takes and gives nothing from now on, as if the disk had gone."""


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


@contextlib.contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system in memory that holds `size` bytes."""
    folder.mkdir()
    if os.geteuid() != 0 or not _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        _run("umount", "-l", str(folder))


class Ext4:
    """A disk of 24 MiB that lasts, with ext4 on it, that can be mounted, broken and mounted again."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk.img"
        self.mounted = folder / "disk"
        self.mounted.mkdir()
        with self.image.open("wb") as image:
            image.truncate(24 * MIB)
        if os.geteuid() != 0 or not _run("mkfs.ext4", "-q", str(self.image)) or not self.mount():
            pytest.skip("mounting needs root, mkfs.ext4 and a loop device")

    def mount(self) -> bool:
        return _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.mounted))

    def unmount(self) -> None:
        _run("umount", str(self.mounted)) or _run("umount", "-l", str(self.mounted))

    def fail(self) -> None:
        """Have the kernel find a fault in the file system, which makes it read-only."""
        device = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self.mounted)], capture_output=True, text=True, check=True
        ).stdout.strip()
        trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel's ext4 cannot be told to fail")
        trigger.write_text("a test\n")

    def vanish(self) -> None:
        """Make the disk go."""
        descriptor = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, (2).to_bytes(4, "little"))
        except OSError:
            pytest.skip("this kernel's ext4 cannot be shut down")
        finally:
            os.close(descriptor)


def fill(folder: Path) -> Path:
    """Take all room there is, and return the file to delete for it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        size = MIB
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 4
    return ballast
