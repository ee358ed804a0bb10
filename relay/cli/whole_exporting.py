"""`relay export`: everything of a server, as lines of JSON and files beside them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final

import click

from relay import __version__
from relay.cli.base import Command, Failure, load_settings, progress, tell
from relay.cli.database import perform
from relay.protocol import records
from relay.protocol.errors import said
from relay.storage import attachments, whole_export
from relay.storage.portable import PortableTable

LINES: Final = "relay.ndjson"
"""The file of an export's lines, in its folder."""

_LINE_BYTES: Final = 250
"""About what a line counts in the progress bar, beside the bytes of files."""


@click.command("export", cls=Command)
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--with-credentials", is_flag=True, help="With the hashes of passwords: keep the export secret.")
def export(target: Path, with_credentials: bool) -> None:
    """Export everything: people, groups, messages, files, as lines of JSON that `relay import` reads.

    TARGET is a folder, which is new or empty, or a file that ends with `.ndjson`, with the files' bytes in its
    lines. The server goes on meanwhile; what is said from now on is not in it.
    """
    began = perform("export.begin", credentials=with_credentials)
    tables = [
        PortableTable(name=one["name"], messages=tuple(one["messages"]), channel=one["channel"])
        for one in began["tables"]
    ]
    previous = os.umask(0o077)  # it is as secret as the database
    try:
        with _reading(Path(load_settings().storage.path)) as connection, _writing(target) as (file, folder):
            _Exporter(connection, file, folder, target).run(tables, with_credentials=with_credentials)
    except OSError as error:
        raise Failure(f"{error.filename or target} cannot be written: {error.strerror or said(error)}") from None
    except sqlite3.Error as error:
        raise Failure(f"the database cannot be read: {error}") from None
    finally:
        os.umask(previous)


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that reads the database as it is now, whatever the server writes meanwhile."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def _writing(target: Path) -> Iterator[tuple[IO[bytes], Path | None]]:
    """Yield the file of the lines, which gets its name once it is complete, and the folder for files, if any."""
    folder = None if target.suffix == ".ndjson" else target
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise Failure(f"{folder} is a file; name a folder, or a file that ends with .ndjson")
        if folder.is_dir() and any(folder.iterdir()):
            raise Failure(f"{folder} is not empty; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    elif target.exists():
        raise Failure(f"{target} is there already; name a new file")
    lines = target if folder is None else folder / LINES
    unfinished = lines.with_name(lines.name + ".unfinished")
    with unfinished.open("wb") as file:
        yield file, folder
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(lines)


class _Exporter:
    """Writes one export."""

    def __init__(self, connection: sqlite3.Connection, file: IO[bytes], folder: Path | None, target: Path) -> None:
        self._connection = connection
        self._file = file
        self._folder = folder
        self._target = target
        self._lines = 0
        self._done: Callable[[int], object] = lambda _bytes: None

    def run(self, tables: Iterable[PortableTable], *, with_credentials: bool) -> None:
        """Write everything, and tell how much it was."""
        connection = self._connection
        size = whole_export.size(connection)
        with progress(size.lines * _LINE_BYTES + size.file_bytes, "export") as self._done:
            self._write([whole_export.header(connection, time.time(), f"relay {__version__}")])
            users = self._write(whole_export.users(connection, credentials=with_credentials))
            files = 0
            for record, blob_id in whole_export.files(connection):
                self._write_file(record, blob_id)
                files += 1
            groups = self._write(whole_export.groups(connection))
            self._write(whole_export.pictures(connection))
            messages = self._write(whole_export.said(connection))
            self._write(whole_export.facts(connection, tables))
            self._write([records.End(lines=self._lines)])
        text = (
            f"{self._target}: {users:,} users, {groups:,} groups, {messages:,} messages and reactions,"
            f" {files:,} files"
        )
        counts = {"users": users, "groups": groups, "messages": messages, "files": files, "lines": self._lines}
        tell(text, target=str(self._target), **counts)

    def _write(self, found: Iterable[records.Record]) -> int:
        """Write records, and return how many there were."""
        before = self._lines
        for record in found:
            self._file.write(records.write_record(record))
            self._lines += 1
            self._done(_LINE_BYTES)
        return self._lines - before

    def _write_file(self, record: records.Attachment, blob_id: int) -> None:
        """Write a file beside the lines, or its bytes in lines."""
        chunks = attachments.chunks_of(self._connection, blob_id)
        if self._folder is None:
            record.path = None
            self._write([record])
            self._write(_in_lines(record.attachment_id, chunks, self._done))
            return
        assert record.path is not None  # noqa: S101 - every one has a place
        path = self._folder / record.path
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as writing:
            for chunk in chunks:
                writing.write(chunk)
                self._done(len(chunk))
        self._write([record])


def _in_lines(
    attachment_id: str, chunks: Iterable[bytes], done: Callable[[int], object]
) -> Iterator[records.Chunk]:
    """Yield a file's bytes as records, the last of which says so."""
    held, start = b"", 0
    for chunk in chunks:
        if len(held) == records.CHUNK_BYTES:
            yield records.Chunk(attachment_id=attachment_id, start=start, data=held)
            start, held = start + len(held), b""
        held += chunk
        done(len(chunk))
    yield records.Chunk(attachment_id=attachment_id, start=start, data=held, last=True)
