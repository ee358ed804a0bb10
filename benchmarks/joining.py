"""How a new node joins a cluster whose database is large, while messages come: `python -m benchmarks.joining`."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import click

from benchmarks.cluster import FILES, LEASE_SECONDS, SETTINGS, TALKERS, Bench, Talk
from benchmarks.loop import Loop
from benchmarks.report import percentile
from benchmarks.server import end_cleanly, scratch
from benchmarks.traffic import pace, settle
from tests.cluster.nodes import Cluster, Node

RATE = 500
BEFORE_SECONDS, STEP_SECONDS, LONGEST_SECONDS = 5.0, 0.5, 150.0
FILE_MEGABYTES = 100


def fill(node: Node, token: str, megabytes: int) -> None:
    """Make a database so large, by files of bytes that nothing makes smaller."""
    with node.rest(token) as rest:
        for _ in range(max(1, megabytes // FILE_MEGABYTES)):
            content = os.urandom(min(megabytes, FILE_MEGABYTES) * 1_000_000)
            answer = rest.post("/api/attachments", params={"name": "ballast"}, content=content)
            assert answer.status_code == 201, answer.text


def told(talks: Sequence[Talk], seen: dict[Talk, int]) -> str:
    """Return how long the acks took that came since some had been seen."""
    acks = sorted(took for talk in talks for took in talk.acks[seen[talk] :])
    middle, late = (percentile(acks, share) * 1000 for share in (0.5, 0.99))
    return f"{len(acks)} acks, p50 {middle:.1f} ms, p99 {late:.1f} ms, the slowest {acks[-1] * 1000:.0f} ms"


def join(cluster: Cluster) -> None:
    """Have one more node join under load, and print how it went.

    Raises:
        AssertionError: it does not.
    """
    bench, loop = Bench(cluster, BEFORE_SECONDS), Loop()
    talks = bench.talks(loop)
    pace(loop, talks, RATE, 1.0)
    seen = {talk: len(talk.acks) for talk in talks}
    pace(loop, talks, RATE, BEFORE_SECONDS)
    click.echo(f"    before, at {RATE} messages/s: {told(talks, seen)}")
    node = cluster.add()
    cluster.enter(node)
    seen = {talk: len(talk.acks) for talk in talks}
    node.spawn()
    begun = perf_counter()
    while not (node.is_ready() and is_near(cluster, node)):
        assert node.alive, node.diagnosis()
        assert perf_counter() - begun < LONGEST_SECONDS, node.diagnosis()
        pace(loop, talks, RATE, STEP_SECONDS)
    click.echo(
        f"    it serves, and lacks nothing, after {perf_counter() - begun:.1f} s; meanwhile: {told(talks, seen)}"
    )
    settle(loop, talks)
    loop.close()


def is_near(cluster: Cluster, node: Node) -> bool:
    """Tell whether a node has nearly all records that the leader has."""
    answer = node.ask("cluster.status")
    rows = [] if answer is None else answer["nodes"]
    return any(row["node"] == node.name and row["behind"] <= RATE // 10 for row in rows)


@click.command()
@click.option("--megabytes", type=click.IntRange(1, 100_000), default=1000, help="Size of the database.")
def main(megabytes: int) -> None:
    """Have a third node join two that have a large database, under load; the disk needs three times its size."""
    end_cleanly()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    with scratch() as folder:
        run(folder, megabytes)


def run(folder: Path, megabytes: int) -> None:
    """Run it in a folder."""
    cluster = Cluster(folder, SETTINGS, count=2)
    cluster.lease = LEASE_SECONDS
    try:
        begun = perf_counter()
        cluster.begin(TALKERS, partial(fill, megabytes=megabytes))
        size = cluster.nodes[0].database.stat().st_size / 1e6
        click.echo(f"two nodes with a database of {size:,.0f} MB, after {perf_counter() - begun:.0f} s")
        join(cluster)
    finally:
        cluster.end()


if __name__ == "__main__":
    main()
