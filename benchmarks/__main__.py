"""Runs relay's benchmarks: `python -m benchmarks`."""

import gc
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import httpx
import msgspec

from benchmarks.connections import idle, many_idle, resume
from benchmarks.curves import accounts, connections, conversations, groups
from benchmarks.frames import MismatchError
from benchmarks.growth import alone, million, storm
from benchmarks.machine import describe, filesystem
from benchmarks.mixed import mixed, rates
from benchmarks.report import Result, heading
from benchmarks.retention import retention
from benchmarks.search import search
from benchmarks.server import scratch
from benchmarks.workloads import Scale, direct, group, paced

WORKLOADS: dict[str, Callable[[Scale], Result]] = {
    "direct": direct,
    "paced": paced,
    "group": group,
    "idle": idle,
    "resume": resume,
    "alone": alone,
    "small-group": partial(group, members=10),
    "large-group": partial(group, members=2000),
    "many-idle": many_idle,
    "storm": storm,
    "long-resume": partial(resume, missed=99_000),
    "million": million,
    "mixed": mixed,
    "growth-rate": rates,
    "growth-accounts": accounts,
    "growth-connections": connections,
    "growth-conversations": conversations,
    "growth-groups": groups,
    "search": search,
    "retention": retention,
}
BY_DEFAULT = ("direct", "paced", "group", "idle", "resume")
"""About a minute together. The others take longer, and run when they are asked for."""

FILES = 16_384
FAILURES = (MismatchError, OSError, subprocess.SubprocessError, httpx.HTTPError, msgspec.MsgspecError)


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(WORKLOADS)),
    help="Run this; repeatable. Those behind `resume` run only so.",
)
@click.option("--all", "everything", is_flag=True, help="Run everything; half an hour.")
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
    click.echo(f"{machine}\n\n{heading()}")
    chosen = only or (tuple(WORKLOADS) if everything else BY_DEFAULT)
    results = {name: run(name, scale) for name in chosen}
    if file:
        kept = {name: result.figures() for name, result in results.items() if result}
        file.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine, "workloads": kept})) + b"\n")
    failed = [name for name, result in results.items() if result is None]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(name: str, scale: Scale) -> Result | None:
    """Run one workload, and print its row and targets; None where the server did not do what it must."""
    # A collection in the middle of a window would be charged to the server's latency.
    gc.collect()
    gc.disable()
    try:
        result = WORKLOADS[name](scale)
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
