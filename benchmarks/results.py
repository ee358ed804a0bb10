"""Writes `benchmarks/RESULTS.md` and its plots from figures that were measured: `python -m benchmarks.results`.

python -m benchmarks --all --json build/workloads.json
python -m benchmarks.peers --json build/peers.json
python -m benchmarks.results build/workloads.json build/peers.json
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

PLACE = Path(__file__).parent
DURABLE = ("relay", "websockets and SQLite", "Prosody", "ejabberd")
"""The servers that store a message on disk, or hand it to what does, before they confirm it."""
STORED, OTHER = "#2f6fde", "#9aa4b2"

Servers = Mapping[str, Mapping[str, Any]]


@click.command()
@click.argument("workloads", type=click.Path(exists=True, path_type=Path))
@click.argument("peers", type=click.Path(exists=True, path_type=Path))
def main(workloads: Path, peers: Path) -> None:
    """Write RESULTS.md from the figures in WORKLOADS and PEERS."""
    own, others = (msgspec.json.decode(path.read_bytes()) for path in (workloads, peers))
    plot(others["servers"])
    lines = ["# Results", "", *_top(own["machine"]), *_own(own["workloads"]), *_peers(others)]
    (PLACE / "RESULTS.md").write_text("\n".join(lines) + "\n")


def _top(machine: str) -> Iterator[str]:
    yield "Measured by the commands of [results.py](results.py), one after the other, with nothing else at work:"
    yield ""
    yield from (f"    {line}" for line in machine.splitlines())
    yield ""
    yield "Load and server share the two cores. CPU is that of all threads of the server."
    yield ""


def _own(workloads: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "## relay"
    yield ""
    yield "| workload | throughput | p50 | p99 | p99.9 | CPU, or what else it cost |"
    yield "|---|---|---|---|---|---|"
    for figures in workloads.values():
        times = " | ".join(_milliseconds(figures.get(name)) for name in ("p50", "p99", "p99.9"))
        yield f"| {figures['workload']} | {figures['throughput']} | {times} | {figures['cost']} |"
    missed = [target for figures in workloads.values() for target in figures["missed"]]
    yield ""
    yield "Every target was met." if not missed else "Targets that were missed:"
    yield ""
    yield from (f"    {target}" for target in missed)


def _peers(others: Mapping[str, Any]) -> Iterator[str]:
    servers: Servers = others["servers"]
    yield "## Beside other servers"
    yield ""
    yield (
        "50 senders, 50 readers, 16 messages of each sender in flight, 200 bytes of text; then one sender who "
        "waits for each ack. Each with the configuration in [peers](peers), in the same run. They do not promise "
        "the same: what a sender knows once its message is confirmed stands beside the figures."
    )
    yield ""
    yield "![CPU of a message, and messages a second](results.svg)"
    yield ""
    yield "| server | CPU a message | messages/s | ack p50, p99 | alone: ack p50 | memory | its ack means |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in servers.items():
        middle, late = one["ack"]
        yield (
            f"| {name} {one['version']} | {one['cpu']:.1f} µs | {one['rate']:,.0f} | {middle:.1f}, {late:.1f} ms "
            f"| {one['alone']:.2f} ms | {one['memory']:.0f} MiB | {one['promise']} |"
        )
    yield ""
    yield from _compared(servers)


def _compared(servers: Servers) -> Iterator[str]:
    """Say what relay's CPU of a message is beside each other's."""
    if "relay" not in servers:
        return
    own = servers["relay"]["cpu"]
    for name, one in servers.items():
        if name == "relay":
            continue
        more = one["cpu"] / own
        said = f"{more:.1f} times relay's" if more >= 1 else f"{more:.0%} of relay's"
        yield f"- {name}: the CPU of a message is {said}" + (
            "." if name in DURABLE else "; it stores nothing first."
        )


def _milliseconds(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f} ms"


def plot(servers: Servers) -> None:
    """Draw the CPU of a message and the messages a second of each server, as `results.svg`."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "relay"  # the same figures give the same file
    from matplotlib import patches, pyplot

    names = list(reversed(list(servers)))
    colours = [STORED if name in DURABLE else OTHER for name in names]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 0.5 * len(names) + 1.4), sharey=True)
    for axis, key, title in (
        (axes[0], "cpu", "CPU of a message, µs (less is better)"),
        (axes[1], "rate", "messages a second (more is better)"),
    ):
        _bars(axis, names, [servers[name][key] for name in names], colours)
        axis.set_title(title, fontsize=10)
    axes[0].legend(
        handles=[patches.Patch(color=STORED), patches.Patch(color=OTHER)],
        labels=["stores before it confirms", "confirms from memory"],
        fontsize=8,
        loc="lower right",
    )
    figure.tight_layout()
    figure.savefig(PLACE / "results.svg", metadata={"Date": None})


def _bars(axis: Any, names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> None:
    bars = axis.barh(names, values, color=colours)
    axis.bar_label(bars, fmt=lambda value: f"{value:,.0f}", padding=3, fontsize=9)
    axis.set_xscale("log")
    axis.margins(x=0.15)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
