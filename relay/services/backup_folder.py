"""The folder of backups: the names of the files in it, which of them go, and what takes one elsewhere."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import Final, NamedTuple

import trio

from relay.protocol.errors import said
from relay.storage.errors import BackupFailed

_DAY: Final = 86_400.0
_TOLD: Final = 2000
"""Bytes of what a failed program said that are told."""


class Kept(NamedTuple):
    """A backup in the folder."""

    path: Path
    bytes: int
    at: float


class BackupFolder:
    """The folder that a server's backups are in.

    Args:
        path: it is made at the first backup; the folder above it must be there.
        stem: the beginning of their names, which is the database's own name.
        keep, keep_days: how many backups are kept, and for how long; 0 means no limit.
    """

    def __init__(self, path: Path, stem: str, *, keep: int, keep_days: float) -> None:
        self.path = path
        self._stem = stem
        self._keep = keep
        self._keep_days = keep_days
        self._name = re.compile(rf"{re.escape(stem)}-[0-9]{{8}}-[0-9]{{6}}(-[0-9]+)?\.db")

    def new(self, at: float) -> Path:
        """Return the path of a backup that begins at a moment; the folder is made where it is missing.

        Raises:
            BackupFailed: there is no such folder, and it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            raise BackupFailed(
                f"the folder {self.path.parent} does not exist; make it, or correct [backup] folder"
            ) from None
        except OSError as error:
            raise BackupFailed(f"the folder {self.path} cannot be made: {error.strerror or said(error)}") from None
        name = f"{self._stem}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(at))}"
        number = 1
        while os.path.lexists(found := self.path / (f"{name}.db" if number == 1 else f"{name}-{number}.db")):
            number += 1
        return found

    def find(self, name: str) -> Kept | None:
        """Return a backup by its name; None where there is none of that name."""
        if not self._name.fullmatch(name):
            return None
        path = self.path / name
        try:
            found = path.lstat()
        except OSError:
            return None
        return Kept(path, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None

    def all(self) -> list[Kept]:
        """Return the backups in the folder, newest first; none where there is no folder."""
        try:
            names = os.listdir(self.path)
        except OSError:
            return []
        found = [kept for name in names if (kept := self.find(name)) is not None]
        return sorted(found, key=lambda kept: (kept.at, kept.path.name), reverse=True)

    def rotate(self, now: float) -> list[Path]:
        """Delete the backups that need not be kept any more, never the newest; return their paths.

        Raises:
            OSError: one cannot be deleted.
        """
        gone = []
        for number, kept in enumerate(self.all()):
            too_many = self._keep and number >= self._keep
            too_old = self._keep_days and kept.at < now - self._keep_days * _DAY
            if number and (too_many or too_old):
                kept.path.unlink(missing_ok=True)
                gone.append(kept.path)
        return gone


async def hand_over(command: list[str], seconds: float) -> None:
    """Run the program that takes a backup elsewhere.

    Args:
        seconds: how long it may take until it is ended.

    Raises:
        BackupFailed: it cannot be run, takes too long, or says by its exit status that it failed.
    """
    called = command[0]
    try:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        reason = error.strerror or said(error)
        raise BackupFailed(f"[backup] command: {called} cannot be run: {reason}; the file stays") from None
    assert process.stderr is not None  # noqa: S101 - it was asked for
    told = b""
    try:
        with trio.move_on_after(seconds) as scope:
            async for part in process.stderr:
                told = (told + part)[-_TOLD:]
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        with trio.CancelScope(shield=True):
            await process.stderr.aclose()
    if scope.cancelled_caught:
        raise BackupFailed(
            f"[backup] command: {called} took longer than {seconds:g} s and was ended; the file stays"
        )
    if process.returncode:
        text = " ".join(told.decode(errors="replace").split()) or "it says nothing"
        raise BackupFailed(
            f"[backup] command: {called} ended with status {process.returncode}: {text}; the file stays"
        )
