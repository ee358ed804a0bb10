"""Runs relay's benchmarks: `python -m benchmarks`."""

import gc
import resource
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click
import msgspec

from benchmarks.connections import idle, many_idle, resume
from benchmarks.curves import accounts, connections, conversations, groups
from benchmarks.growth import alone, million, storm
from benchmarks.machine import describe, filesystem
from benchmarks.mixed import mixed, rates
from benchmarks.report import Result, heading
from benchmarks.retention import retention
from benchmarks.search import search
from benchmarks.server import FAILURES, end_cleanly, scratch
from benchmarks.workloads import Scale, direct, group, paced

WORKLOADS: dict[str, tuple[Callable[[Scale], Result], int]] = {
    "direct": (direct, 14),
    "paced": (paced, 13),
    "group": (group, 14),
    "idle": (idle, 20),
    "resume": (resume, 8),
    "alone": (alone, 14),
    "small-group": (partial(group, members=10), 14),
    "large-group": (partial(group, members=2000), 20),
    "mixed": (mixed, 60),
    "many-idle": (many_idle, 30),
    "storm": (storm, 20),
    "long-resume": (partial(resume, missed=99_000), 20),
    "million": (million, 260),
    "search": (search, 160),
    "retention": (retention, 120),
    "growth-rate": (rates, 55),
    "growth-accounts": (accounts, 60),
    "growth-connections": (connections, 45),
    "growth-conversations": (conversations, 50),
    "growth-groups": (groups, 45),
}
"""Each with the seconds that it takes, about, on two quiet cores."""
BY_DEFAULT = ("direct", "paced", "group", "idle", "resume")
"""About a minute together. The others take longer, and run when they are asked for."""
QUICKER = 4
"""Times that a quick run takes less."""

FILES = 16_384


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(WORKLOADS)),
    help="Run this; repeatable. Those behind `resume` run only so.",
)
@click.option("--all", "everything", is_flag=True, help="Run everything; a quarter of an hour.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=8, help="Length of each measured window.")
@click.option("--quick", is_flag=True, help="Short windows and 500 idle connections: correct, but rough.")
@click.option("--profile", type=click.Path(path_type=Path), help="Folder for cProfile files of the server.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here as well.")
def main(
    only: tuple[str, ...], everything: bool, seconds: float, quick: bool, profile: Path | None, file: Path | None
) -> None:
    """Measure a relay server on this machine's disk, over loopback.

    Missing a target is printed; only a message lost, doubled, altered or out of order makes the exit code 1.
    """
    end_cleanly()
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, open_files), open_files))
    if filesystem(Path.cwd()) in ("tmpfs", "ramfs"):
        raise click.ClickException("the current directory is in memory: run where a real disk is")
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
        click.echo("Under the profiler: the figures below are no measure.")
    scale = Scale(1, 0.5, 500, 5, profile) if quick else Scale(seconds, 1, 5000, 20, profile)
    with scratch() as folder:
        machine = describe(folder)
    chosen = only or (tuple(WORKLOADS) if everything else BY_DEFAULT)
    seconds_all = sum(WORKLOADS[name][1] for name in chosen) / (QUICKER if quick else 1)
    click.echo(f"About {max(1, round(seconds_all / 60))} min on two quiet cores.", err=True)
    click.echo(f"{machine}\n\n{heading()}")
    results: dict[str, Result | None] = {}
    for name in chosen:
        results[name] = run(name, scale)
        if file:
            keep(file, machine, results)
    if failed := [name for name, result in results.items() if result is None]:
        sys.exit(f"failed: {', '.join(failed)}")


def keep(file: Path, machine: str, results: Mapping[str, Result | None]) -> None:
    """Write the figures so far, so that a run that is cut short leaves those that it has."""
    kept = {name: result.figures() for name, result in results.items() if result}
    failed = [name for name, result in results.items() if result is None]
    told = {"machine": machine, "workloads": kept, "failed": failed}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def run(name: str, scale: Scale) -> Result | None:
    """Run one workload, and print its row and targets; None where the server did not do what it must."""
    # A collection in the middle of a window would be charged to the server's latency.
    gc.collect()
    gc.disable()
    try:
        result = WORKLOADS[name][0](scale)
    except FAILURES as error:
        lines = [f"{name}: FAILED: {type(error).__name__}: {error}", *getattr(error, "__notes__", [])]
        click.echo("\n".join(lines), err=True)
        return None
    finally:
        gc.enable()
    click.echo(result.row())
    for target in result.targets:
        click.echo(f"    {target}")
    return result


if __name__ == "__main__":
    main()
