"""A reader of source code that finds what it uses of other libraries' private parts."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import trio
from wsproto.connection import Connection

LIBRARIES = {"trio_websocket", "wsproto", "hypercorn", "h11", "quart", "quart_trio", "trio"}
HANDED_OVER = {"create_url_adapter"}
"""Methods without an underscore that are called by their library alone, and are replaced all the same."""

_NAMED_TUPLES = {"_replace", "_asdict", "_make", "_fields"}
_PUBLIC = {
    name
    for kind in (Connection, trio.CancelScope, trio.Event, list)
    for name in dir(kind)
    if not name.startswith("_")
}
"""What is public of objects that are reached through something private."""


def functions_in(path: Path) -> set[str]:
    """Return the names of the functions and methods that a module has."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def used_in(path: Path, ours: set[str]) -> set[str]:
    """Return the private names that a module uses of the libraries; classes of hypercorn's insides count.

    Args:
        ours: private functions of other modules of relay's.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = _imported(tree)
    if not any(module.split(".")[0] in LIBRARIES for module in imported.values()):
        return set()
    # hypercorn promises its configuration and its `serve`; the rest of it is its own business.
    internal = {
        name
        for name, module in imported.items()
        if module.startswith("hypercorn.") and module != "hypercorn.config"
    }
    own = functions_in(path) | ours
    found = set(internal)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= _Class(node, imported, internal, own).used()
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found |= _Names(set(), False, internal, own).used(node)
    return found


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return the modules that names come from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
    return found


class _Class:
    """One class, which may be derived from a library's."""

    def __init__(
        self, node: ast.ClassDef, imported: dict[str, str], internal: set[str], functions: set[str]
    ) -> None:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        of_library = [name for name in bases if imported.get(name, "").split(".")[0] in LIBRARIES]
        self._node = node
        self._base = (
            getattr(importlib.import_module(imported[of_library[0]]), of_library[0]) if of_library else None
        )
        self._is_internal = bool(set(of_library) & internal)
        self._internal = internal
        self._functions = functions
        self._methods = [
            child for child in node.body if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]

    def used(self) -> set[str]:
        """Return the library's names that the class replaces or uses."""
        replaced = {method.name for method in self._methods if hasattr(self._base, method.name)}
        found = {name for name in replaced if self._is_internal or _is_private(name) or name in HANDED_OVER}
        own = self._own() - replaced if self._base is not None else None
        held = set(self._held())
        for method in self._methods:
            found |= _Names(held, self._is_internal, self._internal, self._functions, own).used(method)
        return {name for name in found if not name.startswith("__")}

    def _own(self) -> set[str]:
        """Return the names that the class itself gives its instances: its methods, its slots, and what it sets."""
        names = {method.name for method in self._methods}
        for child in self._node.body:
            if isinstance(child, ast.Assign):
                names |= {part.value for part in ast.walk(child.value) if isinstance(part, ast.Constant)}
        for method in self._methods:
            if method.name == "__init__":
                names |= {part.attr for part in _assigned(method) if isinstance(part, ast.Attribute)}
        return names

    def _held(self) -> Iterator[str]:
        """Yield attributes that hold an object of an internal class."""
        for part in ast.walk(self._node):
            if isinstance(part, ast.Assign) and _calls(part.value, self._internal):
                yield from (f"self.{target.attr}" for target in part.targets if isinstance(target, ast.Attribute))


class _Names:
    """The attributes that one function uses.

    Args:
        held: names and attributes that hold an object whose attributes are private.
        own: what `self` has that is not a library's; None where nothing of it is.
    """

    def __init__(
        self,
        held: set[str],
        is_internal: bool,
        internal: set[str],
        functions: set[str],
        own: set[str] | None = None,
    ) -> None:
        self._held = set(held)
        self._is_internal = is_internal
        self._internal = internal
        self._functions = functions
        self._own = own
        self._found: set[str] = set()

    def used(self, function: ast.AST) -> set[str]:
        """Return the private names of libraries that are used in a function."""
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            if self._follow(node.value) or _calls(node.value, self._internal):
                self._held.add(node.targets[0].id)
        for node in ast.walk(function):
            if isinstance(node, (ast.Attribute, ast.Call)):
                self._follow(node)
        return self._found

    def _follow(self, node: ast.AST) -> bool:
        """Note the private names of a chain of attributes; tell whether what it comes to is private."""
        if isinstance(node, ast.Name):
            return node.id in self._held
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "cast":
                return self._follow(node.args[1])
            if called == "getattr" and isinstance(node.args[1], ast.Constant):
                return self._step(self._follow(node.args[0]), str(node.args[1].value), ast.unparse(node.args[0]))
            return False
        if not isinstance(node, ast.Attribute):
            return False
        if ast.unparse(node) in self._held:
            return True
        return self._step(self._follow(node.value), node.attr, ast.unparse(node.value))

    def _step(self, is_private: bool, name: str, of: str) -> bool:
        if name.startswith("__") or name in _NAMED_TUPLES or of in ("os", "sys"):
            return False
        if of in ("self", "super()"):
            is_theirs = self._own is not None and name not in self._own
            used = is_theirs and (_is_private(name) or self._is_internal)
        else:
            used = (_is_private(name) or is_private) and name not in self._functions | _PUBLIC
        if used:
            self._found.add(name)
        return used


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _calls(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _assigned(function: ast.AST) -> Iterator[ast.expr]:
    for part in ast.walk(function):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                yield from (found for found in ast.walk(target) if isinstance(found, ast.expr))
        elif isinstance(part, ast.AnnAssign):
            yield part.target
