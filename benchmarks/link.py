"""What clients cost at the leader and at a node that passes them on: `python -m benchmarks.link`.

Three processes and the load: a leader, which listens for clients as well, a node behind a link, and messages to
a group whose members are connected to the one or to the other: one by one, so that each delivery is a write of its
own, and as many as go. Then idle connections, and the memory that each takes.
"""

import gc
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import click
import trio

from benchmarks.connections import DEVICES
from benchmarks.frames import MismatchError, SharedDecoder
from benchmarks.load import connect_all
from benchmarks.loop import Loop
from benchmarks.machine import describe, process_seconds
from benchmarks.server import START_SECONDS, STOP_SECONDS, Server, own_environ, prepared, scratch
from benchmarks.traffic import Conversation, pace, settle
from benchmarks.workloads import GROUP, GROUP_SENDERS, IN_FLIGHT, last_seq
from relay.settings import load
from relay.transports.accepting import raise_file_limit
from tests.cluster.passing import follow, lead, listen

TERM = 1
WARM_UP = 1.0
PACE = 40


class Nodes(NamedTuple):
    """The two servers, as the load sees them."""

    leader: Server
    other: Server

    def cpu(self) -> tuple[float, float]:
        """Return the processor time of both so far, in seconds."""
        return process_seconds(self.leader.pid), process_seconds(self.other.pid)


@contextmanager
def started(users: list[str]) -> Iterator[Nodes]:
    """Start both on an empty database with these users, and end them."""
    key = secrets.token_hex(32)
    with (
        prepared(users) as (folder, tokens),
        _role(folder, "leader", key) as (pid, (port, node)),
        _role(folder, "follower", key, str(node)) as (other, (passed,)),
    ):
        yield Nodes(Server(pid, port, tokens, folder), Server(other, passed, tokens, folder))


@contextmanager
def _role(folder: Path, role: str, key: str, *arguments: str) -> Iterator[tuple[int, list[int]]]:
    """Run one of the two; yield its process and its ports."""
    command = [sys.executable, "-m", "benchmarks.link", role, str(folder / "relay.toml"), key, *arguments]
    log = folder / f"{role}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=own_environ())
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"ports((?: \d+)+)\n", log.read_text())):
            if time.monotonic() > deadline or process.poll() is not None:
                raise MismatchError(f"the {role} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield process.pid, [int(port) for port in found[1].split()]
    finally:
        process.kill()
        process.wait(STOP_SECONDS)


def deliveries(nodes: Nodes, port: int, members: int, rate: int, seconds: float) -> str:
    """Send to a group whose members are all connected to one port; return a row.

    Args:
        rate: messages a second; 0 for as many as go.
    """
    users = [f"member{n:04d}" for n in range(members)]
    base = last_seq(nodes.leader, users[0], GROUP)
    loop, decode = Loop(), SharedDecoder()
    clients = [nodes.leader.client(loop, user) for user in users]
    for client in clients:
        client.decode = decode
    connect_all(loop, clients, port)
    conversation = Conversation("group_message", GROUP, clients[:GROUP_SENDERS], clients, base)
    if not rate:
        conversation.start(IN_FLIGHT)
    go = partial(pace, loop, [conversation], rate) if rate else loop.run_for
    go(WARM_UP)
    before, mark, begun = nodes.cpu(), conversation.delivered, time.perf_counter()
    go(seconds)
    after, wall = nodes.cpu(), time.perf_counter() - begun
    count = conversation.delivered - mark
    settle(loop, [conversation])
    loop.close()
    leader, other = ((now - then) / count * 1e6 for then, now in zip(before, after, strict=True))
    where = "the leader" if port == nodes.leader.port else "the other node"
    how = f"{rate} messages/s" if rate else "as many as go"
    return (
        f"group of {members:,}, {how}, at {where:<15}{count / wall:>10,.0f} deliveries/s"
        f"   leader {leader:5.2f}   other node {other:5.2f} µs/delivery"
    )


def idle(nodes: Nodes, port: int, count: int) -> str:
    """Open idle connections to one port; return a row."""
    loop = Loop()
    users = [f"member{n:04d}" for n in range(count // DEVICES)]
    first = [nodes.leader.client(loop, users[0], f"first{n}") for n in range(10)]
    connect_all(loop, first, port)
    loop.run_for(0.5)
    before = nodes.leader.memory(), nodes.other.memory()
    clients = [nodes.leader.client(loop, user, f"device{n}") for n in range(DEVICES) for user in users]
    connect_all(loop, clients, port)
    loop.run_for(2)
    leader, other = ((node.memory() - then) / len(clients) for node, then in zip(nodes, before, strict=True))
    loop.close()
    where = "the leader" if port == nodes.leader.port else "the other node"
    return f"{len(clients):,} idle at {where:<15} leader {leader:5.1f}   other node {other:5.1f} KiB/connection"


@click.group(invoke_without_command=True)
@click.option("--seconds", default=5.0, help="Length of each measured window.")
@click.option("--members", default=[200, 1000], multiple=True, type=int, help="Of the group; repeatable.")
@click.option("--connections", default=2000, help="Idle ones.")
@click.pass_context
def main(context: click.Context, seconds: float, members: tuple[int, ...], connections: int) -> None:
    """Measure clients of a node that leads, and of one that passes them on."""
    if context.invoked_subcommand:
        return
    raise_file_limit()
    with scratch() as folder:
        click.echo(describe(folder) + "\n")
    gc.disable()
    for count in members:
        users = [f"member{n:04d}" for n in range(count)]
        for which, rate in product((0, 1), (PACE, 0)):
            with started(users) as nodes:
                body = {"name": "B", "group_id": GROUP, "members": users}
                nodes.leader.rest(users[0], "POST", "/api/groups", body)
                click.echo(deliveries(nodes, nodes[which].port, count, rate, seconds))
    for which in (0, 1):
        with started([f"member{n:04d}" for n in range(connections // DEVICES)]) as nodes:
            click.echo(idle(nodes, nodes[which].port, connections))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("key")
def leader(file: Path, key: str) -> None:
    """Lead, until killed."""

    async def run() -> None:
        async with lead(load(file, os.environ), TERM, key) as (door, _, node), trio.open_nursery() as nursery:
            print("ports", await listen(door, nursery), node, flush=True)
            await _forever()

    raise_file_limit()
    trio.run(run)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("key")
@click.argument("node", type=int)
def follower(file: Path, key: str, node: int) -> None:
    """Pass clients on, until killed."""

    async def run() -> None:
        async with follow(load(file, os.environ), node, TERM, key) as (_, port):
            print("ports", port, flush=True)
            await _forever()

    raise_file_limit()
    trio.run(run)


async def _forever() -> None:
    """Wait, with the garbage collector as a server has it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    await trio.sleep_forever()


if __name__ == "__main__":
    main()
