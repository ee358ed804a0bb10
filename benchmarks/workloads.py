"""Messages through the server: one to one, at a gentle pace, and to a large group."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks.frames import MismatchError, SharedDecoder
from benchmarks.load import connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.report import Result, Target, percentile
from benchmarks.server import Server, running
from benchmarks.traffic import Conversation, pace, settle

PAIRS, IN_FLIGHT, PACE = 50, 16, 100
GROUP, GROUP_MEMBERS, GROUP_SENDERS = "benchmark-group", 200, 5


@dataclass(frozen=True)
class Scale:
    """How long and how large: seconds of each measured window and of the warm-up before it."""

    seconds: float
    warm_up: float
    connections: int
    resumes: int
    profile: Path | None = None

    @property
    def large(self) -> bool:
        """Tell whether what is stored has its whole size."""
        return self.connections >= 5000

    def profile_of(self, name: str) -> Path | None:
        """Return where the profile of a workload goes, when one is wanted."""
        return self.profile / f"{name}.pstats" if self.profile else None


class Window:
    """The measured part of a run: what happened and what it cost between its two ends."""

    def __init__(self, server: Server, conversations: Sequence[Conversation]) -> None:
        self._server, self._conversations = server, conversations
        self._marks = [(c.acked, c.delivered) for c in conversations]
        self._before = Reading.take(server.pid)

    def end(self) -> None:
        """Take the second reading and cut the window's latencies out of the whole run's."""
        self.usage = Usage.between(self._before, Reading.take(self._server.pid))
        both = list(zip(self._conversations, self._marks, strict=True))
        self.acked = sum(c.acked - mark[0] for c, mark in both)
        self.latencies = sorted(chain.from_iterable(c.latencies[mark[1] :] for c, mark in both))
        self.delivered = len(self.latencies)
        if not self.acked or not self.delivered:
            raise MismatchError("nothing was acked or nothing arrived during the whole window")


def saturate(
    server: Server, loop: Loop, conversations: Sequence[Conversation], scale: Scale, in_flight: int = IN_FLIGHT
) -> Window:
    """Keep the same number of messages in flight, measure after a warm-up, then verify every message.

    Raises:
        MismatchError: a message is lost, doubled, altered or out of order.
    """
    for conversation in conversations:
        conversation.start(in_flight)
    loop.run_for(scale.warm_up)
    window = Window(server, conversations)
    loop.run_for(scale.seconds)
    window.end()
    settle(loop, conversations)
    return window


def pairs(server: Server, loop: Loop) -> list[Conversation]:
    """Connect every sender and its own receiver, and return their conversations."""
    sides = [[server.client(loop, f"{role}{n:03d}") for n in range(PAIRS)] for role in ("sender", "reader")]
    connect_all(loop, [*sides[0], *sides[1]], server.port)
    return [
        Conversation("chat_message", reader.user, [sender], [sender, reader])
        for sender, reader in zip(*sides, strict=True)
    ]


PAIR_USERS = [f"{role}{n:03d}" for role in ("sender", "reader") for n in range(PAIRS)]


def direct(scale: Scale) -> Result:
    """Run durable one-to-one messages, as many as the server takes."""
    with running(PAIR_USERS, scale.profile_of("direct")) as server:
        loop = Loop()
        window = saturate(server, loop, pairs(server, loop), scale)
        loop.close()
    usage = window.usage
    rate, cost = window.acked / usage.wall, usage.server / window.acked * 1e6
    return Result(
        f"durable one-to-one, {PAIRS} x {IN_FLIGHT} in flight",
        f"{rate:,.0f} messages/s",
        window.latencies,
        f"{cost:.1f} µs/message",
        usage,
        [
            Target("CPU of a durable one-to-one message", cost, 60, "µs"),
            Target("durable one-to-one messages a second", rate, 12_000, "", at_least=True),
        ],
    )


def paced(scale: Scale) -> Result:
    """Run durable one-to-one messages at a pace far below what the server takes."""
    with running(PAIR_USERS, scale.profile_of("paced")) as server:
        loop = Loop()
        conversations = pairs(server, loop)
        pace(loop, conversations, PACE, scale.warm_up)
        window = Window(server, conversations)
        pace(loop, conversations, PACE, scale.seconds)
        window.end()
        settle(loop, conversations)
        loop.close()
    usage, ordered = window.usage, window.latencies
    return Result(
        f"durable one-to-one at {PACE} messages/s",
        f"{window.delivered / usage.wall:,.1f} messages/s",
        ordered,
        f"{usage.server / window.acked * 1e6:.0f} µs/message",
        usage,
        [
            Target(f"median latency at {PACE} messages/s", percentile(ordered, 0.5) * 1000, 1, "ms"),
            Target(f"p99 latency at {PACE} messages/s", percentile(ordered, 0.99) * 1000, 4, "ms"),
        ],
    )


def group(scale: Scale, members: int = GROUP_MEMBERS) -> Result:
    """Run durable messages to a group whose members are all connected."""
    users = [f"member{n:04d}" for n in range(members)]
    with running(users, scale.profile_of(f"group-{members}")) as server:
        body = {"name": "Benchmark", "group_id": GROUP, "members": users}
        server.rest(users[0], "POST", "/api/groups", body)
        base = last_seq(server, users[0], GROUP)
        loop, decode = Loop(), SharedDecoder()
        clients = [server.client(loop, user) for user in users]
        for client in clients:
            client.decode = decode
        connect_all(loop, clients, server.port)
        conversation = Conversation("group_message", GROUP, clients[:GROUP_SENDERS], clients, base)
        window = saturate(server, loop, [conversation], scale)
        loop.close()
    usage = window.usage
    cost = usage.server / window.delivered * 1e6
    bound = {GROUP_MEMBERS: [Target(f"CPU of a delivery in a group of {members}", cost, 3, "µs")]}
    return Result(
        f"group of {members:,}, {GROUP_SENDERS} x {IN_FLIGHT} in flight",
        f"{window.delivered / usage.wall:,.0f} deliveries/s",
        window.latencies,
        f"{cost:.2f} µs/delivery",
        usage,
        bound.get(members, []),
    )


def last_seq(server: Server, user: str, target: str) -> int:
    """Return where a conversation stands, as its member's conversations list says.

    Raises:
        MismatchError: the list does not have it.
    """
    conversations = server.rest(user, "GET", "/api/conversations").get("conversations")
    for entry in conversations if isinstance(conversations, list) else []:
        if entry.get("target_id") == target:
            return int(entry["last_seq"])
    raise MismatchError(f"{target} is not among the conversations of {user}")
