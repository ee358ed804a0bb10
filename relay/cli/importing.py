"""`relay import`: everything of an export, or messages of a file with one JSON envelope a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from relay.cli.base import Command, Failure, file_label, file_size, has_terminal, note, progress, tell
from relay.cli.converting import Wanted, conversion_options, converted
from relay.cli.database import perform
from relay.cli.import_files import chunk_lines, folder_bytes, open_below
from relay.protocol.errors import said
from relay.protocol.records import is_record

_LINES: Final = 5_000
_BYTES: Final = 1_500_000
"""Bound on lines and bytes of one request: it stays below the control socket's limit, however it is escaped."""

_LONGEST_LINE: Final = 1_000_000
_WAIT_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_EXPORT: Final = "relay.ndjson"


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("--create-users", is_flag=True, help="Create senders and recipients of envelopes that do not exist.")
@click.option("--continue", "go_on", is_flag=True, help="Continue after a line that is refused.")
@click.option(
    "--from-line",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The line to begin at, after an import that ended early.",
)
@conversion_options
def import_messages(file: Path, create_users: bool, go_on: bool, from_line: int, **conversion: Any) -> None:
    """Read an export, the folder or the file FILE, into this server; `-` is standard input.

    Everything is there then as it was: people, groups, messages with their times, files. What is there already
    stays as it is, so an import can be repeated.

    A line may also be one JSON envelope with a `type`, a `payload`, and `meta` with `id`, `sender_id` and
    `target_id`; its `timestamp`, Unix seconds, becomes `sent_at`. It is handled like every message.

    With --from, FILE is an export of another system: a zip, or the folder that was in it.
    """
    wanted = Wanted(**conversion)
    if wanted.check(file, create_users=create_users):
        _convert(wanted, file, go_on=go_on, from_line=from_line)
        return
    lines = file / _EXPORT if file.is_dir() else file
    try:
        with click.open_file(str(lines), "rb") as opened:
            _read(opened, lines.parent, create_users=create_users, go_on=go_on, from_line=from_line)
    except OSError as error:
        raise Failure(f"{error.filename or lines} cannot be read: {error.strerror or said(error)}") from None


def _convert(wanted: Wanted, path: Path, *, go_on: bool, from_line: int) -> None:
    with converted(wanted, path, go_on=go_on) as conversion:
        lines = conversion.lines(wanted.source)
        if wanted.dry_run:
            for _line in lines:
                pass
            return
        importer = _Importer(str(path), conversion.open_file, create_users=False, go_on=go_on, shows_bar=False)
        for first, some in _chunks(lines, from_line, importer):
            importer.take(first, some)
        importer.finish()


def _read(file: IO[bytes], folder: Path, *, create_users: bool, go_on: bool, from_line: int) -> None:
    size = file_size(file)
    bar = bool(size) and has_terminal()
    opened = partial(open_below, folder)
    importer = _Importer(file_label(file), opened, create_users=create_users, go_on=go_on, shows_bar=bar)
    with progress(size + (folder_bytes(folder) if size else 0), "import") as importer.done:
        read = 0
        for first, lines in _chunks(_lines(file), from_line, importer):
            importer.take(first, lines)
            reached = file.tell() if size else 0
            importer.done(reached - read)
            read = reached
    importer.finish()


