"""How the costs grow: with all coming back at once, with what is stored."""

import time
from collections.abc import Callable
from dataclasses import replace

import httpx

from benchmarks.history import PAIR_COUNT, write_history
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.populated import WORDS
from benchmarks.report import Curve, Result, Target, milliseconds, percentile
from benchmarks.server import Server, prepared, running, serving
from benchmarks.workloads import PAIR_USERS, Scale, pairs, saturate

STORED, CALLS = (10_000, 100_000, 1_000_000), 400


def alone(scale: Scale) -> Result:
    """Run durable one-to-one messages of one sender who waits for each ack: a window of 1."""
    with running(PAIR_USERS, scale.profile_of("alone")) as server:
        loop = Loop()
        pair = pairs(server, loop)[:1]
        window = saturate(server, loop, pair, scale, in_flight=1)
        loop.close()
    usage = window.usage
    return Result(
        "durable one-to-one, one in flight",
        f"{window.acked / usage.wall:,.0f} messages/s",
        window.latencies,
        f"{usage.server / window.acked * 1e6:.0f} µs/message",
        usage,
    )


def storm(scale: Scale) -> Result:
    """Cut all connections at once, and let all come back at once with their cursors."""
    count = scale.connections
    users = [f"user{n:05d}" for n in range(count // 5)]
    with running(["first", *users], scale.profile_of("storm")) as server:
        loop = Loop()
        clients = [server.client(loop, user, f"device{n}") for n in range(5) for user in users]
        connect_all(loop, clients, server.port)
        again = [_again(server, loop, client) for client in clients]
        before = Reading.take(server.pid)
        connect_all(loop, again, server.port, at_once=count)
        usage = Usage.between(before, Reading.take(server.pid))
        loop.close()
    took = sorted(client.synced_at - client.hello_at for client in again)
    return Result(
        f"{count:,} come back at once",
        f"{count / usage.wall:,.0f} connections/s",
        took,
        f"{usage.server / count * 1e6:.0f} µs/connection",
        usage,
        [Target("seconds until the last of them is back", usage.wall, 10, "s")],
    )


def _again(server: Server, loop: Loop, client: Client) -> Client:
    device = client.client_id.removesuffix(f"-{client.user}")
    again = server.client(loop, client.user, device)
    again.resume_from(client.cursor, client.ready.epoch)
    client.drop()
    return again


def million(scale: Scale) -> Result:
    """Start on more and more stored messages up to a million, read pages of history, search and send."""
    points, users = {}, [f"user{n:03d}" for n in range(PAIR_COUNT * 2)]
    for count in STORED if scale.large else STORED[:1]:
        with prepared([*users, *PAIR_USERS]) as (folder, tokens):
            with serving(folder, tokens) as server:
                server.command("import", str(write_history(folder, users, count)))
            begun = time.perf_counter()
            with serving(folder, tokens, scale.profile_of(f"million-{count}")) as server:
                started = time.perf_counter() - begun
                before = Reading.take(server.pid)
                pages = _timed(server, users, lambda other, _: f"/api/messages/user/{other}?limit=50")
                finds = _timed(server, users, lambda _, number: f"/api/search?q={WORDS[number % len(WORDS)]}")
                usage, loop = Usage.between(before, Reading.take(server.pid)), Loop()
                window = saturate(server, loop, pairs(server, loop), replace(scale, seconds=scale.seconds / 2))
                loop.close()
        points[count] = {
            "until it takes connections, s": started,
            "a page of history, p50, ms": percentile(sorted(pages), 0.5) * 1000,
            "a search, p50, ms": percentile(sorted(finds), 0.5) * 1000,
            "CPU of a message to one, µs": window.usage.server / window.acked * 1e6,
        }
    middle, late = (milliseconds(percentile(sorted(finds), share)) for share in (0.5, 0.99))
    return Result(
        f"pages of 50 of {count:,} stored messages",
        f"starts in {started:.2f} s",
        pages,
        f"search {middle}, {late}",
        usage,
        [Target(f"seconds to start with {count:,} messages", started, 2, "s")],
        curve=Curve("stored messages", "stored messages", points),
    )


def _timed(server: Server, users: list[str], path: Callable[[str, int], str]) -> list[float]:
    """Ask for these paths, each by another user, and return how long each answer took."""
    took = []
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60, trust_env=False) as rest:
        for number in range(CALLS):
            user, other = users[number % PAIR_COUNT], users[number % PAIR_COUNT + PAIR_COUNT]
            headers = {"Authorization": f"Bearer {server.tokens[user]}"}
            begun = time.perf_counter()
            rest.get(path(other, number), headers=headers).raise_for_status()
            took.append(time.perf_counter() - begun)
    return took
