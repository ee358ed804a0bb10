"""Kill the leader of a cluster under load again and again, with other faults between, and prove that nothing is lost.

    python -m tests.cluster.crash --kills 50 [--seed N]

Three relay processes beside three NATS servers, and twenty clients that are spread over the nodes and send all the
time. At the end everything that was acknowledged must have come once, and in one order, to every device it was for,
and the databases of all nodes must be equal, row by row. `--alone` does it to one process without a cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import trio

from tests.cluster.crowd import Crowd, Ledger
from tests.cluster.faults import ALONE, FAULTS, KILLED, OTHERS, Broken, Stage
from tests.cluster.nodes import LEASE, Cluster
from tests.cluster.promises import broken_by_devices, broken_in_file, count_rows, different
from tests.cluster.servers import PATH
from tests.cluster.streams import broken_in_stream, read_stream

USERS: Final = 12
CLIENTS: Final = 20
GROUPS: Final = 3
GROUP_MEMBERS: Final = 6
PAUSE: Final = 0.2
"""Seconds between two messages of a client."""

SETTLE_SECONDS: Final = 60.0
MOST_TOLD: Final = 20


def people(source: random.Random) -> Ledger:
    """Return a ledger of users with one device or two, and of groups of them."""
    names = [f"user{number}" for number in range(USERS)]
    devices = {name: [f"{name}-laptop"] for name in names}
    for name in names[: CLIENTS - USERS]:
        devices[name].append(f"{name}-phone")
    groups = {f"group{number}": source.sample(names, GROUP_MEMBERS) for number in range(GROUPS)}
    return Ledger(devices, groups)


def plan(kills: int, others: Sequence[str], source: random.Random) -> Iterator[str]:
    """Yield faults: so many kills of the leader, and another fault after every second one."""
    again = itertools.cycle(source.sample(others, len(others)))
    for number in range(kills):
        yield KILLED
        if others and number % 2:
            yield next(again)


class Campaign:
    """One cluster and its clients, over many faults."""

    def __init__(self, folder: Path, seed: int, *, alone: bool = False) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.folder = folder
        self.ledger = people(self.random)
        self.cluster = Cluster(folder, alone=alone)
        addresses = [node.address for node in self.cluster.nodes]
        self.crowd = Crowd(addresses, self.cluster.tokens, self.ledger, folder, seed=seed, pause=PAUSE)
        self.stage = Stage(self.cluster, self.crowd, self.random)
        self.rows = self.entries = 0

    def begin(self) -> None:
        """Start everything, and make the groups."""
        self.stage.prepare_disks()
        self.cluster.begin(self.ledger.devices)
        self.crowd.tokens = self.cluster.tokens
        for group, members in self.ledger.groups.items():
            with self.cluster.nodes[0].rest(self.cluster.tokens[members[0]]) as rest:
                body = {"name": group, "members": list(members[1:]), "group_id": group}
                rest.post("/api/groups", json=body).raise_for_status()

    async def run(self, faults: Sequence[str]) -> None:
        """Do the faults under load, let everything settle, and compare.

        Raises:
            Broken: a promise was broken.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.crowd.run)
            for number, fault in enumerate(faults, 1):
                print(f"{number:>3}  {fault:<30}", end="", flush=True)
                began = time.monotonic()
                outage = await self.stage.run(fault)
                took = f"{time.monotonic() - began:5.1f} s, first ack after {outage:5.2f} s"
                print(f"{took}, {len(self.ledger.acked)} acked", flush=True)
            if left := await self.crowd.settle(SETTLE_SECONDS):
                raise Broken(f"{len(left)} messages are not everywhere: {left[:5]}; {self.crowd.troubles()}")
            self._must(broken_by_devices(self.ledger))
            await trio.to_thread.run_sync(self._compare)
            nursery.cancel_scope.cancel()
        self.stage.check()

    def _compare(self) -> None:
        """Compare the files of all nodes with the ledger and with each other."""
        files = self.cluster.copies()
        for file in files:
            self._must(broken_in_file(self.ledger, file))
        self._must(different(files))
        self.rows = count_rows(files[0])
        if self.cluster.brokers:
            entries = read_stream(self.cluster.urls)
            self._must(broken_in_stream(entries))
            self.entries = len(entries)

    def _must(self, broken: Iterator[str]) -> None:
        if found := list(itertools.islice(broken, MOST_TOLD)):
            raise Broken("\n".join(found))

    def finish(self) -> None:
        """End all nodes in good order.

        Raises:
            Broken: one does not.
        """
        for node in self.cluster.nodes:
            if (code := node.stop()) != 0:
                raise Broken(f"{node.name} ended with {code}:\n{node.diagnosis()}")

    def report(self) -> str:
        """Return what was done, and what it took."""
        done = ", ".join(f"{count} x {fault}" for fault, count in self.stage.done.items())
        lines = [
            f"done: {done}",
            f"{len(self.ledger.acked)} messages acked, {self.ledger.others} edits and reactions; lost 0, doubled 0",
            f"{self.rows} rows compared at {len(self.cluster.nodes)} nodes: equal; {self.entries} entries of the stream",
        ]
        for fault, seconds in self.stage.outages.items():
            if fault:
                middle = sorted(seconds)[len(seconds) // 2]
                lines.append(f"to the first ack after {fault}: p50 {middle:.2f} s, max {max(seconds):.2f} s")
        return "\n".join(lines)


def run(
    faults: Sequence[str], seed: int, lease: float = LEASE, *, alone: bool = False, keep: Path | None = None
) -> None:
    """Run a campaign in a folder of its own.

    Args:
        keep: where that is, and what was there stays; a folder that goes at the end unless it is given.

    Raises:
        Broken: a promise was broken.
    """
    with contextlib.ExitStack() as stack:
        folder = keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-cluster-"))
        campaign = Campaign(Path(folder), seed, alone=alone)
        campaign.cluster.lease = lease
        try:
            campaign.begin()
            trio.run(campaign.run, faults)
            campaign.finish()
        except BaseException:
            print(campaign.cluster.diagnosis(), file=sys.stderr)
            raise
        finally:
            campaign.cluster.end()
        print(campaign.report())


def main() -> None:
    """Parse the command line, run, and exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.crash", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--kills", type=int, default=50, help="of the leader")
    parser.add_argument("--also", action="append", choices=list(FAULTS), help="do this between, and no other")
    parser.add_argument("--only-kills", action="store_true", help="do nothing between")
    parser.add_argument("--alone", action="store_true", help="one process without a cluster")
    parser.add_argument("--lease", type=float, default=LEASE, help="seconds")
    parser.add_argument("--keep", type=Path, help="an empty folder for all files; they stay there")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # and its processes with it
    if not given.alone and shutil.which("nats-server", path=PATH) is None:
        sys.exit("nats-server is not installed (apt-get install nats-server)")
    possible = ALONE[1:] if given.alone else OTHERS
    others = [] if given.only_kills else given.also or possible
    try:
        run(
            list(plan(given.kills, others, random.Random(seed))),
            seed,
            given.lease,
            alone=given.alone,
            keep=given.keep,
        )
    except* (Broken, AssertionError) as broken:
        for one in broken.exceptions:
            print(f"BROKEN with --seed {seed}: {one}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
