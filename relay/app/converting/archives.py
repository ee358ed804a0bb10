"""An export as files by their names: a zip or a folder, read one file after another and never unpacked.

An export comes from elsewhere, and may be made to do harm. Names that lead outside it, links and encrypted
files are refused, and so is what would become far larger than it is.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from relay.protocol.errors import said

LARGEST_TEXT: Final = 256 * 1024 * 1024
"""The most bytes of a file that is read whole; a day of one channel has far fewer."""

_MOST_TIMES: Final = 200
"""Texts of exports become 5 to 30 times smaller; a zip that grows more than this is made to fill a disk."""

_SMALL: Final = 64 * 1024 * 1024
_ENCRYPTED: Final = 0x1
_APPLE: Final = "__MACOSX"


class ExportError(ValueError):
    """An export that cannot be read at all: which file is at fault, with its line or place, and why."""

    def __init__(self, where: object, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = str(where)
        self.reason = reason


class Archive(Protocol):
    """The files of an export."""

    label: str
    """What people call it: the path that they named."""

    def names(self) -> list[str]:
        """Return the names of all files, as paths with `/`, sorted."""

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file to be read from its beginning."""


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip, a folder, or a single file, which is then an export of one file.

    Raises:
        ExportError: it cannot be read, or holds what no export does.
    """
    with ExitStack() as stack:
        try:
            archive = _opened_as(path, stack)
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ExportError(path, f"cannot be read: {said(error)}") from None
        yield archive


def _opened_as(path: Path, stack: ExitStack) -> Archive:
    if stat.S_ISDIR(path.stat().st_mode):
        return _Folder(path)
    if not zipfile.is_zipfile(path):
        return _Single(path)
    return _Zip(path, stack.enter_context(_opened(path)))


def read_text(archive: Archive, name: str) -> bytes:
    """Return the bytes of a file that is read whole.

    Raises:
        ExportError: it is larger than `LARGEST_TEXT`, or damaged.
    """
    if archive.size(name) > LARGEST_TEXT:
        raise ExportError(name, f"{archive.size(name):,} bytes; a file of text has {LARGEST_TEXT:,} at most")
    with reading(name), archive.open(name) as file:
        return file.read(LARGEST_TEXT + 1)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say which file of an export it was that could not be read."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError) as error:
        raise ExportError(name, f"cannot be read: {said(error)}") from None


def below(archive: Archive, wanted: str) -> str:
    """Return the folder in which a file lies, with its `/`; empty where it is at the top, or nowhere.

    An export may have been zipped with the folder around it.
    """
    found = [name for name in archive.names() if PurePosixPath(name).name == wanted and name.count("/") <= 1]
    return min(found, key=len, default=wanted).removesuffix(wanted)


class _Folder:
    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._path = path
        self._sizes: dict[str, int] = {}
        for folder, _folders, files in os.walk(path):  # which follows no links
            for file in files:
                found = Path(folder) / file
                told = found.lstat()
                if stat.S_ISREG(told.st_mode):
                    self._sizes[found.relative_to(path).as_posix()] = told.st_size

    def names(self) -> list[str]:
        return sorted(self._sizes)

    def size(self, name: str) -> int:
        return self._sizes[name]

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class _Single:
    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._path = path

    def names(self) -> list[str]:
        return [self._path.name]

    def size(self, name: str) -> int:
        return self._path.stat().st_size

    def open(self, name: str) -> IO[bytes]:
        return self._path.open("rb")


class _Zip:
    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self.label = str(path)
        self._opened = opened
        self._members: dict[str, zipfile.ZipInfo] = {}
        grown = 0
        for member in opened.infolist():
            name = _checked(path, member)
            if member.is_dir() or name.startswith(_APPLE):
                continue
            if name in self._members:
                raise ExportError(path, f"{name!r} is in it twice; an export has each file once")
            self._members[name] = member
            grown += member.file_size
        # Of the sum, as files in a zip can overlap: each is small then, and all together they are not.
        if grown > max(_SMALL, path.stat().st_size * _MOST_TIMES):
            raise ExportError(
                path, f"would become {grown:,} bytes; no export shrinks to a {_MOST_TIMES}th in a zip"
            )

    def names(self) -> list[str]:
        return sorted(self._members)

    def size(self, name: str) -> int:
        return self._members[name].file_size

    def open(self, name: str) -> IO[bytes]:
        return self._opened.open(self._members[name])


def _opened(path: Path) -> zipfile.ZipFile:
    """Open a zip; its names are UTF-8, also where it does not say so, or else of zip's oldest encoding."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def _checked(path: Path, member: zipfile.ZipInfo) -> str:
    """Return the name of a member of a zip.

    Raises:
        ExportError: it leads outside, is a link, or is encrypted.
    """
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or ":" in parts[0] or not name.isprintable():
        raise ExportError(path, f"{name!r} leads outside of it, which no export does")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ExportError(path, f"{name!r} is a link, which no export holds")
    if member.flag_bits & _ENCRYPTED:
        raise ExportError(path, f"{name!r} is encrypted; make a zip of it that is not")
    return name
