"""The words of docs/glossary.md are used in the code, and the ones it rules out are not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
MODULES = sorted(path for folder in ("relay", "plugins") for path in (ROOT / folder).rglob("*.py"))
SCRIPTS = sorted((ROOT / "relay" / "web").rglob("*.js"))

WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
SCRIPT_NAME = re.compile(
    r"\b(?:class|function|const|let|import|async)\s+([A-Za-z_$][\w$]*)|^\s+#?([a-z]\w*)\(", re.M
)
CLAUSE = re.compile(r"(What|Who|Whom|Whose|Which|Where|How|When|Why|Whether)\b")


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rows() -> list[list[str]]:
    """Return the cells of every row of every table."""
    lines = [
        line for line in GLOSSARY.splitlines() if line.startswith("|") and not line.startswith(("| word", "|---"))
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def ruled_out() -> set[str]:
    """Return the words that may not be part of a name in the code."""
    return {word for row in rows() for word in re.findall(r"`(\w+)`", row[3])}


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every name that a module defines or uses, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


def words_of(name: str) -> set[str]:
    """Return a name as a whole and its words, in lower case: `BatchingWriter` has "batching" and "writer"."""
    return {name.lower(), *(word.lower() for word in WORDS.findall(name))}


def test_every_row_of_the_glossary_has_a_word_and_a_meaning_and_each_word_has_one_row() -> None:
    assert all(len(row) == 4 and row[0] and row[1] for row in rows())
    words = [row[0] for row in rows()]
    assert len(words) == len(set(words)) > 40


def test_no_name_in_python_has_a_word_that_the_glossary_rules_out() -> None:
    banned = ruled_out()
    assert not [label(path) for path in MODULES if words_of(path.stem) & banned]
    found = [
        f"{label(path)}:{line}: {name}"
        for path in MODULES
        for name, line in names(ast.parse(path.read_text(encoding="utf-8")))
        if words_of(name) & banned
    ]
    assert not found


def test_no_name_in_javascript_has_a_word_that_the_glossary_rules_out() -> None:
    banned = ruled_out()
    for path in SCRIPTS:
        used = {one or two for one, two in SCRIPT_NAME.findall(path.read_text(encoding="utf-8"))}
        assert not [name for name in {*used, path.stem} if words_of(name) & banned], label(path)


def clauses(path: Path) -> Iterator[str]:
    """Yield the places of a module's and its classes' docstrings that are none, or begin with a clause."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree):
        yield f"{label(path)}: no docstring"
    for node in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        first = (ast.get_docstring(node) or "").partition("\n")[0]
        if CLAUSE.match(first):
            yield f'{label(path)}:{getattr(node, "lineno", 1)}: "{first}": say what it is, as a title does'


def test_a_module_or_a_class_says_what_it_is_in_a_phrase_and_not_in_a_clause() -> None:
    assert not [found for path in MODULES for found in clauses(path)]
