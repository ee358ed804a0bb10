"""What is measured at each server: pairs under full load, a sender who waits for each ack, and a room."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from time import perf_counter

from benchmarks.frames import MismatchError
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.peers.pairs import Pair
from benchmarks.peers.peer import Link, Peer, Running, Talk
from benchmarks.peers.rooms import ROOM, Room
from benchmarks.report import percentile
from benchmarks.server import scratch

PAIRS, IN_FLIGHT, WARM_UP = 50, 16, 1.0
PACE = 100
"""Messages a second of all pairs, evenly spaced: far below what any of the servers takes."""
MEMBERS, WRITERS = 200, 5
AT_ONCE = 16
"""Users who sign in at a time."""
FEWEST, MOST_SECONDS = 100, 60
"""A window is longer where a slow server has not confirmed so many messages, but not longer than this."""
SETTLE_SECONDS = 150
"""Long enough for a server that syncs once a message on a slow disk."""


@dataclass(frozen=True)
class Load:
    """What a server did in one window; times in milliseconds, CPU in microseconds, memory in MiB.

    Attributes:
        rate: messages that were acked a second.
        cpu: of a message that was acked, and of one delivery.
        busy: the part of one core that the load itself took; near 1 it was the bottleneck.
    """

    rate: float
    cpu: tuple[float, float]
    deliveries: float
    ack: tuple[float, float]
    arrival: tuple[float, float]
    memory: float
    busy: float


@dataclass(frozen=True)
class Paced:
    """`PACE` messages a second: p50 and p99 of their acks in milliseconds, CPU of one in microseconds."""

    ack: tuple[float, float]
    cpu: float


@dataclass(frozen=True)
class Figures:
    """What was measured at one server; `alone` is the median time to an ack, in milliseconds."""

    pairs: Load
    alone: float
    paced: Paced
    room: Load


def measure(peer: Peer, seconds: float) -> Figures:
    """Measure one server, started on nothing for the pairs and again for the room.

    Raises:
        MismatchError: a message is lost, doubled or out of order, or the server does not work.
    """
    senders, readers = ([f"{role}{n:03d}" for n in range(PAIRS)] for role in ("sender", "reader"))
    with scratch() as folder, peer.start(folder.resolve(), [*senders, *readers], "") as server:
        loop = Loop()
        both = zip(senders, readers, strict=True)
        talks = [one for a, b in both for one in ((a, Talk(b)), (b, Talk(a)))]
        links = signed_in(peer, server, loop, talks)
        pairs = [Pair(n, *links[2 * n : 2 * n + 2]) for n in range(PAIRS)]
        alone = one_at_a_time(loop, pairs[0], seconds / 2)
        paced = at_a_pace(loop, server, pairs, seconds)
        load = full_load(loop, server, pairs, seconds)
        loop.close()
    members = [f"member{n:03d}" for n in range(MEMBERS)]
    with scratch() as folder, peer.start(folder.resolve(), members, ROOM) as server:
        loop, talk = Loop(), Talk(ROOM, in_room=True)
        links = signed_in(peer, server, loop, [(user, talk) for user in members])
        room = full_load(loop, server, [Room(links, WRITERS, peer.echoes)], seconds)
        loop.close()
    return Figures(load, alone, paced, room)


def signed_in(peer: Peer, server: Running, loop: Loop, talks: Sequence[tuple[str, Talk]]) -> list[Link]:
    """Sign users in, and return their links.

    Raises:
        MismatchError: one is refused, or all of them take longer than SETTLE_SECONDS.
    """
    links = [peer.link(loop, user, talk, server) for user, talk in talks]
    waiting = deque(links)
    under_way: list[Link] = []

    def turn() -> bool:
        under_way[:] = [link for link in under_way if not link.is_ready()]
        while waiting and len(under_way) < AT_ONCE:
            link = waiting.popleft()
            link.open(server.port)
            link.sign_in()
            under_way.append(link)
        return not under_way

    loop.run_until(turn, "end of the sign-ins", SETTLE_SECONDS)
    return links


def one_at_a_time(loop: Loop, pair: Pair, seconds: float) -> float:
    """Return the median time to an ack, in milliseconds, where one sender waits for each."""
    pair.start(1)
    loop.run_for(seconds)
    settle(loop, [pair])
    return percentile(sorted(pair.acks), 0.5) * 1000


def at_a_pace(loop: Loop, server: Running, pairs: Sequence[Pair], seconds: float) -> Paced:
    """Send so many messages a second, whatever comes back, and measure; a time counts from when a message was due.

    Raises:
        MismatchError: something is missing, doubled or out of order.
    """
    send_evenly(loop, pairs, WARM_UP)
    marks = [len(pair.acks) for pair in pairs]
    spent = server.cpu_seconds()
    send_evenly(loop, pairs, seconds)
    cpu = server.cpu_seconds() - spent
    settle(loop, pairs)
    acks = sorted(chain.from_iterable(pair.acks[mark:] for pair, mark in zip(pairs, marks, strict=True)))
    return Paced(_median_and_late(acks), cpu / len(acks) * 1e6)


def send_evenly(loop: Loop, pairs: Sequence[Pair], seconds: float) -> None:
    """Send `PACE` messages a second for so long, from one pair after the other."""
    begun = perf_counter()
    for number in range(int(PACE * seconds)):
        due = begun + number / PACE
        loop.run_to(due)
        pairs[number % len(pairs)].send(1, due)
    loop.run_to(begun + seconds)


def _median_and_late(times: list[float]) -> tuple[float, float]:
    """Return p50 and p99 of sorted seconds, in milliseconds."""
    return percentile(times, 0.5) * 1000, percentile(times, 0.99) * 1000


def full_load(loop: Loop, server: Running, talks: Sequence[Pair | Room], seconds: float) -> Load:
    """Keep as many messages in flight, measure for so many seconds, then verify everything.

    Raises:
        MismatchError: a message is lost, doubled or out of order, or none comes in time.
    """
    for talk in talks:
        talk.start(IN_FLIGHT)
    loop.run_for(WARM_UP)
    marks = [(len(talk.acks), len(talk.deliveries)) for talk in talks]
    before, spent = Reading.take(server.pids[0]), server.cpu_seconds()
    begun, fewest = perf_counter(), sum(mark[0] for mark in marks) + FEWEST
    loop.run_for(seconds)
    loop.run_until(
        lambda: perf_counter() > begun + MOST_SECONDS or sum(len(talk.acks) for talk in talks) >= fewest,
        "ack",
        2 * MOST_SECONDS,
    )
    usage, cpu = Usage.between(before, Reading.take(server.pids[0])), server.cpu_seconds() - spent
    acks = sorted(chain.from_iterable(t.acks[mark[0] :] for t, mark in zip(talks, marks, strict=True)))
    arrivals = sorted(chain.from_iterable(t.deliveries[mark[1] :] for t, mark in zip(talks, marks, strict=True)))
    memory = server.memory() / 1024
    settle(loop, talks)
    if not acks or not arrivals:
        raise MismatchError("nothing was acked or nothing arrived during the whole window")
    ack, arrival = _median_and_late(acks), _median_and_late(arrivals)
    each = cpu / len(acks) * 1e6, cpu / len(arrivals) * 1e6
    return Load(
        len(acks) / usage.wall, each, len(arrivals) / usage.wall, ack, arrival, memory, usage.load / usage.wall
    )


def settle(loop: Loop, talks: Sequence[Pair | Room]) -> None:
    """Stop sending, and wait until everything has arrived.

    Raises:
        MismatchError: something is missing, doubled or out of order.
    """
    for talk in talks:
        talk.refilling = False
    loop.run_until(lambda: all(talk.settled() for talk in talks), "end of the traffic", SETTLE_SECONDS)
    loop.run_for(0.2)
    if not all(talk.settled() for talk in talks):
        raise MismatchError("more arrived than was sent")
