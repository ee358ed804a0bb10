"""Reads scenarios, and compares frames with what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SCENARIOS = sorted(FOLDER.glob("*.json"))
EARLIEST = 1_600_000_000.0

Step = dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    scenario: dict[str, Any] = json.loads(path.read_text())
    return scenario


class Names:
    """What the names in angles stand for, as far as it is known."""

    def __init__(self, **known: Any) -> None:
        self.known: dict[str, Any] = known

    def fill(self, value: Any, now: float) -> Any:
        """Put in what the names stand for."""
        if isinstance(value, dict):
            return {name: self.fill(one, now) for name, one in value.items()}
        if isinstance(value, list):
            return [self.fill(one, now) for one in value]
        name = _name(value)
        if name is None:
            return value
        return now if name == "time" else self.known[name]

    def differences(self, expected: Any, actual: Any, where: str = "") -> list[str]:
        """Tell where an actual value is not the expected one; names met for the first time are taken as they are."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            named = sorted(expected.keys() | actual.keys())
            absent = object()
            pairs = [(f"{where}.{name}", expected.get(name, absent), actual.get(name, absent)) for name in named]
            return [difference for path, one, other in pairs for difference in self.differences(one, other, path)]
        if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
            pairs = [
                (f"{where}[{number}]", one, other)
                for number, (one, other) in enumerate(zip(expected, actual, strict=True))
            ]
            return [difference for path, one, other in pairs for difference in self.differences(one, other, path)]
        return [] if self._agrees(expected, actual) else [f"{where}: expected {expected!r}, got {actual!r}"]

    def _agrees(self, expected: Any, actual: Any) -> bool:
        name = _name(expected)
        if name is None:
            return type(expected) is type(actual) and bool(expected == actual)
        if name == "time":
            return isinstance(actual, float) and actual > EARLIEST
        if name == "text":
            return isinstance(actual, str) and actual != ""
        return bool(self.known.setdefault(name, actual) == actual)


def _name(value: Any) -> str | None:
    return value[1:-1] if isinstance(value, str) and value.startswith("<") and value.endswith(">") else None
