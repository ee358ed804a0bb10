"""The figures of one run and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from benchmarks.machine import Usage

HEADINGS = ("workload", "throughput", "p50", "p99", "server CPU", "server", "load", "others")
WIDTHS = (46, 20, 11, 11, 24, 7, 6, 6)


@dataclass(frozen=True)
class Target:
    """A figure beside what it should be; missing it is told, never an error: clocks differ by machine."""

    what: str
    figure: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Tell whether it is as it should be."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        verdict = "met" if self.met else "NOT MET"
        figure = f"{self.figure:,.0f}" if self.figure >= 1000 else f"{self.figure:.2f}"
        return f"{verdict:>7}  {figure:>8} {sign} {self.bound:,g} {self.unit}".ljust(34) + self.what


@dataclass(frozen=True)
class Result:
    """One row: what was done, how much of it a second, how long each took, and what it cost."""

    workload: str
    throughput: str
    latencies: Iterable[float]
    cost: str
    usage: Usage
    targets: list[Target] = field(default_factory=list)
    parts: Mapping[str, Iterable[float]] = field(default_factory=dict)
    """Seconds of each, by kind, where several kinds of things were done."""
    curve: Curve | None = None

    def figures(self) -> dict[str, object]:
        """Return what is kept of it: times in milliseconds, CPU as seconds of the server's."""
        ordered = sorted(self.latencies)
        times = shares_of(ordered)
        return {
            "workload": self.workload,
            "throughput": self.throughput,
            "cost": self.cost,
            **times,
            "wall": self.usage.wall,
            "cpu": self.usage.server,
            "others": self.usage.others / self.usage.wall,
            "missed": [str(t) for t in self.targets if not t.met],
            "parts": {kind: shares_of(sorted(took)) for kind, took in self.parts.items()},
            "curve": asdict(self.curve) if self.curve else None,
        }

    def row(self) -> str:
        """Return the row of the table; the last three columns are percent of one core."""
        ordered = sorted(self.latencies)
        middle, late = (milliseconds(percentile(ordered, share)) if ordered else "-" for share in (0.5, 0.99))
        usage = self.usage
        shares = [f"{100 * part / usage.wall:.0f} %" for part in (usage.server, usage.load, usage.others)]
        row = table_row((self.workload, self.throughput, middle, late, self.cost, *shares))
        return "\n".join([row, *self._details()])

    def _details(self) -> Iterator[str]:
        for kind, took in self.parts.items():
            told = shares_of(sorted(took))
            count = told.pop("count")
            yield f"    {kind:<24}{count:>8,.0f}  " + ", ".join(f"{k} {v:.2f} ms" for k, v in told.items())
        for at, figures in self.curve.points.items() if self.curve else ():
            yield f"    {at:>9,} " + "; ".join(f"{what} {brief(figure)}" for what, figure in figures.items())


@dataclass(frozen=True)
class Curve:
    """How costs grow: under each number of something, what was measured, by names that end with the unit."""

    title: str
    axis: str
    points: Mapping[int, Mapping[str, float]]

    def result(self, usage: Usage) -> Result:
        """Return the row of it; `usage` is that of the last point."""
        least, most = min(self.points), max(self.points)
        return Result(f"growth: {self.title}", f"{least:,} to {most:,}", [], self.axis, usage, curve=self)


def percentile(ordered: list[float], share: float) -> float:
    """Return the smallest value that `share` of the values do not exceed; `ordered` is not empty."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def shares_of(ordered: list[float]) -> dict[str, float]:
    """Return how many there are, and their percentiles in milliseconds; `ordered` may be empty."""
    times = {f"p{share * 100:g}": percentile(ordered, share) * 1000 for share in (0.5, 0.99, 0.999) if ordered}
    return {"count": len(ordered), **times}


def brief(figure: float) -> str:
    """Write a figure with three digits or so."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def milliseconds(seconds: float) -> str:
    """Write a duration in milliseconds."""
    return f"{seconds * 1000:.2f} ms"


def table_row(cells: Iterable[str]) -> str:
    """Write one row of a Markdown table."""
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)) + " |"


def heading() -> str:
    """Return the head of the table."""
    return table_row(HEADINGS) + "\n|" + "|".join("-" * (width + 2) for width in WIDTHS) + "|"
