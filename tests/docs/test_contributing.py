"""CONTRIBUTING.md is held to the code: how long files and functions are, and where tests stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TESTS = ROOT / "tests"

USUAL_LINES = 40
MOST_LINES = 50
NOT_MIRRORS = {"docs", "e2e", "js", "simulation", "wire"}


def modules() -> Iterator[Path]:
    for folder in ("relay", "plugins"):
        yield from (ROOT / folder).rglob("*.py")


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, from `def` on, without its docstring."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return whole
    docstring = function.body[0]
    return whole - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def functions() -> Iterator[tuple[str, int]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}: {node.name}", code_lines(node)


def test_functions_are_short() -> None:
    lengths = dict(functions())
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
    assert sum(lines > USUAL_LINES for lines in lengths.values()) < len(lengths) / 100
    assert f"functions under {USUAL_LINES} lines" in PAGE
    assert f"over {MOST_LINES}" in PAGE


def mirrored() -> list[Path]:
    """Return the test modules of the folders that mirror a package."""
    found = [path.relative_to(TESTS) for path in TESTS.glob("*/**/test_*.py")]
    return [path for path in found if path.parts[0] not in NOT_MIRRORS]


@pytest.mark.parametrize("folder", sorted({str(path.parent) for path in mirrored()}))
def test_a_folder_of_tests_mirrors_a_package(folder: str) -> None:
    assert (ROOT / "relay" / folder).is_dir() or (ROOT / folder).is_dir(), f"there is no package {folder}"


def is_named_after_a_module(path: Path) -> bool:
    name = path.stem.removeprefix("test_")
    places = [base / path.parent / name for base in (ROOT / "relay", ROOT)]
    return any(place.with_suffix(".py").exists() or (place / "__init__.py").exists() for place in places)


def test_most_test_modules_are_named_after_the_module_they_test() -> None:
    found = mirrored()
    named = [path for path in found if is_named_after_a_module(path)]
    assert len(named) > len(found) * 2 / 3


def test_a_test_module_says_what_it_tests() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(TESTS.rglob("test_*.py"))}
    assert not [str(path.relative_to(TESTS)) for path, tree in trees.items() if not ast.get_docstring(tree)]


def test_every_test_with_real_sockets_runs_in_the_pass_for_them() -> None:
    files = sorted((TESTS / "e2e").rglob("test_*.py"))
    marked = re.compile(r"^pytestmark = (\[[^]]*)?pytest\.mark\.e2e\b", re.MULTILINE)
    unmarked = [path for path in files if not marked.search(path.read_text(encoding="utf-8"))]
    assert not [str(path.relative_to(TESTS)) for path in unmarked], "write pytestmark = pytest.mark.e2e"


def test_files_and_folders_that_the_page_names_exist() -> None:
    named = re.findall(r"`((?:relay|tests|docs|plugins|\.ci)/[\w./-]*)`", PAGE)
    assert len(named) > 8
    assert not [path for path in named if not (ROOT / path).exists()]


def test_make_targets_that_the_page_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z-]+)", PAGE))
    assert {"test", "lint"} <= targets
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)]
