"""This machine: the files, the disk, the port, the clock and the limits that a server lives by."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from relay.app.doctor.findings import Finding, bad, good, unknown, warning
from relay.settings import Settings
from relay.transports.accepting import room_for_peers
from relay.transports.listening import listening_problem

_LEAST_SQLITE: Final = (3, 38)
_LEAST_FREE: Final = 256 * 1024 * 1024
_GIB: Final = 1 << 30
_FEW_FILES: Final = 4096
_SKEW_SECONDS: Final = 60
_SERVER_FILES: Final = ("", "-wal", "-shm", ".lock", ".sock")
_REMOTE: Final = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph", "fuse.glusterfs"}
_UNKEPT: Final = 5
"""TIME_ERROR of adjtimex(2): nothing keeps the clock right."""

_TIMEX_BYTES: Final = 256


def port(settings: Settings, pid: int | None) -> Finding:
    """Look whether the server has its port, or could have it."""
    host, number = settings.server.host, settings.server.port
    named = f"{host}:{number}"
    if pid is not None:
        return good("port", f"the server runs (process {pid}) and has {named}")
    if problem := listening_problem(host, number):
        return bad("port", problem)
    return good("port", f"{named} is free; no server runs on this database")


def files(database: Path) -> Iterator[Finding]:
    """Look at the rights of the database, the files beside it, and its folder."""
    folder = database.parent
    try:
        owner = folder.stat()
    except OSError as error:
        yield bad("files", f"the folder {folder} of [storage] path cannot be looked at: {error.strerror}")
        return
    faults = 0
    if owner.st_mode & stat.S_IWOTH and not owner.st_mode & stat.S_ISVTX:
        faults += 1
        yield bad("files", f"everybody may write to {folder}, and replace the database: chmod o-w {folder}")
    for path in (Path(f"{database}{suffix}") for suffix in _SERVER_FILES):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield bad("files", f"{path} cannot be looked at: {error.strerror}")
            return
        if found.st_mode & 0o077 and stat.S_ISREG(found.st_mode):
            faults += 1
            yield warning("files", f"others than the owner may open {path}: chmod 600 {path}")
        if found.st_uid not in (owner.st_uid, os.geteuid()):
            faults += 1
            yield bad(
                "files",
                f"{path} belongs to user {found.st_uid}, its folder to user {owner.st_uid}: the server, which"
                f" runs as one of them, cannot use both: chown {owner.st_uid}:{owner.st_gid} {path}",
            )
    writable = os.access(folder, os.W_OK) and (not database.exists() or os.access(database, os.R_OK | os.W_OK))
    if not writable:
        faults += 1
        yield bad(
            "files", f"this user cannot write to {database} and its folder; run this as the server's own user"
        )
    if not faults:
        yield good("files", f"{database} and its folder have the rights that they need")


def disk(database: Path) -> Iterator[Finding]:
    """Look at the free space, and at the kind of the file system."""
    try:
        found = os.statvfs(database.parent)
    except OSError:
        return  # `files` says so
    free, size = found.f_bavail * found.f_frsize, database.stat().st_size if database.exists() else 0
    told = f"{free / _GIB:.1f} GiB are free on the disk of {database}"
    if free < _LEAST_FREE:
        yield bad("disk", f"{told}: the server soon takes no messages; make room")
    elif free < size:
        yield warning(
            "disk", f"{told}, less than the database's {size / _GIB:.1f} GiB: a backup beside it has no room"
        )
    else:
        yield good("disk", told)
    kind = _file_system(database.parent)
    if kind in _REMOTE:
        yield bad(
            "disk", f"{database.parent} is on {kind}: SQLite's locks and its log need a disk of this machine"
        )


def _file_system(folder: Path) -> str:
    """Return the kind of the file system of a folder; "" where that is not known."""
    best, kind = -1, ""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
        here = folder.resolve()
    except OSError:
        return ""
    for line in mounts:
        _device, point, name, *_ = line.split(" ")
        mounted = Path(point.replace("\\040", " "))
        if here.is_relative_to(mounted) and len(mounted.parts) > best:
            best, kind = len(mounted.parts), name
    return kind


def sqlite() -> Finding:
    """Look at the version of SQLite."""
    text = f"SQLite is {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info >= _LEAST_SQLITE:
        return good("sqlite", text)
    least = ".".join(map(str, _LEAST_SQLITE))
    return bad("sqlite", f"{text}; {least} or newer is needed: install a newer Python, or a newer libsqlite3")


def clock(database: Path) -> Iterator[Finding]:
    """Look whether the clock was set back, and whether anything keeps it right."""
    now = time.time()
    newest = max((_changed(Path(f"{database}{suffix}")) for suffix in ("", "-wal")), default=0.0)
    if newest > now + _SKEW_SECONDS:
        yield bad(
            "clock",
            f"the database was changed at {datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%MZ}, and it is"
            f" {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%MZ} here: the clock was set back, or is wrong",
        )
    elif (kept := _clock_is_kept()) is None:
        yield unknown("clock", "whether anything keeps the clock right is not known")
    elif kept:
        yield good("clock", f"the clock is kept right; it is {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%MZ}")
    else:
        yield warning(
            "clock",
            f"nothing tells the kernel that it keeps the clock right (it is"
            f" {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%MZ}): install chrony, or switch systemd-timesyncd"
            " on; in a container the machine below may do it",
        )


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _clock_is_kept() -> bool | None:
    """Ask the kernel whether its clock is synchronized; None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNKEPT


def descriptors(settings: Settings, pid: int | None) -> Finding:
    """Look how many files the server may open: each connection is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    whose, used = "this shell's limit", ""
    if pid is not None and (limit := _limit_of(pid)) is not None:
        hard, whose = limit, "the server's limit"
        used = _used_by(pid)
    if hard in (0, resource.RLIM_INFINITY):
        return good("descriptors", f"{whose} on open files is none{used}")
    room, wanted = room_for_peers(hard), settings.limits.connections
    text = f"{whose} on open files is {hard}{used}: room for {room} connections"
    if wanted > room:
        return bad(
            "descriptors",
            f"{text}, and [limits] connections = {wanted}: raise LimitNOFILE of the service (ulimit -n)",
        )
    if room < _FEW_FILES:
        return warning("descriptors", f"{text}; for more raise LimitNOFILE of the service (ulimit -n)")
    return good("descriptors", text)


def _limit_of(pid: int) -> int | None:
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    except (OSError, ValueError, AttributeError):
        return None


def _used_by(pid: int) -> str:
    try:
        return f", {len(os.listdir(f'/proc/{pid}/fd'))} are open"
    except OSError:
        return ""
