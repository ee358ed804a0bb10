"""JSON of an export: whole lists, and lines. Each fault is named by its file and its line or place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from relay.app.converting.archives import Archive, ExportError, read_text, reading
from relay.app.converting.report import Report

Shape = TypeVar("Shape", bound=msgspec.Struct)

LONGEST_LINE: Final = 64 * 1024 * 1024
"""The most bytes of a line: a message with all its replies."""

_BYTE: Final = re.compile(r"\s*\(byte (\d+)\)")
_BOM: Final = b"\xef\xbb\xbf"
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_list(archive: Archive, name: str, shape: type[Shape]) -> list[Shape]:
    """Return the objects of a file that is one list.

    Raises:
        ExportError: it is no JSON, with the line, or one of its objects does not fit, with its place.
    """
    return [one for _, one in read_each(archive, name, shape, None)]


def read_each(
    archive: Archive, name: str, shape: type[Shape], report: Report | None
) -> Iterator[tuple[str, Shape]]:
    """Yield the objects of a file that is one list, each with its place, such as `general/2024-05-01.json #3`.

    Args:
        report: is told of what cannot be read, which is passed over; None raises it.

    Raises:
        ExportError: there is no report, and the file or one of its objects cannot be read.
    """
    try:
        raws = _decode_list(name, read_text(archive, name))
    except ExportError as error:
        if report is None:
            raise
        report.note("unreadable_file", error.where, error.reason)
        return
    decode = msgspec.json.Decoder(shape, strict=False).decode
    for number, raw in enumerate(raws, 1):
        place = f"{name} #{number}"
        try:
            yield place, decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if report is None:
                raise ExportError(place, _said(error)) from None
            report.note("unreadable_message", place, _said(error))


def read_lines(archive: Archive, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1; blank ones are passed over.

    Raises:
        ExportError: a line is longer than `LONGEST_LINE`, or the file is damaged.
    """
    with reading(name), archive.open(name) as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise ExportError(
                    f"{name}:{number}", f"longer than {LONGEST_LINE:,} bytes; one object is one line"
                )
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield number, line


def decoded(place: str, line: bytes, decoder: msgspec.json.Decoder[Shape], report: Report) -> Shape | None:
    """Return the object of a line; None for what cannot be read, of which the report is told."""
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        report.note("unreadable_message", place, _said(error))
        return None


def _decode_list(name: str, text: bytes) -> list[msgspec.Raw]:
    text = text.removeprefix(_BOM)
    try:
        return _list.decode(text)
    except msgspec.ValidationError as error:
        raise ExportError(name, f"{_said(error)}; it should be a list, [ … ]") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ExportError(f"{name}:{_line_of(error, text)}", _said(error)) from None


def _line_of(error: Exception, text: bytes) -> int:
    """Return the line where a text stops being JSON."""
    found = _BYTE.search(str(error))
    return text.count(b"\n", 0, int(found[1]) if found else len(text)) + 1


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return _BYTE.sub("", str(error))
