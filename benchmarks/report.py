"""The figures of one run and how they are printed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

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

    def figures(self) -> dict[str, object]:
        """Return what is kept of it: times in milliseconds, CPU as seconds of the server's."""
        ordered = sorted(self.latencies)
        times = {f"p{share * 100:g}": percentile(ordered, share) * 1000 for share in (0.5, 0.99, 0.999) if ordered}
        told = {"workload": self.workload, "throughput": self.throughput, "cost": self.cost, **times}
        return {
            **told,
            "wall": self.usage.wall,
            "cpu": self.usage.server,
            "missed": [str(t) for t in self.targets if not t.met],
        }

    def row(self) -> str:
        """Return the row of the table; the last three columns are percent of one core."""
        ordered = sorted(self.latencies)
        middle, late = (milliseconds(percentile(ordered, share)) if ordered else "-" for share in (0.5, 0.99))
        usage = self.usage
        shares = [f"{100 * part / usage.wall:.0f} %" for part in (usage.server, usage.load, usage.others)]
        return table_row((self.workload, self.throughput, middle, late, self.cost, *shares))


def percentile(ordered: list[float], share: float) -> float:
    """Return the smallest value that `share` of the values do not exceed; `ordered` is not empty."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def milliseconds(seconds: float) -> str:
    """Write a duration in milliseconds."""
    return f"{seconds * 1000:.2f} ms"


def table_row(cells: Iterable[str]) -> str:
    """Write one row of a Markdown table."""
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)) + " |"


def heading() -> str:
    """Return the head of the table."""
    return table_row(HEADINGS) + "\n|" + "|".join("-" * (width + 2) for width in WIDTHS) + "|"
