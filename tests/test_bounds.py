"""The table of what a user can spend: it is whole, and each bound and each test that it names is there."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Final

import pytest

from relay.settings import Settings
from tests.bounds import BOUNDS, NO_BOUNDS, Bound

TESTS: Final = Path(__file__).parent
ROOT: Final = TESTS.parent
_RATE: Final = re.compile(r"^    (\w*per_(?:user|minute|second)): Annotated", re.MULTILINE)
_ANY: Final = re.compile(r"^    (\w+): Annotated", re.MULTILINE)
_OTHERS: Final = frozenset({"storage.readers", "storage.read_seconds"})
"""Settings of another section that bound what users ask."""


def settings() -> set[str]:
    """Return the settings of the two sections that bound what peers and users ask."""
    made = Settings()
    return {
        f"{name}.{field}" for name in ("limits", "attachments") for field in getattr(made, name).__struct_fields__
    }


def options(which: re.Pattern[str] = _RATE) -> set[str]:
    """Return the options of bundled plugins that bound a user or a rate, or others, by their names."""
    found = set()
    for path in (ROOT / "plugins").rglob("*.py"):
        plugin = path.relative_to(ROOT / "plugins").parts[0].removesuffix(".py")
        found |= {f"plugins.{plugin}.{name}" for name in which.findall(path.read_text())}
    return found


@cache
def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def check_code(module: str, name: str) -> None:
    """See that a module has a method of that name, or a constant that is a number."""
    if "." in name:
        assert callable(attrgetter(name)(importlib.import_module(module)))
        return
    path = ROOT / (module.replace(".", "/") + ".py")
    assert re.search(rf"^{name}\b.*= \d+", path.read_text(), re.MULTILINE)
    if module.startswith("relay."):
        assert getattr(importlib.import_module(module), name) > 0


def test_every_limit_has_a_row() -> None:
    named = {bound.where for bound in BOUNDS} | NO_BOUNDS
    assert settings() <= named
    assert options() <= named


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.where)
def test_a_bound_and_its_test_are_there(bound: Bound) -> None:
    if ":" in bound.where:
        check_code(*bound.where.split(":"))
    else:
        assert bound.where in settings() | _OTHERS | options(_ANY)
    path, _, function = bound.test.partition("::")
    assert function in functions(TESTS / path)
