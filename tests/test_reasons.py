"""No sentence ends with a colon and nothing: what an exception says is taken by `said`, as many say nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.floors import ROOT, modules

SPEAKING = frozenset({
    "RelayError", "Disconnect", "SettingsError", "Unusable", "BadHead", "NoSample", "ControlError", "StorageError",
    "StorageInUse", "StorageFailed", "StorageBroken", "TlsProblem", "CannotListen", "NothingToServe", "UnicodeError",
    "msgspec.DecodeError", "msgspec.ValidationError", "msgspec.MsgspecError", "RecursionError", "sqlite3.Error",
    "UnicodeDecodeError", "UnicodeEncodeError", "ValueError", "TypeError", "KeyError", "JoseError", "TOMLKitError", "Gone", "Failed",
    "CallFailed", "Unreachable", "BadCertificate", "re.error", "tomllib.TOMLDecodeError", "SyntaxError",
})  # fmt: skip
"""Exceptions that always have a text: relay's own, and those of parsers."""


def silent(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler catches an exception that may say nothing."""
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) not in SPEAKING for kind in types)


def bare(node: ast.AST, name: str) -> bool:
    """Tell whether an expression is an exception as it is, or its `str`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args:
        return bare(node.args[0], name)
    if isinstance(node, ast.BoolOp):  # exceptions are never false: `error or "a text"` is the exception
        return any(bare(value, name) for value in node.values)
    return isinstance(node, ast.Name) and node.id == name


def spoken(handler: ast.ExceptHandler, name: str) -> Iterator[int]:
    """Yield the lines that put the exception into a text."""
    for node in ast.walk(handler):
        if isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue) and part.conversion == -1 and bare(part.value, name):
                    yield node.lineno
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and "log" in ast.unparse(node.func.value)
            and "%r" not in ast.unparse(node.args[0])
        ):
            for argument in node.args[1:]:
                if bare(argument, name):
                    yield node.lineno


def test_no_text_ends_with_the_reason_of_an_exception_that_may_have_none() -> None:
    found = []
    for folder in ("relay", "plugins"):
        for path in modules(folder).values():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ExceptHandler) and node.name and silent(node):
                    place = path.relative_to(ROOT)
                    kinds = "" if node.type is None else ast.unparse(node.type)
                    found += [f"{place}:{line}: {kinds}" for line in spoken(node, node.name)]
    assert not found, "use said(error):\n" + "\n".join(found)
