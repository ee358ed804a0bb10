"""A scrubber for the unused parts of pages, where SQLite leaves copies of rows that it moved to another page.

With `secure_delete` SQLite overwrites a deleted row in place. But when it balances a b-tree it rebuilds pages, and
the unused part between a page's list of cells and its cells keeps its old bytes
(https://sqlite.org/fileformat2.html#b_tree_pages). A row that is erased later is overwritten in its new page only.
So the scrubber reads these parts and fills those that are not zero with zeros. SQLite never reads them, which
makes it safe to write them past SQLite, when the write-ahead log is empty and the only writer is idle.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from relay.protocol.errors import said
from relay.storage.errors import StorageFailed
from relay.storage.jobs import empty_wal

_PAGES: Final = 16_384
"""Pages that one look covers, 64 MiB of the usual size; the next look goes on after them."""

_AT_ONCE: Final = 256
_HEADERS: Final = {2: 12, 5: 12, 10: 8, 13: 8}
"""The length of a b-tree page's header, by the page's type, which is its first byte."""

_AMBIGUOUS: Final = 2 << 24
"""Pages of a file (of 128 GiB) in which another page's first byte may look like a type; it is not scrubbed."""


class Scrubber:
    """Wipes the unused parts of a database's pages.

    Its descriptor must stay open until SQLite has closed the file: closing any descriptor drops the locks that the
    whole process holds on it (POSIX).
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._log = path.with_name(path.name + "-wal")
        self._next = 0

    def look(self) -> list[int]:
        """Return those of the next pages whose unused part is not zero; the write-ahead log is not looked at."""
        size, count, maps = self._shape()
        if not 0 < count < _AMBIGUOUS:
            return []
        start = self._next if self._next < count else 0
        end = min(start + _PAGES, count)
        self._next = end
        found = []
        for first in range(start, end, _AT_ONCE):
            data = os.pread(self._file, size * min(_AT_ONCE, end - first), size * first)
            for offset in range(0, len(data) - size + 1, size):
                index = first + offset // size
                if index not in maps and _gap(data[offset : offset + size], index) is not None:
                    found.append(index)
        return found

    def wipe(self, pages: Iterable[int]) -> None:
        """Fill the unused part of pages with zeros; the write-ahead log must be empty, and no write may run."""
        size, count, maps = self._shape()
        for index in pages:
            if index >= count or index in maps:
                continue
            gap = _gap(os.pread(self._file, size, size * index), index)
            if gap is not None:
                os.pwrite(self._file, bytes(len(gap)), size * index + gap.start)
        os.fsync(self._file)

    def is_alone(self) -> bool:
        """Return whether the write-ahead log is still empty, so that nothing waits to be moved into the file."""
        try:
            return self._log.stat().st_size == 0
        except FileNotFoundError:
            return True

    def _shape(self) -> tuple[int, int, range]:
        """Return the size of a page, the number of pages, and which of them are SQLite's pointer maps."""
        header = os.pread(self._file, 100, 0)
        if len(header) < 100:
            return 0, 0, range(0)
        size = int.from_bytes(header[16:18], "big")
        size = 65_536 if size == 1 else size
        count = os.fstat(self._file).st_size // size
        # With auto_vacuum the second page is a pointer map, and so is every n-th page after it.
        maps = range(1, count, (size - header[20]) // 5 + 1) if any(header[52:56]) else range(0)
        return size, count, maps

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _gap(page: bytes, index: int) -> range | None:
    """Return the range of a page's unused part if it is not all zero; None for every other page."""
    start = 0 if index else 100
    header = _HEADERS.get(page[start]) if len(page) > start else None
    if header is None:
        return None
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    first = start + header + 2 * cells
    last = int.from_bytes(page[start + 5 : start + 7], "big") or 65_536
    unused = page[first:last]
    if last > len(page) or first >= last or unused.count(0) == len(unused):
        return None
    return range(first, last)


def sliced(pages: list[int]) -> Iterator[list[int]]:
    """Yield pages in slices, each short enough for the writer to be held up by."""
    for start in range(0, len(pages), _AT_ONCE):
        yield pages[start : start + _AT_ONCE]


def wipe(scrubber: Scrubber, pages: list[int], writer: sqlite3.Connection) -> None:
    """Wipe pages once the whole write-ahead log is in the file, and drop the writer's page cache.

    Raises:
        StorageFailed: the disk fails; nothing was wiped.
    """
    if not pages or not empty_wal(writer):
        return
    # With the write lock held and an empty log, nothing can change the file meanwhile, not even another program.
    try:
        writer.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as failure:
        raise StorageFailed(f"copies of what was erased could not be wiped: {said(failure)}") from failure
    try:
        if scrubber.is_alone():
            scrubber.wipe(pages)
    finally:
        writer.execute("ROLLBACK")
    writer.execute("PRAGMA shrink_memory")
