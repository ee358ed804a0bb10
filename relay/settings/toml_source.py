"""A TOML file as a source: its values with the line of each key, which tomllib does not give."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from relay.protocol.errors import said
from relay.settings.problems import Problem

_LEXEME = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=,.\n]"
    r"""|[^\s\[\]{}=,."'\#]+""",
    re.DOTALL,
)
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Document(msgspec.Struct, frozen=True):
    """A parsed file: its tables, and the line (from 1) of every key path in it."""

    file: str
    data: dict[str, object]
    lines: dict[tuple[str, ...], int]

    def lines_inside(self, path: tuple[str, ...]) -> dict[tuple[str, ...], int]:
        """Return the lines of all keys below a key, by their path from there."""
        size = len(path)
        return {
            found[size:]: line for found, line in self.lines.items() if len(found) > size and found[:size] == path
        }

    def line(self, path: tuple[str, ...]) -> int | None:
        """Return the line of a key, or of the nearest table around it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None


def read_document(path: Path, problems: list[Problem]) -> Document:
    """Read and parse a file; a file that cannot be read gives an empty document and adds a problem."""
    file = str(path)
    text = _read_text(path, problems)
    try:
        return Document(file, tomllib.loads(text), find_lines(text))
    except RecursionError:
        problems.append(Problem(file=file, message="is nested too deeply"))
    except ValueError as error:
        problems.append(_syntax_problem(file, text, str(error)))
    return Document(file, {}, {})


def _read_text(path: Path, problems: list[Problem]) -> str:
    file = str(path)
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(Problem(file=file, line=line, message="is not UTF-8 text", hint="save the file as UTF-8"))
    except OSError as error:
        problems.append(Problem(file=file, message=f"cannot be read: {error.strerror or said(error)}"))
    return ""


def _syntax_problem(file: str, text: str, error: str) -> Problem:
    found = _POSITION.search(error)
    if not found:
        return Problem(file=file, message=error)
    lines = text.split("\n")
    line, column = int(found[1] or len(lines)), int(found[2] or len(lines[-1]) + 1)
    message = error[: found.start()]
    wants_quotes = found[1] and message.startswith(
        ("Invalid value", "Expected newline or end of document after a statement")
    )
    return Problem(
        file=file,
        line=line,
        message=f"column {column}: {message}",
        hint='text stands in quotes, as in host = "127.0.0.1"' if wants_quotes else "",
    )


def parse_value(text: str) -> object:
    """Read one TOML value that stands alone, as in a variable of the environment.

    Raises:
        ValueError: the text is not one TOML value.
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if len(parsed) != 1:
        raise ValueError("more than one value")
    return parsed["value"]


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each table header and key in a text that tomllib has accepted.

    Because tomllib has accepted the text, it is enough to follow brackets and quotes. The second table of an array
    `[[a.b]]` stands under ("a", "b", "1"), with its keys; the path without a number leads to the first one's line.
    """
    return _LineFinder().find(text)


class _LineFinder:
    """A walk over the lexemes with a stack of open brackets: an inline table has its path there, an array None."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, ...], int] = {}
        self.table: tuple[str, ...] = ()
        self.element: tuple[str, ...] = ()
        self.counts: dict[tuple[str, ...], int] = {}
        self.open: list[tuple[str, ...] | None] = []
        self.key: list[str] = []
        self.value_of: tuple[str, ...] | None = None
        self.in_header = False
        self.brackets = 0

    def find(self, text: str) -> dict[tuple[str, ...], int]:
        line, end = 1, 0
        for lexeme in _LEXEME.finditer(text + "\n"):
            line += text.count("\n", end, lexeme.start())
            end = lexeme.start()
            if not lexeme[0].startswith("#"):
                self._take(lexeme[0], line)
        return self.lines

    def _take(self, lexeme: str, line: int) -> None:
        if self.value_of is not None:
            self._in_value(lexeme)
        elif lexeme == "\n":
            self._end_header(line)
        elif lexeme in "[]":
            self.in_header = True
            self.brackets += lexeme == "["
        elif lexeme == "}":
            self._close()
        elif lexeme == "=":
            self.value_of = (*(self.open[-1] or () if self.open else self.table), *self.key)
            self._note(self.value_of, line)
            if self.element and not self.open:
                self._note((*self.element, *self.key), line)
            self.key = []
        elif lexeme not in ".,":
            self.key.append(_key_name(lexeme))

    def _in_value(self, lexeme: str) -> None:
        inline = bool(self.open) and self.open[-1] is not None
        if lexeme == "{":
            self.open.append(self.value_of)
            self.value_of = None
        elif lexeme == "[":
            self.open.append(None)
        elif lexeme in "]}":
            self._close()
        elif (lexeme == "\n" and not self.open) or (lexeme == "," and inline):
            self.value_of = None

    def _close(self) -> None:
        """Leave an inline table or an array; the one around it goes on with the same value."""
        closed = self.open.pop()
        if closed is not None:
            self.value_of = closed
            self.key = []

    def _end_header(self, line: int) -> None:
        if self.in_header:
            self.table, self.element = tuple(self.key), ()
            self._note(self.table, line)
            if self.brackets == 2:
                number = self.counts[self.table] = self.counts.get(self.table, -1) + 1
                self.element = (*self.table, str(number))
                self._note(self.element, line)
            self.in_header, self.brackets = False, 0
        self.key = []

    def _note(self, path: tuple[str, ...], line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)


def _key_name(lexeme: str) -> str:
    if lexeme[0] not in "\"'":
        return lexeme
    return next(iter(tomllib.loads(f"{lexeme} = 0")))
