"""A root file system with what a program needs of the machine, and nothing else: no Python, and no shell by itself."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

_LIBRARY = re.compile(r"(/\S+)(?= \(0x)")
_LOADED_LATER = (
    "libm.so.6",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libnss_files.so.2",
    "libnss_dns.so.2",
)
"""Parts of glibc that are loaded by name, so that no list of what a program is linked to has them."""


def lacking(*commands: str) -> str | None:
    """Say what is missing here for making such a root and running programs in it; None if all is there."""
    if os.geteuid() != 0:
        return "only root may change the root of a process"
    absent = [name for name in ("chroot", "ldd", *commands) if which(name) is None]
    return f"there is no {', '.join(absent)}" if absent else None


def which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def make_root(root: Path, linked: Path, commands: Iterable[str] = ()) -> Path:
    """Make a root with glibc, what `linked` is linked to, and some commands of this machine.

    Its files have the same paths seen from outside and from inside, by a link to itself.
    """
    for folder in ("etc", "tmp", "dev", "srv", "usr/bin", "usr/sbin", "usr/lib", "var/lib"):
        (root / folder).mkdir(parents=True)
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / folder).symlink_to(f"usr/{folder}")
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "dev/null").chmod(0o666)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / str(root).lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    (root / str(root).lstrip("/")).symlink_to("/")
    programs = [Path(found).resolve() for name in commands if (found := which(name))]
    for program, name in zip(programs, commands, strict=True):
        shutil.copy(program, root / "usr/bin" / name)
    for library in sorted(_libraries([linked, *programs])):
        target = root / "usr" / library.lstrip("/").removeprefix("usr/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    return root


def _libraries(programs: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for program in programs:
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        found.update(_LIBRARY.findall(told))
    (glibc,) = {path for path in found if path.endswith("/libc.so.6")}
    beside = [str(Path(glibc).with_name(name)) for name in _LOADED_LATER]
    return found | {path for path in beside if Path(path).exists()}
