"""`relay import`: stores messages from a file with one JSON envelope a line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import IO, Final

import click

from relay.cli.base import Command, Failure, file_label, file_size, has_terminal, note, progress, tell
from relay.cli.database import perform

_LINES: Final = 5_000
_BYTES: Final = 1_500_000
"""Bound on lines and bytes of one request: it stays below the control socket's limit, however it is escaped."""

_LONGEST_LINE: Final = 1_000_000
_WAIT_SECONDS: Final = 60.0
_PAUSE: Final = 0.5


@click.command("import", cls=Command)
@click.argument("file", type=click.File("rb"))
@click.option("--create-users", is_flag=True, help="Create senders and recipients that do not exist.")
@click.option("--continue", "go_on", is_flag=True, help="Continue after a message that is refused.")
@click.option(
    "--from-line",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The line to begin at, after an import that ended early.",
)
def import_messages(file: IO[bytes], create_users: bool, go_on: bool, from_line: int) -> None:
    """Store the messages of FILE, one JSON envelope a line; `-` is standard input.

    Each has a `type`, a `payload`, and `meta` with `id`, `sender_id` and `target_id`; its `timestamp`, Unix
    seconds, becomes `sent_at`. It is handled like every message: plugins see it, devices get it. A message
    that was stored before under its `id` is not stored again, so an import can be repeated.
    """
    size = file_size(file)
    bar = bool(size) and has_terminal()
    importer = _Importer(file_label(file), create_users=create_users, go_on=go_on, shows_bar=bar)
    with progress(size, "import") as done:
        read = 0
        for first, lines in _chunks(file, from_line):
            importer.take(first, lines)
            reached = file.tell() if size else 0
            done(reached - read)
            read = reached
    importer.finish()


def _chunks(file: IO[bytes], from_line: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield slices of a file's lines that fit into one request, with the number of the first line."""
    first, lines, size = from_line, list[bytes](), 0
    for number, line in enumerate(_lines(file), 1):
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
    """Sends lines to the server, counts the results and reports them."""

    def __init__(self, name: str, *, create_users: bool, go_on: bool, shows_bar: bool) -> None:
        self._name = name
        self._options = {"create_users": create_users, "go_on": go_on}
        self._go_on = go_on
        self._shows_bar = shows_bar
        self._stored = self._duplicates = self._refused = 0

    def take(self, first: int, lines: list[bytes]) -> None:
        """Have lines stored, of which the first has the number `first`."""
        texts: dict[int, str] = {}
        for number, line in enumerate(lines, first):
            try:
                if len(line) > _LONGEST_LINE:
                    raise ValueError(f"longer than {_LONGEST_LINE:,} bytes")
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    texts[number] = text
            except ValueError as error:
                self._send(texts)
                texts = {}
                self._refuse(number, "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error))
        self._send(texts)
        if not self._shows_bar:
            note(f"line {first + len(lines) - 1:,}: {self._told()}")

    def _send(self, texts: dict[int, str]) -> None:
        numbers, begun = list(texts), time.monotonic()
        while numbers:
            answer = perform("import", lines=[texts[number] for number in numbers], **self._options)
            self._stored += answer["stored"]
            self._duplicates += answer["duplicates"]
            for problem in answer["problems"]:
                self._refuse(numbers[problem["line"]], f"{problem['code']}: {problem['message']}")
            if answer["taken"]:
                begun = time.monotonic()
                numbers = numbers[answer["taken"] :]
            if answer["busy"] is not None and numbers:
                if time.monotonic() - begun > _WAIT_SECONDS:
                    raise Failure(f"{answer['busy']}; {self._resume(numbers[0])}")
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
            raise Failure(f"{self._refused:,} messages were refused")
