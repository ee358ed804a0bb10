"""Writes `benchmarks/RESULTS.md` and its plots from figures that were measured: `make results` does all of it.

python -m benchmarks --all --json build/workloads.json
python -m benchmarks.peers --json build/peers.json
python -m benchmarks.results build/workloads.json build/peers.json

Every sentence about a figure is made from the figure. What was not measured, or failed, is named and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks import plots
from benchmarks.__main__ import WORKLOADS
from benchmarks.peers.measuring import PACE
from benchmarks.peers.peer import IN_MEMORY, ON_DISK, ON_ITS_WAY
from benchmarks.report import brief

PLACE = Path(__file__).parent
KEPT = (ON_DISK, ON_ITS_WAY, IN_MEMORY)
BUSY, DISTURBED = 0.9, 0.15
"""Shares of a core: a load that takes so much was the limit itself; other work that takes so much is told."""
ALIKE = 0.1
"""A difference of a tenth is none: so much one run differs from the next."""

Workloads = Mapping[str, Mapping[str, Any]]
Servers = Mapping[str, Mapping[str, Any]]


@click.command()
@click.argument("workloads", type=click.Path(path_type=Path))
@click.argument("peers", type=click.Path(path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path), default=PLACE, help="Write there.")
def main(workloads: Path, peers: Path, folder: Path) -> None:
    """Write RESULTS.md from the figures in WORKLOADS and PEERS; one of the two may be missing."""
    own, others = (msgspec.json.decode(path.read_bytes()) if path.exists() else {} for path in (workloads, peers))
    if not own and not others:
        raise click.ClickException(f"neither {workloads} nor {peers} is there: run `make results`")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Results", "", *top(own.get("machine") or others["machine"])]
    if own:
        lines += [
            *table(own["workloads"], own["failed"]),
            *mixed(own["workloads"]),
            *growth(own["workloads"], folder),
        ]
    if others:
        lines += compared(others, folder)
    file = folder / "RESULTS.md"
    file.write_text("\n".join(lines).rstrip() + "\n")
    click.echo(f"written: {file}")


def top(machine: str) -> Iterator[str]:
    """Say where it was measured, and how."""
    yield "`make results` measured this and wrote this page, one workload after the other, on:"
    yield ""
    yield from (f"    {line}" for line in machine.splitlines())
    yield ""
    yield (
        "Load and server share the cores. CPU is that of all threads of the server, by the system's books. "
        "What each workload is, and what a run checks of every message, is in "
        "[performance.md](../docs/topics/performance.md)."
    )
    yield ""


def table(workloads: Workloads, failed: Sequence[str]) -> Iterator[str]:
    """Tell what each workload showed, and what was missed."""
    yield from ("## relay", "")
    yield "| workload | throughput | p50 | p99 | p99.9 | CPU, or what else it cost |"
    yield "|---|---|---|---|---|---|"
    for one in workloads.values():
        if not one["curve"] or one["count"]:
            times = " | ".join(_milliseconds(one.get(name)) for name in ("p50", "p99", "p99.9"))
            yield f"| {one['workload']} | {one['throughput']} | {times} | {one['cost']} |"
    yield ""
    missed = [target for one in workloads.values() for target in one["missed"]]
    yield "Of its targets it missed:" if missed else "Every target was met."
    yield ""
    yield from (f"    {' '.join(target.split()).removeprefix('NOT MET ')}" for target in missed)
    yield from ([""] if missed else [])
    yield from ((f"Failed, and left out: {', '.join(failed)}.", "") if failed else ())
    absent = [name for name in WORKLOADS if name not in workloads and name not in failed]
    yield from ((f"Not measured in this run: {', '.join(absent)}.", "") if absent else ())
    disturbed = {name: one["others"] for name, one in workloads.items() if one["others"] > DISTURBED}
    if disturbed:
        most = max(disturbed.values())
        yield (
            f"The machine had other work, up to {most:.0%} of a core, during: {', '.join(disturbed)}. "
            "Their times are too long."
        )
        yield ""


def mixed(workloads: Workloads) -> Iterator[str]:
    """Tell what mixed traffic showed, kind by kind."""
    if (one := workloads.get("mixed")) is None:
        return
    yield from ("## Mixed traffic at a fixed rate", "")
    yield (
        f"{one['workload'].capitalize()}, with messages of a year in the database. An open loop: what "
        "is due is done when it is due, whatever still waits, and its time counts from that moment, so that a "
        "server that stands still for a while cannot hide it."
    )
    yield ""
    yield from ("| what | count | p50 | p99 | p99.9 |", "|---|---|---|---|---|")
    for kind, took in one["parts"].items():
        times = " | ".join(_milliseconds(took.get(name)) for name in ("p50", "p99", "p99.9"))
        yield f"| {kind} | {took['count']:,} | {times} |"
    yield ""
    yield "Messages, edits, reactions and typing count until they arrive, for each receiver. With fewer than 1,000"
    yield "of a kind its p99.9 is the slowest."
    yield ""


def growth(workloads: Workloads, folder: Path) -> Iterator[str]:
    """Draw how costs grow, and tell it."""
    curves = {name: one["curve"] for name, one in workloads.items() if one["curve"]}
    if curves:
        yield from ("## How it grows", "")
    for name, curve in curves.items():
        points = {int(number): figures for number, figures in curve["points"].items()}
        picture = f"plots/{name}.svg"
        plots.lines(folder / picture, curve["axis"], points)
        least, most = min(points), max(points)
        yield from (f"### {curve['title'].capitalize()}", "", f"![{curve['title']}]({picture})", "")
        told = [_grown(what, points[least][what], points[most][what]) for what in points[least]]
        yield f"From {least:,} to {most:,}, which is {most / least:,.0f} times as many: {'; '.join(told)}."
        yield ""


def _grown(what: str, first: float, last: float) -> str:
    name, _, unit = what.rpartition(", ")
    name, unit = (name, f" {unit}") if name else (unit, "")
    times = last / first if first else 0
    change = (
        "the same" if abs(times - 1) <= ALIKE else f"{times:.2g} times" if times < 100 else f"{times:,.0f} times"
    )
    return f"{name} {brief(first)}{unit} → {brief(last)}{unit} ({change})"


def compared(others: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Tell what other servers showed beside relay."""
    servers: Servers = others["servers"]
    yield from ("## Beside other servers", "")
    yield (
        "In one run, one server after the other, each with the configuration in [peers](peers): 50 senders with a "
        "reader each, 16 messages of each sender in flight; then a group of 200 in which 5 write, 16 in flight, "
        "and all read; 200 bytes of text. *Alone* is the median ack of one sender who waits for each, and *paced* "
        f"is {PACE} messages a second of all senders, evenly spaced: p50 of the ack, and CPU of a message. Each "
        "message was checked: it came to each receiver once, in its sender's order."
    )
    yield ""
    yield from (f"- {left}" for left in others["left_out"])
    yield from ([""] if others["left_out"] else [])
    if not servers:
        return
    columns = {
        "CPU of a message, µs (less is better)": _each(servers, _message),
        "CPU of a delivery to 200, µs (less is better)": _each(servers, _delivery),
        "messages a second (more is better)": _each(servers, lambda one: float(one["pairs"]["rate"])),
    }
    kinds = {name: one["keeps"] for name, one in servers.items()}
    plots.dots(folder / "plots/peers.svg", columns, kinds, [kept for kept in KEPT if kept in kinds.values()])
    yield from ("![CPU of a message, of a delivery, and messages a second](plots/peers.svg)", "")
    yield (
        "| server | CPU a message | messages/s | ack p50, p99 | alone | paced | memory "
        "| CPU a delivery | deliveries/s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from (_row(name, one) for name, one in servers.items())
    yield ""
    limited = [name for name, one in servers.items() if max(one["pairs"]["busy"], one["room"]["busy"]) > BUSY]
    if limited:
        yield f"The load was at its limit beside {', '.join(limited)}: they can do more a second than this says."
        yield ""
    yield from ("What a sender knows once a message is confirmed:", "")
    for name, one in servers.items():
        in_group = f"; in a group: {one['room_promise']}" if one["room_promise"] else ""
        yield f"- **{name}**: {one['promise']}{in_group}."
    yield ""
    if "relay" in servers and len(servers) > 1:
        yield from ("### What that says", "")
        yield from _reading(servers, "CPU of a message", "µs", _message)
        yield from _reading(servers, f"Median ack at {PACE} messages a second", "ms", _paced)
        yield from _reading(servers, "CPU of a delivery in a group of 200", "µs", _delivery)


def _message(one: Mapping[str, Any]) -> float:
    return float(one["pairs"]["cpu"][0])


def _paced(one: Mapping[str, Any]) -> float:
    return float(one["paced"]["ack"][0])


def _delivery(one: Mapping[str, Any]) -> float:
    return float(one["room"]["cpu"][1])


def _each(servers: Servers, figure: Callable[[Mapping[str, Any]], float]) -> dict[str, float]:
    return {name: figure(one) for name, one in servers.items()}


def _row(name: str, one: Mapping[str, Any]) -> str:
    pairs, many = one["pairs"], one["room"]["deliveries"]
    middle, late = pairs["ack"]
    paced = f"{one['paced']['ack'][0]:.2f} ms, {one['paced']['cpu']:,.0f} µs"
    return (
        f"| {name} {one['version']} | {_message(one):.1f} µs | {pairs['rate']:,.0f} | {middle:.1f}, {late:.1f} ms "
        f"| {one['alone']:.2f} ms | {paced} | {pairs['memory']:.0f} MiB | {_delivery(one):.2f} µs | {many:,.0f} |"
    )


def _reading(
    servers: Servers, what: str, unit: str, figure: Callable[[Mapping[str, Any]], float]
) -> Iterator[str]:
    """Say whom relay is ahead of and by how much, whom it is behind, and why."""
    own = figure(servers["relay"])
    times = {name: figure(one) / own for name, one in servers.items() if name != "relay"}
    kept = {name: one["keeps"] for name, one in servers.items()}
    ahead = {name: more for name, more in times.items() if more > 1 + ALIKE}
    behind = {name: more for name, more in times.items() if more < 1 / (1 + ALIKE)}
    alike = [name for name in times if name not in ahead and name not in behind]
    yield f"**{what}**: {own:.2f} {unit}."
    yield ""
    if ahead:
        told = [f"{name} ({kept[name]}) takes {more:.1f} times as much" for name, more in ahead.items()]
        yield f"- Ahead of {len(ahead)} of {len(times)}: {'; '.join(told)}."
    if alike:
        yield f"- Like {', '.join(alike)}: the difference is within a tenth."
    for name, more in behind.items():
        one = servers[name]
        yield f"- Behind {name}, which takes {more:.0%} of that: {one['keeps']}; {one['why']}."
    stores = [name for name, one in servers.items() if name != "relay" and one["keeps"] != IN_MEMORY]
    if stores and all(name in ahead for name in stores):
        yield f"- Ahead of every server here that stores what it confirms: {', '.join(stores)}."
    yield ""


def _milliseconds(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f} ms"


if __name__ == "__main__":
    main()
