"""The files beside the lines of an export, as `relay import` sends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from relay.protocol import records
from relay.protocol.errors import said

_FOLDER = "attachments"


def folder_bytes(folder: Path) -> int:
    """Return the bytes of the files of an export, for a progress bar; 0 where they are elsewhere."""
    beside = folder / _FOLDER
    return sum(path.stat().st_size for path in beside.rglob("*") if path.is_file()) if beside.is_dir() else 0


@contextmanager
def open_below(folder: Path, named: str) -> Iterator[IO[bytes]]:
    """Open a file.

    Args:
        folder: of the lines; the file is in it, or below.
        named: the path from there.

    Raises:
        ValueError: the file is somewhere else, or cannot be read.
    """
    path = (folder / named).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"path is {named!r}, which is not below the folder of the file")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or said(error)}") from None


def chunk_lines(file: IO[bytes], attachment_id: str) -> Iterator[tuple[str, int]]:
    """Yield the lines that carry a file's bytes, each with their number."""
    start, part = 0, file.read(records.CHUNK_BYTES)
    while True:
        following = file.read(records.CHUNK_BYTES)
        chunk = records.Chunk(attachment_id=attachment_id, start=start, data=part, last=not following)
        yield records.write_record(chunk).decode(), len(part)
        if not following:
            return
        start, part = start + len(part), following
