"""The contract of plugin authors: the bundled plugins keep to it, and it holds no name twice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import relay.http
import relay.plugin

ROOT = Path(__file__).parents[2]
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_bundled_plugin_imports_what_every_plugin_may(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.split(".")[0] == "relay"]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "relay":
            assert node.module in ("relay.plugin", "relay.http"), f"{path}:{node.lineno}"
            package = relay.plugin if node.module == "relay.plugin" else relay.http
            assert {alias.name for alias in node.names} <= set(package.__all__)


@pytest.mark.parametrize("package", [relay.plugin, relay.http])
def test_each_name_of_the_contract_is_there_once(package: object) -> None:
    names: list[str] = package.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    assert all(hasattr(package, name) for name in names)


def test_no_name_is_in_both_packages() -> None:
    assert not set(relay.plugin.__all__) & set(relay.http.__all__)
