"""The imports of the JavaScript files: themselves and the platform, and no circle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import relay

WEB = Path(relay.__file__).parent / "web"
STATIC = re.compile(r"""^(?:import|export)\s(?:[^;"]*?\sfrom\s)?"(?P<name>[^"]+)";""", re.MULTILINE)
LAZY = re.compile(r"""\bimport\("(?P<name>[^"]+)"\)(?!\.[A-Z])""")
TYPES = re.compile(r"""@import\s[^"]*?from\s+"(?P<name>[^"]+)"|\bimport\("(?P<typed>[^"]+)"\)\.[A-Z]""")

Imports = dict[Path, dict[Path, int]]
"""The files that each file imports, with the line."""


def named(path: Path, *patterns: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Yield each name that a file imports, with the line."""
    source = path.read_text(encoding="utf-8")
    for pattern in patterns:
        for found in pattern.finditer(source):
            group = found.lastgroup or "name"
            yield found[group], source.count("\n", 0, found.start(group)) + 1


def imports(folder: Path, *, types: bool = False) -> Imports:
    """Return the static imports of every file in a folder, and with `types` those of JSDoc types; lazy ones never count."""
    found: Imports = {}
    for path in sorted(folder.rglob("*.js")):
        names = named(path, STATIC, TYPES) if types else named(path, STATIC)
        found[path] = {(path.parent / name).resolve(): line for name, line in names if name.startswith(".")}
    return found


def circle(graph: Imports) -> list[Path]:
    """Return files of which each imports the next, and the last the first; empty where there is no such circle."""
    done: set[Path] = set()

    def walk(path: Path, way: list[Path]) -> list[Path]:
        if path in way:
            return way[way.index(path) :]
        if path in done:
            return []
        for target in graph.get(path, {}):
            if found := walk(target, [*way, path]):
                return found
        done.add(path)
        return []

    return next((found for path in graph if (found := walk(path, []))), [])


def lines_of(graph: Imports, way: list[Path]) -> str:
    """Return each import of a circle as `file:line imports file`."""
    pairs = zip(way, [*way[1:], *way[:1]], strict=True)
    return "\n".join(f"{one}:{graph[one][other]} imports {other}" for one, other in pairs)


@pytest.mark.parametrize(("folder", "types"), [("", False), ("sdk", True)])
def test_no_import_leads_back_to_its_file(folder: str, types: bool) -> None:
    graph = imports(WEB / folder, types=types)
    assert len(graph) > 50
    assert not (way := circle(graph)), lines_of(graph, way)


def test_a_circle_is_found_and_named_by_its_lines(tmp_path: Path) -> None:
    (tmp_path / "one.js").write_text('import {\n  two,\n} from "./two.js";\n')
    (tmp_path / "two.js").write_text('/** @import { Three } from "./three.js" */\nexport * from "./lazy.js";\n')
    (tmp_path / "three.js").write_text('export { one } from "./one.js";\n')
    (tmp_path / "lazy.js").write_text('const one = () => import("./one.js");\n')
    assert circle(imports(tmp_path)) == []
    graph = imports(tmp_path, types=True)
    assert lines_of(graph, circle(graph)).splitlines() == [
        f"{tmp_path / 'one.js'}:3 imports {tmp_path / 'two.js'}",
        f"{tmp_path / 'two.js'}:1 imports {tmp_path / 'three.js'}",
        f"{tmp_path / 'three.js'}:1 imports {tmp_path / 'one.js'}",
    ]


def test_the_sdk_imports_itself_and_the_platform_and_nothing_else() -> None:
    for path in (WEB / "sdk").rglob("*.js"):
        for name, line in named(path, STATIC, LAZY):
            assert name.startswith((".", "node:")), f"{path}:{line} imports {name}"
