"""Kill a server under load again and again, and prove that no acknowledged message was lost or doubled.

    python -m tests.crash --rounds 300 --clients 20 [--seed N]

Each round starts the server, lets every client resend what was not acked (with the same id) and send more,
kills the process with SIGKILL at a moment drawn from the seed, and checks the database file as it was left.
What a seed decides (who sends what to whom, when the kill comes) is the same in every run; what the machine
makes of it is not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.e2e.crashing import Client, Violation, check_file, check_history, check_received, copied
from tests.e2e.server import RELAY, Server, Tables
from tests.e2e.wire import PATIENCE

KILL_WITHIN = 0.25  # seconds of load before the kill, at most
EARLY_KILLS = 0.1  # the share of rounds that are killed while the server still starts
START_WITHIN = 0.6  # seconds in which such a kill falls
ROUNDS_PER_DATABASE = 25  # a new one now and then, or checking would take longer than crashing
GROUPS = 3

SETTINGS: Tables = {"replay": {"limit": 100_000}, "log": {"level": "error"}}


class Campaign:
    """One database and its clients, over many rounds."""

    def __init__(self, folder: Path, clients: int, random_: random.Random) -> None:
        self.random = random_
        self.server = Server(folder, SETTINGS, command=RELAY)
        names = [f"user{i}" for i in range(clients)]
        tokens = self.server.import_users(names)
        self.server.start()
        groups = {f"group{i}": random_.sample(names, min(6, clients)) for i in range(GROUPS)}
        for group, members in groups.items():
            with self.server.rest(tokens[members[0]]) as rest:
                body = {"name": group, "members": members[1:], "group_id": group}
                answer = rest.post("/api/groups", json=body)
                answer.raise_for_status()
        self.groups = groups
        self.clients = [Client(name, tokens[name], names, groups, self.server.described) for name in names]

    def round(self, seed: str) -> None:
        """Run one round: load, kill, and a look at the file that the kill left."""
        early = self.random.random() < EARLY_KILLS
        moment = self.random.uniform(0, START_WITHIN if early else KILL_WITHIN)
        if early:
            time.sleep(moment)
            self.server.kill()
        else:
            self.server.wait_ready()
            self._load(moment, seed)
        for client in self.clients:
            client.raise_failure()
        with copied(self.server.database) as copy:
            # The next server starts, which is most of a round's time, while this one's file is checked.
            self.server.spawn()
            check_file(copy, self.clients)

    def _load(self, moment: float, seed: str) -> None:
        """Let all clients send, and kill the server under them after `moment` seconds."""
        threads = [threading.Thread(target=c.run, args=(self.server.address, seed)) for c in self.clients]
        for thread in threads:
            thread.start()
        time.sleep(moment)
        self.server.kill()
        for thread in threads:
            thread.join(timeout=PATIENCE)
            if thread.is_alive():
                raise Violation("a client hangs after the server is gone")

    def finish(self) -> None:
        """Let everybody come back and send what is left, then compare all there is with all there was."""
        self.server.wait_ready()
        threads = [threading.Thread(target=c.settle, args=(self.server.address,)) for c in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=PATIENCE)
        for client in self.clients:
            client.raise_failure()
        check_history(self.server, self.clients, self.groups)
        for client in self.clients:
            client.receive_rest(self.server.address)
        check_received(self.clients, self.groups)
        code = self.server.stop()
        if code != 0:
            raise Violation(f"exit code {code} at the end")

    def end(self) -> None:
        for client in self.clients:
            client.close()
        if self.server.alive:
            self.server.kill()


def run(rounds: int, clients: int, seed: int) -> int:
    """Run all rounds, print what was done, and return how many messages were acked."""
    source = random.Random(seed)
    acked, began = 0, time.monotonic()
    for first in range(0, rounds, ROUNDS_PER_DATABASE):
        with tempfile.TemporaryDirectory(prefix="relay-crash-") as folder:
            campaign = Campaign(Path(folder), clients, random.Random(source.random()))
            try:
                for number in range(first, min(first + ROUNDS_PER_DATABASE, rounds)):
                    campaign.round(f"{seed}/{number}")
                campaign.finish()
            except BaseException:
                print(campaign.server.diagnosis(), file=sys.stderr)
                raise
            finally:
                campaign.end()
            acked += sum(len(client.acks) for client in campaign.clients)
            resent = sum(client.duplicates for client in campaign.clients)
            print(f"{number + 1} kills, {acked} acked messages kept, {resent} acks repeated", flush=True)
    print(f"done: {rounds} kills in {time.monotonic() - began:.0f} s, none lost, none doubled")
    return acked


def main() -> None:
    """Parse the command line, run, and exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    try:
        acked = run(arguments.rounds, arguments.clients, seed)
    except (Violation, AssertionError, httpx.HTTPError) as error:
        print(f"BROKEN with --seed {seed}: {error!r}", file=sys.stderr)
        sys.exit(1)
    if not acked:
        sys.exit("no message was acked at all: nothing was tested")


if __name__ == "__main__":
    main()
