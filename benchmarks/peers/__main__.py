"""Compares relay with other servers under the same load: `python -m benchmarks.peers`.

All run on this machine, one after the other, in one run; each with the configuration that a person who installs it
would have, but for limits of rate. What its ack means stands beside its figure: they do not promise the same.
"""

import gc
import json
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from time import perf_counter

import click

from benchmarks.frames import MismatchError
from benchmarks.loop import Loop
from benchmarks.machine import describe
from benchmarks.peers import mosquitto, nats, relay_server, socket_io, websockets_sqlite, xmpp
from benchmarks.peers.pairs import Pair, settle, signed_in
from benchmarks.peers.peer import Peer, Running
from benchmarks.report import percentile
from benchmarks.server import scratch

PEERS: tuple[Peer, ...] = (
    relay_server.PEER,
    websockets_sqlite.PEER,
    xmpp.PROSODY,
    xmpp.EJABBERD,
    mosquitto.PEER,
    nats.PEER,
    socket_io.PEER,
)
PAIRS, IN_FLIGHT, WARM_UP = 50, 16, 1.0
HEAD = (
    "| server | version | messages/s | CPU a message | ack p50, p99 | arrives p50, p99 | alone: ack p50 "
    "| memory | its ack means |"
)


@dataclass(frozen=True)
class Figures:
    """What was measured at one server; times in milliseconds, CPU in microseconds, memory in MiB."""

    rate: float
    cpu: float
    ack: tuple[float, float]
    arrival: tuple[float, float]
    alone: float
    memory: float


def measure(peer: Peer, seconds: float) -> Figures:
    """Measure one server: full load by many pairs, and one sender that waits for each ack.

    Raises:
        MismatchError: a message is lost, doubled or out of order, or the server does not work.
    """
    users = [f"{role}{n:03d}" for role in ("sender", "reader") for n in range(PAIRS)]
    with scratch() as folder, peer.start(folder.resolve(), users) as server:
        loop = Loop()
        pairs = signed_in(peer, server, loop, PAIRS)
        alone = one_at_a_time(loop, pairs[0], seconds / 2)
        for pair in pairs:
            pair.start(IN_FLIGHT)
        loop.run_for(WARM_UP)
        return full_load(loop, server, pairs, seconds, alone)


def one_at_a_time(loop: Loop, pair: Pair, seconds: float) -> float:
    """Return the median time to an ack, in milliseconds, where one sender waits for each."""
    pair.start(1)
    loop.run_for(seconds)
    settle(loop, [pair])
    return percentile(sorted(pair.acks), 0.5) * 1000


def full_load(loop: Loop, server: Running, pairs: list[Pair], seconds: float, alone: float) -> Figures:
    """Measure for so many seconds, then verify everything."""
    marks = [(len(pair.acks), len(pair.deliveries)) for pair in pairs]
    begun, spent = perf_counter(), server.cpu_seconds()
    loop.run_for(seconds)
    wall, cpu = perf_counter() - begun, server.cpu_seconds() - spent
    acks = sorted(chain.from_iterable(p.acks[mark[0] :] for p, mark in zip(pairs, marks, strict=True)))
    arrivals = sorted(chain.from_iterable(p.deliveries[mark[1] :] for p, mark in zip(pairs, marks, strict=True)))
    memory = server.memory() / 1024
    settle(loop, pairs)
    if not acks or not arrivals:
        raise MismatchError("nothing was acked or nothing arrived during the whole window")
    both = [(percentile(times, 0.5) * 1000, percentile(times, 0.99) * 1000) for times in (acks, arrivals)]
    loop.close()
    return Figures(len(acks) / wall, cpu / len(acks) * 1e6, both[0], both[1], alone, memory)


def row(peer: Peer, version: str, figures: Figures) -> str:
    """Write a row of the table."""
    ack, arrival = (f"{first:.1f}, {late:.1f} ms" for first, late in (figures.ack, figures.arrival))
    return (
        f"| {peer.name} | {version} | {figures.rate:,.0f} | {figures.cpu:.1f} µs | {ack} | {arrival} "
        f"| {figures.alone:.2f} ms | {figures.memory:.0f} MiB | {peer.ack} |"
    )


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice([peer.name for peer in PEERS]), help="This server; repeatable."
)
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=8, help="Length of each measured window.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here as well.")
def main(only: tuple[str, ...], seconds: float, file: Path | None) -> None:
    """Compare relay with other servers, on this machine's disk and over loopback."""
    with scratch() as folder:
        machine = describe(folder)
    click.echo(f"{machine}\n\n{PAIRS} pairs, {IN_FLIGHT} messages of each in flight, 200 bytes of text\n\n{HEAD}")
    click.echo("|---" * (HEAD.count("|") - 1) + "|")
    kept, failed = {}, []
    for peer in PEERS:
        if only and peer.name not in only:
            continue
        version = peer.version()
        if version is None:
            click.echo(f"{peer.name} is not installed: {peer.install}", err=True)
            continue
        gc.collect()
        try:
            figures = measure(peer, seconds)
        except (MismatchError, OSError) as error:
            click.echo("\n".join([f"{peer.name}: FAILED: {error}", *getattr(error, "__notes__", [])]), err=True)
            failed.append(peer.name)
            continue
        kept[peer.name] = {"version": version, "promise": peer.ack, **asdict(figures)}
        click.echo(row(peer, version, figures))
    if file:
        file.write_text(json.dumps({"machine": machine, "servers": kept}, indent=1) + "\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
