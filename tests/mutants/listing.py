"""The list of mutants, read from `rooms/*.toml` and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

TREE = Path(__file__).parents[2]
ROOMS = Path(__file__).parent / "rooms"


class Mutant(NamedTuple):
    """One small wrong change.

    Attributes:
        room: the stem of the TOML file that it is in.
        file: the path of the changed file in the tree.
        hurts: what would break for somebody.
        tests: those that should notice it: paths of test files, or pytest's node ids.
        wider: more of them, run where the others pass.
        lives: why no test can notice it; None where one has to.
    """

    room: str
    name: str
    file: str
    old: str
    new: str
    hurts: str
    tests: tuple[str, ...]
    wider: tuple[str, ...]
    lives: str | None

    @property
    def id(self) -> str:
        """Its name with its room's, as the command prints it."""
        return f"{self.room}/{self.name}"

    def changed(self, tree: Path) -> str:
        """Return the changed file's text.

        Raises:
            ValueError: the old text is not in the file exactly once; the mutant is stale.
        """
        text = (tree / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.id} is stale: its old text stands {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    old: str
    new: str
    hurts: str
    tests: list[str] | None = None
    lives: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    tests: list[str]
    mutant: list[_Change]
    wider: list[str] = []


class _Room(msgspec.Struct, forbid_unknown_fields=True):
    file: list[_File]


def read(folder: Path = ROOMS) -> list[Mutant]:
    """Return all mutants, room by room."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in _read_room(path)]


def _read_room(path: Path) -> Iterator[Mutant]:
    try:
        room = msgspec.toml.decode(path.read_bytes(), type=_Room)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None
    for file in room.file:
        for one in file.mutant:
            tests = tuple(file.tests if one.tests is None else one.tests)
            wider = tuple(test for test in file.wider if test not in tests)
            yield Mutant(path.stem, one.name, file.path, one.old, one.new, one.hurts, tests, wider, one.lives)


def problems(mutants: list[Mutant], tree: Path = TREE) -> list[str]:
    """Name what is wrong in the list: stale mutants, names that come twice, Python that is none, missing tests."""
    found: list[str] = []
    ids: set[str] = set()
    for mutant in mutants:
        if mutant.id in ids:
            found.append(f"{mutant.id} is there twice")
        ids.add(mutant.id)
        if mutant.old == mutant.new:
            found.append(f"{mutant.id} changes nothing")
        found += [
            f"{mutant.id} names a test that is not there: {test}"
            for test in (*mutant.tests, *mutant.wider)
            if not (tree / test.partition("::")[0]).exists()
        ]
        try:
            text = mutant.changed(tree)
            if mutant.file.endswith(".py"):
                compile(text, mutant.file, "exec", dont_inherit=True)
        except (OSError, ValueError) as stale:
            found.append(str(stale))
        except SyntaxError as error:
            found.append(f"{mutant.id} is not Python: {error}")
    return found
