"""`python -m release.binary`: make the program for machines without Python, as a folder and as one file.

The folder, `dist/relay-VERSION-linux-MACHINE`, starts quickly; `.tar.gz` has it packed. One file, `dist/relay`,
unpacks itself at each start.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Final

import relay
from release.contents import ROOT

DIST: Final = ROOT / "dist"
MADE: Final = ROOT / "build" / "binary"
NAME: Final = f"relay-{relay.__version__}-{platform.system().lower()}-{platform.machine()}"
FOLDER: Final = DIST / NAME
ONE_FILE: Final = DIST / "relay"
ARCHIVE: Final = DIST / f"{NAME}.tar.gz"
_TOOLS: Final = ("objdump", "objcopy", "ldd")
_SYMBOLS: Final = re.compile(rb"\bGLIBC_2\.(\d+)")


def main() -> None:
    """Make the program in both forms, and print how large they are and how fast they start."""
    if sys.platform != "linux":
        raise SystemExit(f"the program is made for Linux, on Linux; this is {sys.platform}")
    if missing := lacking():
        raise SystemExit(f"the program cannot be made here: {missing}")
    build()
    print(f"{_megabytes(ONE_FILE)} MB  {ONE_FILE.relative_to(ROOT)}")
    print(f"{_megabytes(ARCHIVE)} MB  {ARCHIVE.relative_to(ROOT)}")
    print(f"{_megabytes(FOLDER)} MB  {FOLDER.relative_to(ROOT)}/")
    print(f"they need glibc {needed_glibc(FOLDER)} or newer")
    for what, program in (("folder", FOLDER / "relay"), ("one file", ONE_FILE)):
        cold, warm = start_seconds(program, cold=True), start_seconds(program)
        print(f"{what}: listens {cold:.2f} s after a first start, {warm:.2f} s after the next")


def lacking() -> str | None:
    """Return what PyInstaller needs and does not find here, and how to come by it; None if all is there."""
    absent = [name for name in _TOOLS if shutil.which(name) is None]
    if absent:
        return f"there is no {', '.join(absent)}; on Debian: apt install binutils libc-bin"
    from PyInstaller.depend.bindepend import PythonLibraryNotFoundError, get_python_library_path

    try:
        get_python_library_path()
    except PythonLibraryNotFoundError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return (
            f"the shared library of {sys.executable} is not there; on Debian: apt install libpython{version}; a"
            " Python that was built by hand, or by pyenv, needs --enable-shared"
        )
    return None


def build() -> None:
    """Run PyInstaller, and put what it makes into `dist`."""
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
    command += ["--distpath", str(MADE), "--workpath", str(MADE / "work"), str(ROOT / "release" / "relay.spec")]
    subprocess.run(command, cwd=ROOT, check=True)
    DIST.mkdir(exist_ok=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.move(MADE / "folder", FOLDER)
    shutil.copy(ROOT / "LICENSE", FOLDER)
    ONE_FILE.unlink(missing_ok=True)
    shutil.move(MADE / "relay", ONE_FILE)
    with tarfile.open(ARCHIVE, "w:gz", compresslevel=6) as archive:
        archive.add(FOLDER, NAME, filter=_of_root)


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Have a file belong to root: whoever unpacks the archive as root gets files that nobody else may change."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def files_in(place: Path) -> list[Path]:
    """Return a file alone, or all files of a folder."""
    return [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]


def needed_glibc(folder: Path) -> str:
    """Return the oldest version of glibc that has every symbol which the program asks for."""
    parts = [path for path in files_in(folder) if path.suffix == ".so" or ".so." in path.name]
    found = {int(minor) for path in parts for minor in _SYMBOLS.findall(path.read_bytes())}
    return f"2.{max(found)}"


def start_seconds(program: Path, *, cold: bool = False) -> float:
    """Return how long a new server takes until it listens.

    Args:
        cold: whether the program is read from the disk, as after a start of the machine.
    """
    for path in files_in(program.parent if program.parent == FOLDER else program) if cold else ():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            [program, "serve"],
            cwd=folder,
            env=environ | {"RELAY_SERVER__PORT": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        line = process.stdout.readline()
        taken = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        if b"listens on" not in line:
            raise SystemExit(f"{program} does not start: it ended with {process.returncode}")
    return taken


def _megabytes(place: Path) -> str:
    return f"{sum(path.stat().st_size for path in files_in(place)) / 1e6:6.1f}"


if __name__ == "__main__":
    main()
