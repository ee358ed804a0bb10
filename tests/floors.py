"""The import graph of relay and the bundled plugins: `make floors` prints it, `tests/test_floor_plan.py` holds its laws.

An import for type checkers alone counts as well: a reader follows it like any other.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [
    "protocol", "settings", "wakeup", "storage", "services", "plugin", "http", "engine", "transports", "cluster", "app", "cli",
]  # fmt: skip
"""From the ground up: a floor imports itself and those before it."""

BESIDE = {"client": {"protocol"}, "testing": set(FLOORS[:-2])}
"""What stands beside the floors, and what it may import."""

CONTRACT = ("relay.plugin", "relay.http", "relay.testing")
"""All that a bundled plugin may import from relay, each name from the package itself."""


class Import(NamedTuple):
    """One import of one name.

    Attributes:
        module: what is imported from, as it is written, with dots resolved.
        name: the imported name; "" for `import module`.
    """

    path: Path
    line: int
    module: str
    name: str

    @property
    def place(self) -> str:
        """File and line, to go to."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def modules(*folders: str) -> dict[str, Path]:
    """Return the modules in folders of the tree by their dotted names."""
    found = {}
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Return what a file imports, wherever in it: at the top, in functions, for type checkers."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            for alias in node.names:
                yield Import(path, node.lineno, module, alias.name)


def graph(*folders: str) -> dict[str, dict[str, Import]]:
    """Return, for each module, the modules of the same folders that it imports, with one import of each."""
    known = modules(*folders)
    edges: dict[str, dict[str, Import]] = {name: {} for name in known}
    for name, path in known.items():
        for found in imports(path):
            full = f"{found.module}.{found.name}"
            target = full if full in known else found.module
            if target in known and target != name:
                edges[name].setdefault(target, found)
    return edges


def circle(edges: dict[str, dict[str, Import]]) -> list[Import]:
    """Return the imports that lead around a circle of files; none where there is no circle."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as found:
        around: list[str] = found.args[1]  # each imports the one before it
        return [edges[module][target] for target, module in pairwise(around)][::-1]
    return []


def floor_of(module: str) -> str | None:
    """Return the floor of a module of relay's: its first folder, or the file's own name."""
    parts = module.split(".")
    return parts[1] if parts[0] == "relay" and len(parts) > 1 else None


def arrows_up() -> Iterator[Import]:
    """Yield the imports that go to a floor above, or from what stands beside to what it may not know."""
    for name, path in modules("relay").items():
        own = floor_of(name)
        if own is None or own == "__main__":
            continue
        allowed = BESIDE.get(own) or set(FLOORS[: FLOORS.index(own)]) | ({"client"} if own == "cli" else set())
        for found in imports(path):
            floor = floor_of(f"{found.module}.{found.name}" if found.module == "relay" else found.module)
            if floor in {*FLOORS, *BESIDE} and floor != own and floor not in allowed:
                yield found


def outside_the_contract() -> Iterator[Import]:
    """Yield what bundled plugins import from relay otherwise than from the author's contract."""
    for path in modules("plugins").values():
        for found in imports(path):
            if found.module.split(".")[0] == "relay" and (found.module not in CONTRACT or not found.name):
                yield found


def reached_services(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where code reaches for relay's services past the author's contract: `….services`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("services", "_services"):
            yield node.lineno


def past_the_contract() -> Iterator[str]:
    """Yield where bundled plugins reach for relay's services, as places to go to."""
    for path in modules("plugins").values():
        for line in reached_services(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{line}"


def _text() -> Iterator[str]:
    named = modules("relay")
    edges = graph("relay")
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in named.items()}
    yield f"{'floor':<12}{'files':>6}{'lines':>8}  imports, by files"
    for floor in [*reversed(FLOORS), *BESIDE]:
        own = [name for name in named if floor_of(name) == floor]
        below = Counter(
            other
            for name in own
            for other in {floor_of(target) for target in edges[name]}
            if other not in {floor, None}
        )
        shown = ", ".join(f"{other} {count}" for other, count in below.most_common())
        yield f"{floor:<12}{len(own):>6}{sum(lines[name] for name in own):>8}  {shown}"
    yield ""
    around = circle(graph("relay", "plugins"))
    yield f"circles of files in relay/ and plugins/: {'one at least' if around else 0}"
    yield from (f"  {step.place} imports {step.module}" for step in around)
    up = list(arrows_up())
    yield f"arrows up: {len(up)}"
    yield from (f"  {step.place} imports {step.module}" for step in up)
    yield ""
    counted = Counter(
        found.module
        for path in modules("plugins").values()
        for found in imports(path)
        if found.module.split(".")[0] == "relay"
    )
    yield "names that bundled plugins import from relay, by package:"
    yield from (f"  {count:>4}  {module}" for module, count in counted.most_common())
    outside = list(outside_the_contract())
    yield f"outside the contract: {len(outside)}"
    yield from (f"  {step.place} imports {step.name or step.module} from {step.module}" for step in outside)
    past = list(past_the_contract())
    yield f"uses of relay's services in bundled plugins: {len(past)}"
    yield from (f"  {place}" for place in past)


def _dot() -> Iterator[str]:
    edges = graph("relay")
    yield "digraph relay {"
    yield '  rankdir=BT; node [shape=box, fontname="sans-serif", fontsize=10];'
    for number, floor in enumerate([*FLOORS, *BESIDE]):
        yield f"  subgraph cluster_{number} {{ label={floor};"
        yield from (f'    "{name}" [label="{name.split(".")[-1]}"];' for name in edges if floor_of(name) == floor)
        yield "  }"
    for name, targets in edges.items():
        yield from (f'  "{name}" -> "{target}";' for target in targets if floor_of(name) and floor_of(target))
    yield "}"


def main() -> int:
    """Print the graph; return 1 where a law is broken."""
    parser = argparse.ArgumentParser(prog="make floors", description="Print the import graph of relay.")
    parser.add_argument("--dot", action="store_true", help="every file and import, for Graphviz")
    for line in _dot() if parser.parse_args().dot else _text():
        print(line)
    return int(
        bool(
            circle(graph("relay", "plugins"))
            or any(arrows_up())
            or any(outside_the_contract())
            or any(past_the_contract())
        )
    )


if __name__ == "__main__":
    sys.exit(main())
