"""Restart a server under a crowd again and again: nothing is lost, and nobody is away for long.

    python -m tests.restarts --restarts 10 --clients 500

It is done twice: with a server that binds its port itself, and with one that is handed the port by who starts it, as
systemd does (`relay.socket`). Then no connection may be refused.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from tests.e2e.restarting import Crowd, Ledger, Probe, names, run_clients_in_node
from tests.e2e.server import Server, Tables
from tests.e2e.supervised import hand_over

FEW_SECONDS = 5.0
"""How much longer than the server a client may be away, unless the command line says another time."""

PATIENCE = 60.0
BACKLOG = 1024
"""As in config/relay.socket."""

IN_NODE = 0.02
"""The share of clients that are of the JavaScript SDK, where there is node."""

FILES = 16_384
SETTINGS: Tables = {"replay": {"limit": 100_000}, "log": {"level": "error"}}


class Broken(Exception):
    """A restart did not go as it must."""


@dataclass(frozen=True)
class Round:
    """What was seen of one restart: times in seconds from the signal on."""

    server: float
    client: float
    refused: int
    cut: int
    lost: int
    doubled: int

    def row(self, number: int) -> str:
        return (
            f"{number:>3}  server back {self.server:5.2f} s  last client {self.client:5.2f} s  "
            f"refused {self.refused:>4}  cut {self.cut}  lost {self.lost}  doubled {self.doubled}"
        )

    def check(self, longer: float, *, held: bool) -> None:
        """Raise `Broken` where a promise is broken.

        Args:
            longer: how many seconds longer than the server a client may be away.
            held: whether the port was held, so that no connection may be refused.
        """
        if self.lost or self.doubled:
            raise Broken(f"{self.lost} messages are lost, {self.doubled} doubled or out of order")
        if self.client > self.server + longer:
            raise Broken(f"a client was away {self.client - self.server:.1f} s longer than the server")
        if held and (self.refused or self.cut):
            raise Broken(f"{self.refused} connections were refused and {self.cut} cut, though the port is held")


class Campaign:
    """One server with its crowd, over many restarts."""

    def __init__(self, folder: Path, clients: int, pause: float, longer: float) -> None:
        self.server = Server(folder, SETTINGS)
        self.pause = pause
        self.longer = longer
        people = names(clients)
        self.tokens = self.server.import_users(people)
        self.ledger = Ledger(dict(zip(people, [*people[1:], people[0]], strict=True)))

    async def run(self, restarts: int, *, held: bool) -> list[Round]:
        """Restart so many times; return what was seen of each."""
        await trio.to_thread.run_sync(self.server.start)
        url, until = self.server.url, trio.Event()
        probe = Probe(self.server.port)
        people = list(self.tokens)
        in_node = people[: max(2, int(len(people) * IN_NODE))] if shutil.which("node") else []
        apart = {user: self.tokens[user] for user in in_node}
        others = {user: self.tokens[user] for user in people if user not in apart}
        rounds = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe.run)
            async with trio.open_nursery() as crowd:
                crowd.start_soon(Crowd(url, self.ledger, self.pause, until).run, others)
                if apart:
                    crowd.start_soon(run_clients_in_node, url, apart, self.ledger, self.pause, until)
                await self._wait(partial(self.ledger.all_live_since, 0.0), "not everybody is live")
                for number in range(1, restarts + 1):
                    rounds.append(one := await self._restart(probe))
                    print(one.row(number), flush=True)
                    one.check(self.longer, held=held)
                until.set()
            nursery.cancel_scope.cancel()
        if wrong := self.ledger.doubled():
            raise Broken(f"{wrong} messages are doubled or out of order at the end")
        sent = sum(self.ledger.counts().values())
        print(f"     {sent} messages, all acked and received once; the slowest answer to a new connection came "
              f"after {probe.slowest:.2f} s, of {probe.answered}")  # fmt: skip
        return rounds

    async def _restart(self, probe: Probe) -> Round:
        await trio.sleep(1)  # of traffic
        ledger, sent = self.ledger, self.ledger.counts()
        refused, cut = ledger.refused + probe.refused, probe.cut
        began = time.time()
        code = await trio.to_thread.run_sync(partial(self.server.stop, timeout=PATIENCE))
        if code != 0:
            raise Broken(f"exit code {code}: {self.server.diagnosis()}")
        await trio.to_thread.run_sync(self.server.start)
        back = time.time() - began
        await self._wait(partial(ledger.all_live_since, began), "not everybody came back")
        with trio.move_on_after(PATIENCE):
            await ledger.wait(lambda: ledger.missing(sent) == 0)
        return Round(
            server=back,
            client=max(ledger.live_at.values()) - began,
            refused=ledger.refused + probe.refused - refused,
            cut=probe.cut - cut,
            lost=ledger.missing(sent),
            doubled=ledger.doubled(),
        )

    async def _wait(self, found: partial[bool], what: str) -> None:
        with trio.move_on_after(PATIENCE) as scope:
            await self.ledger.wait(found)
        if scope.cancelled_caught:
            raise Broken(f"{what} within {PATIENCE:.0f} s: {self.server.diagnosis()}")


@contextlib.contextmanager
def _port_held(server: Server, *, held: bool) -> Iterator[None]:
    if not held:
        yield
        return
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
        hand_over(server, listening)
        yield


def run(restarts: int, clients: int, pause: float, longer: float, *, held: bool) -> list[Round]:
    """Run one campaign in a folder of its own, and print what it sees."""
    print("the port is held by who starts the server:" if held else "the server binds its port:", flush=True)
    with tempfile.TemporaryDirectory(prefix="relay-restarts-") as folder:
        campaign = Campaign(Path(folder), clients, pause, longer)
        try:
            with _port_held(campaign.server, held=held):
                return trio.run(partial(campaign.run, restarts, held=held))
        finally:
            if campaign.server.alive:
                campaign.server.kill()


def main() -> None:
    """Parse the command line, run both campaigns, and exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.restarts", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--restarts", type=int, default=10, help="of each of the two servers")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two messages of a client")
    parser.add_argument(
        "--longer",
        type=float,
        default=FEW_SECONDS,
        help="seconds that a client may be away longer than the server",
    )
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    try:
        rounds = [
            one
            for held in (False, True)
            for one in run(given.restarts, given.clients, given.pause, given.longer, held=held)
        ]
    except* Broken as broken:
        for one in broken.exceptions:
            print(f"BROKEN: {one}", file=sys.stderr)
        sys.exit(1)
    longest = max(one.client - one.server for one in rounds)
    print(
        f"done: {len(rounds)} restarts, none lost, none doubled; nobody away {longest:.1f} s longer than the server"
    )


if __name__ == "__main__":
    main()
