"""Compares relay with other servers under the same load: `python -m benchmarks.peers`.

All run on this machine, one after the other, in one run; each with the configuration that a person who installs it
would have, but for limits of rate. What its ack means stands beside its figure: they do not promise the same.
"""

import gc
import sys
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from benchmarks.machine import describe
from benchmarks.peers import mosquitto, nats, relay_server, socket_io, websockets_sqlite, xmpp
from benchmarks.peers.measuring import IN_FLIGHT, MEMBERS, PACE, PAIRS, WRITERS, Figures, measure
from benchmarks.peers.peer import Peer
from benchmarks.server import FAILURES, end_cleanly, scratch

PEERS: tuple[Peer, ...] = (
    relay_server.PEER,
    websockets_sqlite.PEER,
    xmpp.PROSODY,
    xmpp.EJABBERD,
    mosquitto.PEER,
    nats.PEER,
    socket_io.PEER,
)
HEAD = (
    "| server | version | messages/s | CPU a message | ack p50, p99 | arrives p50, p99 | alone: ack p50 "
    f"| {PACE} a second: ack p50, p99 | CPU a message | memory "
    f"| group of {MEMBERS}: deliveries/s | CPU a delivery | ack p50, p99 | its ack means |"
)
ABOUT_SECONDS = 14
"""Of each server beside the windows: starts, sign-ins, what is in flight at the end."""


def row(peer: Peer, version: str, figures: Figures) -> str:
    """Write a row of the table."""
    pairs, room = figures.pairs, figures.room
    ack, arrival, room_ack = (f"{a:.1f}, {b:.1f} ms" for a, b in (pairs.ack, pairs.arrival, room.ack))
    paced = "{:.2f}, {:.2f} ms".format(*figures.paced.ack)
    return (
        f"| {peer.name} | {version} | {pairs.rate:,.0f} | {pairs.cpu[0]:.1f} µs | {ack} | {arrival} "
        f"| {figures.alone:.2f} ms | {paced} | {figures.paced.cpu:.0f} µs | {pairs.memory:.0f} MiB "
        f"| {room.deliveries:,.0f} | {room.cpu[1]:.2f} µs "
        f"| {room_ack} | {peer.ack} |"
    )


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice([peer.name for peer in PEERS]), help="This server; repeatable."
)
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=8, help="Length of each measured window.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here as well.")
def main(only: tuple[str, ...], seconds: float, file: Path | None) -> None:
    """Compare relay with other servers, on this machine's disk and over loopback.

    A server that is not there, or does something wrong, is told and left out; with relay's own the exit code is 1.
    """
    end_cleanly()
    with scratch() as folder:
        machine = describe(folder)
    chosen = [peer for peer in PEERS if not only or peer.name in only]
    versions = {peer.name: peer.version() for peer in chosen}
    missing = [f"{peer.name} is not installed: {peer.install}" for peer in chosen if versions[peer.name] is None]
    minutes = (len(chosen) - len(missing)) * (ABOUT_SECONDS + 3.5 * seconds) / 60
    click.echo(f"About {minutes:.0f} minutes.", err=True)
    click.echo(
        f"{machine}\n\n{PAIRS} pairs, {IN_FLIGHT} messages of each in flight; a group of {MEMBERS}, {WRITERS} x "
        f"{IN_FLIGHT} in flight; 200 bytes of text\n\n{HEAD}\n{'|---' * (HEAD.count('|') - 1)}|"
    )
    click.echo("\n".join(missing), err=True, nl=bool(missing))
    servers, left_out = {}, missing
    for peer in chosen:
        if (version := versions[peer.name]) is None:
            continue
        try:
            figures = run(peer, seconds)
        except FAILURES as error:
            click.echo("\n".join([f"{peer.name}: FAILED: {error}", *getattr(error, "__notes__", [])]), err=True)
            left_out.append(f"{peer.name} was left out: {error}")
            continue
        said = {"promise": peer.ack, "room_promise": peer.room_ack, "keeps": peer.keeps, "why": peer.why}
        servers[peer.name] = {"version": version, **said, **asdict(figures)}
        click.echo(row(peer, version, figures))
    if file:
        kept = {"machine": machine, "servers": servers, "left_out": left_out}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    if relay_server.PEER in chosen and relay_server.PEER.name not in servers:
        sys.exit("relay itself failed")


def run(peer: Peer, seconds: float) -> Figures:
    """Measure one server; a collection in the middle would be charged to it."""
    gc.collect()
    gc.disable()
    try:
        return measure(peer, seconds)
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
