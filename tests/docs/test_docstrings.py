"""Docstrings are held to their code: each argument and attribute that one describes exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "relay").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
Function = ast.FunctionDef | ast.AsyncFunctionDef


def described(node: ast.ClassDef | Function, section: str) -> set[str]:
    """Return the names that a section of a docstring describes."""
    lines = (ast.get_docstring(node) or "").partition(f"\n{section}:\n")[2].split("\n")
    ends = next((index for index, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    heads = [line[4:].partition(":")[0] for line in lines[:ends] if re.match(r"    [*\w]+(, [*\w]+)*:", line)]
    return {name.strip("* ") for head in heads for name in head.split(",")}


def parameters(function: Function) -> set[str]:
    taken = function.args
    rest = [one for one in (taken.vararg, taken.kwarg) if one is not None]
    return {one.arg for one in [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *rest]}


def fields(node: ast.ClassDef) -> set[str]:
    """Return what a class's body defines by name: annotated fields, assignments, properties and methods."""
    found: set[str] = set()
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            found.add(one.target.id)
        elif isinstance(one, ast.Assign):
            found.update(target.id for target in one.targets if isinstance(target, ast.Name))
        elif isinstance(one, Function):
            found.add(one.name)
    return found


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the fields of a class, and what its methods assign to `self`."""
    stored = (one for one in ast.walk(node) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store))
    return fields(node) | {
        one.attr for one in stored if isinstance(one.value, ast.Name) and one.value.id == "self"
    }


def taken_by(node: ast.ClassDef) -> set[str]:
    """Return what a class is made with: the parameters of its `__init__`, or else its fields."""
    made = [one for one in node.body if isinstance(one, Function) and one.name in ("__init__", "__new__")]
    return set.union(*(parameters(one) for one in made)) if made else fields(node)


def with_bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """Return a class and its bases, as far as they are in this tree."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return [node, *(above for base in bases if base != node.name for above in with_bases(classes[base], classes))]


def wrong(node: ast.ClassDef | Function, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return the names that a docstring describes and that its function or class does not have."""
    if isinstance(node, Function):
        return described(node, "Args") - parameters(node)
    line = with_bases(node, classes)
    return (described(node, "Args") - set.union(*(taken_by(one) for one in line))) | (
        described(node, "Attributes") - set.union(*(attributes(one) for one in line))
    )


def test_what_a_docstring_describes_exists() -> None:
    nodes = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | Function)
    ]
    classes = {node.name: node for _, node in nodes if isinstance(node, ast.ClassDef)}
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has no": names
        for path, node in nodes
        if (names := wrong(node, classes))
    }
    assert not found


def test_a_wrong_name_is_found() -> None:
    shown = '''
class Guard:
    """One.

    Attributes:
        reason, stopped: why,
            and when.
        aside: whether.
    """

    def __init__(self, plugin, **rest):
        self.reason = None
'''
    (node,) = ast.parse(shown).body
    assert isinstance(node, ast.ClassDef)
    assert described(node, "Attributes") - attributes(node) == {"stopped", "aside"}
    assert taken_by(node) == {"self", "plugin", "rest"}