def _chunks(read: Iterable[bytes], from_line: int, importer: _Importer) -> Iterator[tuple[int, list[bytes]]]:
    """Yield slices of lines that fit into one request, with the number of the first line."""
    first, lines, size = from_line, list[bytes](), 0
    for number, line in enumerate(read, 1):
        if number == 1:
            importer.begin(line)
        if number < from_line:
            continue
        if lines and (len(lines) == _LINES or size + len(line) > _BYTES):
            yield first, lines
            first, lines, size = number, [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield first, lines


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of a line that is too long only the beginning, which is still too long."""
    while line := file.readline(_LONGEST_LINE + 1):
        yield line
        while len(line) > _LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(_LONGEST_LINE + 1)


class _Importer:
    """Sends lines to the server, counts the results and reports them.

    Args:
        open_file: opens a file that an attachment names by its path.

    Attributes:
        done: told of the bytes that are done.
    """

    def __init__(
        self,
        name: str,
        open_file: Callable[[str], AbstractContextManager[IO[bytes]]],
        *,
        create_users: bool,
        go_on: bool,
        shows_bar: bool,
    ) -> None:
        self._name = name
        self._open_file = open_file
        self._options: dict[str, Any] = {"create_users": create_users, "go_on": go_on}
        self._go_on = go_on
        self._shows_bar = shows_bar
        self._stored = self._duplicates = self._refused = 0
        self._ended = True
        self.done: Any = lambda _bytes: None

    def begin(self, line: bytes) -> None:
        """Note where an export is from, as its first line says; its last line has to come then."""
        found = _fields(line.decode("utf-8-sig", "replace"))
        if found.get("record") == "export" and isinstance(found.get("source"), str):
            self._options["source"] = found["source"]
            self._ended = False

    def take(self, first: int, lines: list[bytes]) -> None:
        """Have lines stored, of which the first has the number `first`."""
        texts: list[tuple[int, str]] = []
        for number, line in enumerate(lines, first):
            try:
                if len(line) > _LONGEST_LINE:
                    raise ValueError(f"longer than {_LONGEST_LINE:,} bytes")
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except ValueError as error:
                self._send(texts)
                texts = []
                self._refuse(number, "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error))
                continue
            if is_record(text) and '"path"' in text and (fields := _fields(text)).get("record") == "attachment":
                self._send(texts)
                texts = []
                self._send_file(number, fields)
            elif text:
                texts.append((number, text))
                self._ended = self._ended or ('"end"' in text and _fields(text).get("record") == "end")
        self._send(texts)
        if not self._shows_bar:
            note(f"line {first + len(lines) - 1:,}: {self._told()}")

    def _send_file(self, number: int, fields: dict[str, Any]) -> None:
        """Send an attachment's record and, where it is missing, the file that its `path` names."""
        path = fields.pop("path")
        before = self._stored
        self._send([(number, msgspec.json.encode(fields).decode())])
        if self._stored == before:
            return
        counted = self._stored, self._duplicates
        try:
            with self._open_file(str(path)) as file:
                for line, size in chunk_lines(file, str(fields["attachment_id"])):
                    self._send([(number, line)])
                    self.done(size)
        except ValueError as error:
            counted = before, self._duplicates
            self._refuse(number, str(error))
        finally:  # the bytes are a part of the record, and no lines of the file
            self._stored, self._duplicates = counted

    def _send(self, texts: list[tuple[int, str]]) -> None:
        begun = time.monotonic()
        while texts:
            answer = perform("import", lines=[text for _, text in texts], **self._options)
            self._stored += answer["stored"]
            self._duplicates += answer["duplicates"]
            for problem in answer["problems"]:
                self._refuse(texts[problem["line"]][0], f"{problem['code']}: {problem['message']}")
            if answer["taken"]:
                begun = time.monotonic()
                texts = texts[answer["taken"] :]
            if answer["busy"] is not None and texts:
                if time.monotonic() - begun > _WAIT_SECONDS:
                    raise Failure(f"{answer['busy']}; {self._resume(texts[0][0])}")
                time.sleep(_PAUSE)

    def _refuse(self, number: int, reason: str) -> None:
        self._refused += 1
        problem = f"{self._name}:{number}: {reason}"
        if not self._go_on:
            raise Failure(
                f"{problem}; {self._told()}; {self._resume(number)}, or go on after such lines: --continue"
            )
        note(problem)

    def _resume(self, number: int) -> str:
        return f"begin again with --from-line {number}"

    def _told(self) -> str:
        return f"{self._stored:,} stored, {self._duplicates:,} there already, {self._refused:,} refused"

    def finish(self) -> None:
        """Print the result of the whole import."""
        tell(self._told(), stored=self._stored, there_already=self._duplicates, refused=self._refused)
        if self._refused:
            raise Failure(f"{self._refused:,} lines were refused")
        if not self._ended:
            raise Failure("the export ends without its last line, `end`: it was cut off, and a part is missing")


def _fields(text: str) -> dict[str, Any]:
    """Return the fields of a line's object; none of anything else, which the server will refuse."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
