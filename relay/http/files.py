"""Files that browsers load: read once, packed once, and named by a digest of their bytes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
"""The content types of the files of relay's own page and of the SDK, by the ends of their names."""

PLUGIN_TYPES: Final[Mapping[str, str]] = {
    ".js": CONTENT_TYPES[".js"],
    ".css": CONTENT_TYPES[".css"],
    ".svg": CONTENT_TYPES[".svg"],
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".json": "application/json",
}
"""The content types of the files of plugins' page modules."""


@dataclass(frozen=True)
class File:
    """One file, read at the start."""

    content_type: str
    data: bytes
    digest: str

    @cached_property
    def packed(self) -> bytes:
        """The bytes by gzip, made when somebody first asks: all files at once would take a third of a start."""
        return gzip.compress(self.data, mtime=0)


def file_of(content_type: str, data: bytes) -> File:
    """Return the file of these bytes."""
    return File(content_type, data, hashlib.sha256(data).hexdigest()[:32])


def read_folder(
    folder: Path, types: Mapping[str, str] = CONTENT_TYPES, max_bytes: int | None = None
) -> Iterator[tuple[str, File]]:
    """Yield the files of a folder and of those in it, by their paths in it.

    Args:
        types: the content types by the ends of names; files of others are passed over.
        max_bytes: bound on their size together.

    Raises:
        OSError: one cannot be read.
        ValueError: they are larger than `max_bytes`.
    """
    size = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "node_modules" for part in name.parts)
        if path.suffix not in types or hidden or not path.is_file():
            continue
        size += path.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise ValueError(f"the files in {folder} have more than {max_bytes >> 20} MiB together")
        yield name.as_posix(), file_of(types[path.suffix], path.read_bytes())
