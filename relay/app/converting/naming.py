"""Ids of relay's for people and channels of elsewhere: made from their names, the same ones each time.

Users and groups share their names, and names that differ in case only are the same one. Where two would be the
same, the second gets a number. Who comes first goes by the id that it has elsewhere, and not by its place in
the file, so that another export of the same system gives the same ids.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from relay.app.converting.archives import ExportError
from relay.protocol.errors import said
from relay.storage.names import NAME

_LONGEST: Final = 56
"""Room is left for a number."""

_LETTERS: Final = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ð": "d"}
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_.@+-]+")


def made_of(name: str, otherwise: str) -> str:
    """Return an id that resembles a name: Latin letters without their accents, `-` for what an id may not hold.

    Args:
        otherwise: what it is made of where nothing of the name is left, as of one in another script.
    """
    for text in (name, otherwise):
        spelled = "".join(_LETTERS.get(one, one) for one in text.casefold())
        plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
        found = _OTHERS.sub("-", plain).strip("-.@+")[:_LONGEST].rstrip("-.@+")
        if found:
            return found
    return digest(otherwise)


def digest(*parts: str) -> str:
    """Return a short text that differs where the parts do."""
    whole = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:32]


class Names:
    """Gives out ids.

    Args:
        chosen: ids that the operator chose, by what people or channels are called elsewhere.
    """

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        self._chosen = chosen or {}
        self._taken = {name.casefold() for name in self._chosen.values()}
        self._numbers: dict[str, int] = {}

    def chosen(self, *called: str) -> str | None:
        """Return the id that the operator chose for somebody, by the first of these that they named."""
        return next((self._chosen[one] for one in called if one in self._chosen), None)

    def give(self, name: str, otherwise: str) -> str:
        """Return an id that nobody else has, like a name."""
        wanted = made_of(name, otherwise)
        number = self._numbers.get(wanted, 1)
        found = wanted
        while found.casefold() in self._taken:
            number += 1
            found = f"{wanted}-{number}"
        self._numbers[wanted] = number
        self._taken.add(found.casefold())
        return found


def read_map(path: Path) -> dict[str, str]:
    """Read a file with a line for each person: id or name elsewhere, id here, and a name that is not read.

    Raises:
        ExportError: it cannot be read, or a line is not of that form.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_rows(path, enumerate(csv.reader(file), 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExportError(path, f"cannot be read: {said(error)}") from None


def _read_rows(path: Path, rows: Iterable[tuple[int, list[str]]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("# "):
            continue
        if len(cells) not in (2, 3) or not cells[0] or not NAME.fullmatch(cells[1]):
            expected = "the id or name elsewhere, a comma, and a user id of 1 to 64 letters, digits and _.@+-"
            raise ExportError(f"{path}:{number}", f"{','.join(row)[:80]!r}; expected {expected}")
        if found.setdefault(cells[0], cells[1]) != cells[1]:
            raise ExportError(
                f"{path}:{number}", f"{cells[0]!r} has two ids, {found[cells[0]]!r} and {cells[1]!r}"
            )
    return found
