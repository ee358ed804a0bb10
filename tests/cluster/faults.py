"""The faults of a cluster under load, each done to it once: what is killed, stopped, filled up or moved."""

from __future__ import annotations

import errno
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from tests.cluster.crowd import Crowd
from tests.cluster.nodes import Cluster, Node
from tests.faults.shim import Shim

PATIENCE: Final = 60.0
RECOVERED_SECONDS: Final = 0.5
"""How long everything goes well before the next fault, at least."""

in_thread: Final = trio.to_thread.run_sync


class Broken(Exception):
    """A promise of the cluster was broken."""


@dataclass
class Stage:
    """A cluster with its crowd, and what was done to them.

    Attributes:
        shims: of nodes whose disk can fail.
        outages: by fault: the seconds from it to the first ack of a message that was sent after it.
        done: how often each fault was done.
    """

    cluster: Cluster
    crowd: Crowd
    random: random.Random
    shims: dict[str, Shim] = field(default_factory=dict)
    outages: dict[str, list[float]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def prepare_disks(self) -> None:
        """Have the disks of all nodes fail when told to, where there is a C compiler; before they are started."""
        if shutil.which("cc") is not None:
            for node in self.cluster.nodes:
                self.shims[node.name] = shim = Shim(node.folder, node.database)
                node.environ |= shim.environ

    async def leader(self) -> Node:
        """Return the node that leads, once there is one."""
        return await in_thread(self.cluster.wait_settled)

    async def follower(self) -> Node:
        """Return a node that follows."""
        leader = await self.leader()
        return self.random.choice([node for node in self.cluster.nodes if node is not leader])

    async def until_acked(self, fault: str, moment: float) -> None:
        """Wait for the first ack of what was sent after a moment, and note how long that took.

        Raises:
            Broken: it does not come.
        """
        with trio.move_on_after(PATIENCE):
            at = await self.crowd.ledger.wait_ack_since(moment)
            self.outages.setdefault(fault, []).append(at - moment)
            return
        raise Broken(f"nothing is acknowledged after: {fault}\n{self.cluster.diagnosis()}")

    async def run(self, fault: str) -> float:
        """Do a fault, and wait until the cluster works again; return the seconds until the first ack after it.

        Raises:
            Broken: it does not.
        """
        await trio.sleep(self.random.uniform(RECOVERED_SECONDS, 3 * RECOVERED_SECONDS))
        try:
            await FAULTS[fault](self)
            await self.leader()
            await self.until_acked("", time.monotonic())
        except AssertionError as error:
            raise Broken(f"{fault}: {error}") from error
        self.done[fault] = self.done.get(fault, 0) + 1
        self.check()
        return self.outages.get(fault, [0.0])[-1]

    def check(self) -> None:
        """Check what can be told at any time.

        Raises:
            Broken: a client was told what it must not be told, or a node met a fault of its own.
        """
        if self.crowd.ledger.wrong:
            raise Broken("; ".join(self.crowd.ledger.wrong[:5]))
        for node in self.cluster.nodes:
            if "Traceback" in (said := node.log.read_text(errors="replace")):
                raise Broken(f"a traceback in the log of {node.name}:\n{said[-6000:]}")
            if not node.alive:
                raise Broken(f"{node.name} ended by itself:\n{node.diagnosis()}")


async def leader_killed(stage: Stage) -> None:
    """Kill the leader, and start it again once another leads."""
    leader, moment = await stage.leader(), time.monotonic()
    await in_thread(leader.kill)
    if len(stage.cluster.nodes) > 1:
        await stage.until_acked(KILLED, moment)
    await in_thread(leader.start)


async def leader_stopped(stage: Stage) -> None:
    """Have the leader stand still for three leases, and go on."""
    leader, moment = await stage.leader(), time.monotonic()
    with stage.cluster.stopped(leader):
        await stage.until_acked("leader stopped", moment)
        await trio.sleep(max(0.0, moment + 3 * stage.cluster.lease - time.monotonic()))
    await in_thread(stage.cluster.wait_leader, leader)


async def leader_ended(stage: Stage) -> None:
    """End the leader in good order, and start it again."""
    leader, moment = await stage.leader(), time.monotonic()
    code = await in_thread(leader.stop)
    if code != 0:
        raise Broken(f"the leader ended with {code}:\n{leader.diagnosis()}")
    if len(stage.cluster.nodes) > 1:
        await stage.until_acked("leader ended", moment)
    await in_thread(leader.start)


async def leader_moved(stage: Stage) -> None:
    """Have another node lead."""
    leader = await stage.leader()
    other = stage.random.choice([node for node in stage.cluster.nodes if node is not leader])
    moment = time.monotonic()
    await in_thread(partial(leader.ask, "cluster.move", node=other.name))
    await stage.until_acked("leader moved", moment)
    await in_thread(stage.cluster.wait_leader, leader)


async def leader_without_room(stage: Stage) -> None:
    """Have the leader's disk take nothing more for a while."""
    leader = await stage.leader()
    if (shim := stage.shims.get(leader.name)) is None:
        return
    moment = time.monotonic()
    shim.arm(1, errno.ENOSPC, lasting=True)
    try:
        if len(stage.cluster.nodes) > 1:
            await stage.until_acked("leader's disk full", moment)
        else:
            await trio.sleep(1)
    finally:
        shim.calm()
    if not leader.alive:
        raise Broken(f"a full disk ended the leader:\n{leader.diagnosis()}")


async def follower_killed(stage: Stage) -> None:
    """Kill a follower while it applies what the leader writes."""
    follower = await stage.follower()
    if (shim := stage.shims.get(follower.name)) is not None:
        shim.slow_syncs(0.1)  # so that the kill comes in the middle of a commit
        await trio.sleep(stage.random.uniform(0.2, 0.6))
    await in_thread(follower.kill)
    if shim is not None:
        shim.slow_syncs(0)
    await in_thread(follower.start)


async def all_killed(stage: Stage) -> None:
    """Kill all nodes, and start them in any order."""
    nodes = list(stage.cluster.nodes)
    for node in nodes:
        await in_thread(node.kill)
    stage.random.shuffle(nodes)
    moment = time.monotonic()
    for node in nodes:
        node.spawn()
    for node in nodes:
        await in_thread(node.wait_ready)
    await stage.until_acked("all nodes killed", moment)


async def broker_killed(stage: Stage) -> None:
    """Kill a NATS server, and start it again."""
    broker, moment = stage.random.choice(stage.cluster.brokers), time.monotonic()
    await in_thread(broker.kill)
    await stage.until_acked("NATS server killed", moment)
    await in_thread(broker.start)


async def brokers_killed(stage: Stage) -> None:
    """Kill all NATS servers, and start them again."""
    for broker in stage.cluster.brokers:
        await in_thread(broker.kill)
    await trio.sleep(stage.random.uniform(0.2, 2.5))
    moment = time.monotonic()
    await in_thread(stage.cluster.start_brokers)
    await stage.until_acked("all NATS servers killed", moment)


async def broker_stopped(stage: Stage) -> None:
    """Have a NATS server stand still for a while: its connections stay, and nothing answers."""
    broker, moment = stage.random.choice(stage.cluster.brokers), time.monotonic()
    broker.stop()
    try:
        await stage.until_acked("NATS server stopped", moment)
        await trio.sleep(max(0.0, moment + 5 * stage.cluster.lease - time.monotonic()))
        await stage.until_acked("", time.monotonic())
    finally:
        broker.resume()


async def brokers_stopped(stage: Stage) -> None:
    """Have all NATS servers stand still for some leases; what was sent to them is taken afterwards."""
    for broker in stage.cluster.brokers:
        broker.stop()
    await trio.sleep(stage.random.uniform(0.5, 4) * stage.cluster.lease)
    moment = time.monotonic()
    for broker in stage.cluster.brokers:
        broker.resume()
    await stage.until_acked("all NATS servers stopped", moment)


async def two_killed(stage: Stage) -> None:
    """Kill the leader and a NATS server in one moment, and start both again."""
    leader, broker = await stage.leader(), stage.random.choice(stage.cluster.brokers)
    moment = time.monotonic()
    await in_thread(broker.kill)
    await in_thread(leader.kill)
    await stage.until_acked("leader and NATS server killed", moment)
    await in_thread(broker.start)
    await in_thread(leader.start)


KILLED: Final = "leader killed"
STOPPED: Final = "leader stopped"

FAULTS: Final[dict[str, Callable[[Stage], Awaitable[None]]]] = {
    KILLED: leader_killed,
    STOPPED: leader_stopped,
    "leader ended": leader_ended,
    "leader moved": leader_moved,
    "leader's disk full": leader_without_room,
    "follower killed": follower_killed,
    "all nodes killed": all_killed,
    "NATS server killed": broker_killed,
    "all NATS servers killed": brokers_killed,
    "NATS server stopped": broker_stopped,
    "all NATS servers stopped": brokers_stopped,
    "leader and NATS server killed": two_killed,
}
OTHERS: Final = [name for name in FAULTS if name != KILLED]
ALONE: Final = [KILLED, "leader ended", "all nodes killed", "leader's disk full"]
"""Those that can be done to one process that is no cluster's."""
