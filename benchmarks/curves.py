"""How costs grow: with accounts, with connections, with a user's conversations, with the size of a group."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import httpx
import msgspec

from benchmarks.connections import DEVICES
from benchmarks.frames import Frame, MismatchError, masked
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.report import Curve, Result, percentile
from benchmarks.server import Server, prepared, running, serving
from benchmarks.workloads import PAIR_USERS, Scale, group, pairs, saturate

ACCOUNTS = (1_000, 10_000, 100_000)
CONNECTIONS = (100, 1_000, 5_000, 10_000)
CONVERSATIONS = (10, 100, 1_000, 10_000)
MEMBERS = (10, 50, 200, 1_000, 2_000)
HELLOS, SPREAD, IN_FLIGHT, CALLS = 300, 4_000, 16, 50
WINDOW = 0.4  # of the usual one


def accounts(scale: Scale) -> Result:
    """Measure servers with more and more accounts, of which a few hundred talk."""
    points = {}
    for count in _up_to(ACCOUNTS, scale):
        users = [*PAIR_USERS, *(f"user{n:06d}" for n in range(count - len(PAIR_USERS)))]
        with prepared(users) as (folder, tokens):
            begun = time.perf_counter()
            with serving(folder, tokens) as server:
                started, loop = time.perf_counter() - begun, Loop()
                window = saturate(server, loop, pairs(server, loop), _short(scale))
                greeted = [server.client(loop, user) for user in users[-HELLOS:]]
                before = Reading.take(server.pid)
                connect_all(loop, greeted, server.port)
                usage = Usage.between(before, Reading.take(server.pid))
                points[count] = {
                    "until it takes connections, s": started,
                    "CPU of a hello, µs": usage.server / HELLOS * 1e6,
                    "CPU of a message to one, µs": window.usage.server / window.acked * 1e6,
                    "memory, MiB": server.memory() / 1024,
                }
                loop.close()
    return Curve("accounts", "accounts", points).result(usage)


def connections(scale: Scale) -> Result:
    """Measure messages of pairs while more and more others are connected and silent."""
    points, steps = {}, _up_to(CONNECTIONS, scale)
    users = [f"user{n:05d}" for n in range(steps[-1] // DEVICES)]
    with running([*PAIR_USERS, *users]) as server:
        loop = Loop()
        talking = pairs(server, loop)
        silent = [server.client(loop, user, f"device{n}") for n in range(DEVICES) for user in users]
        memory, opened = server.memory(), 0
        for count in steps:
            connect_all(loop, silent[opened:count], server.port)
            opened = count
            grown = (server.memory() - memory) / count
            window = saturate(server, loop, talking, _short(scale))
            points[count] = {
                "CPU of a message to one, µs": window.usage.server / window.acked * 1e6,
                "memory of a connection, KiB": grown,
            }
        loop.close()
    return Curve("connections", "silent connections", points).result(window.usage)


def conversations(scale: Scale) -> Result:
    """Measure a user who has more and more conversations."""
    points = {}
    for count in _up_to(CONVERSATIONS, scale):
        others = [f"other{n:05d}" for n in range(count)]
        with prepared(["hub", *others]) as (folder, tokens), serving(folder, tokens) as server:
            server.command("import", str(_one_each(folder, others)))
            loop = Loop()
            hub = server.client(loop, "hub")
            connect_all(loop, [hub], server.port)
            usage = spread(server, loop, hub, others)
            again = [_again(server, loop, hub) for _ in range(CALLS)]
            listed = sorted(_listed(server))
            points[count] = {
                "CPU of a message to each in turn, µs": usage.server / SPREAD * 1e6,
                "coming back, p50, ms": percentile(sorted(again), 0.5) * 1000,
                "their list, first page, p50, ms": percentile(listed, 0.5) * 1000,
            }
            loop.close()
    return Curve("conversations", "conversations of one user", points).result(usage)


def groups(scale: Scale) -> Result:
    """Measure groups of more and more members, who are all connected."""
    points = {}
    for count in _up_to(MEMBERS, scale):
        result = group(_short(scale), count)
        ordered = sorted(result.latencies)
        each = result.usage.server / len(ordered) * 1e6
        points[count] = {
            "CPU of a delivery, µs": each,
            "CPU of a message, µs": each * (count - 1),
            "deliveries/s": len(ordered) / result.usage.wall,
        }
    return Curve("groups", "members of a group", points).result(result.usage)


def spread(server: Server, loop: Loop, client: Client, targets: Sequence[str]) -> Usage:
    """Send messages to each of these in turn, some in flight, and return what they cost.

    Raises:
        MismatchError: one is refused, acked twice or never.
    """
    acked: set[str] = set()
    numbers = iter(range(SPREAD))

    def send(count: int) -> None:
        frames = []
        for number in islice(numbers, count):
            meta = {"target_id": targets[number % len(targets)], "id": f"spread-{number}"}
            message = {"type": "chat_message", "payload": {"content": "x" * 200}, "meta": meta}
            frames.append(masked(msgspec.json.encode(message)))
        client.write(b"".join(frames))

    def receive(_: Client, frames: list[Frame], _now: float) -> None:
        for frame in frames:
            if frame.type == "error" or frame.payload.duplicate or frame.meta.ref in acked:
                raise MismatchError(f"an answer that is none: {frame}")
            if frame.type == "ack":
                acked.add(frame.meta.ref)
                client.cursor = frame.payload.message_id
                send(1)

    client.handle(receive)
    before = Reading.take(server.pid)
    send(IN_FLIGHT)
    loop.run_until(lambda: len(acked) == SPREAD, "ack of every message", 120)
    return Usage.between(before, Reading.take(server.pid))


def _again(server: Server, loop: Loop, client: Client) -> float:
    """Come back from where a client stood, and return the seconds from the hello to `synced`."""
    again = server.client(loop, client.user, "again")
    again.resume_from(client.cursor, client.ready.epoch)
    connect_all(loop, [again], server.port)
    again.drop()
    return again.synced_at - again.hello_at


def _listed(server: Server) -> list[float]:
    """Ask for the hub's conversations, and return the seconds until each answer."""
    took, headers = [], {"Authorization": f"Bearer {server.tokens['hub']}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as rest:
        for _ in range(CALLS):
            begun = time.perf_counter()
            rest.get("/api/conversations").raise_for_status()
            took.append(time.perf_counter() - begun)
    return took


def _one_each(folder: Path, others: Sequence[str]) -> Path:
    """Write one message of each to the hub, to a file that can be imported."""
    file = folder / "history.ndjson"
    with file.open("wb") as lines:
        for number, other in enumerate(others):
            meta = {"id": f"old-{number}", "sender_id": other, "target_id": "hub"}
            envelope = {"type": "chat_message", "payload": {"content": f"Hello from {other}"}, "meta": meta}
            lines.write(msgspec.json.encode(envelope) + b"\n")
    return file


def _up_to(steps: Sequence[int], scale: Scale) -> Sequence[int]:
    """Leave the last step out of a quick run."""
    return steps if scale.large else steps[:-1]


def _short(scale: Scale) -> Scale:
    """Return shorter windows: there are many points."""
    return replace(scale, seconds=max(0.5, scale.seconds * WINDOW), warm_up=0.5)
