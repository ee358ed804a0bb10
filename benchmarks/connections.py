"""Connections rather than messages: thousands that stay silent, and one that comes back after a while."""

from dataclasses import replace

from benchmarks.frames import MismatchError
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.report import Result, Target, percentile
from benchmarks.server import Server, running
from benchmarks.traffic import Conversation, settle
from benchmarks.workloads import Scale

DEVICES = 5
BASELINE_CONNECTIONS = 10
MISSED, BATCH, FEWEST = 1000, 20, 3
LONG_REPLAY = "queue_bytes = 268435456\nqueue_messages = 1000000\n"
"""Limits for a replay that is far longer than any that an application asks for."""


def idle(scale: Scale) -> Result:
    """Open many authenticated connections, a few a user, and keep them all."""
    count = scale.connections
    users = [f"user{n:05d}" for n in range(count // DEVICES)]
    with running(["first", *users], scale.profile_of("idle")) as server:
        loop = Loop()
        # What the first connection loads for good is no cost of the five thousandth.
        first = [server.client(loop, "first", f"device{n}") for n in range(BASELINE_CONNECTIONS)]
        connect_all(loop, first, server.port)
        loop.run_for(scale.warm_up)
        clients = [server.client(loop, user, f"device{n}") for n in range(DEVICES) for user in users]
        memory, before = server.memory(), Reading.take(server.pid)
        connect_all(loop, clients, server.port)
        usage = Usage.between(before, Reading.take(server.pid))
        loop.run_for(scale.seconds)
        kib = (server.memory() - memory) / count
        if len(loop) != count + BASELINE_CONNECTIONS:
            raise MismatchError(f"of {count} idle connections {len(loop)} are left")
        loop.close()
    rate = count / usage.wall
    return Result(
        f"{count:,} idle connections, {kib:.1f} KiB each",
        f"{rate:,.0f} connections/s",
        [client.synced_at - client.hello_at for client in clients],
        f"{usage.server / count * 1e6:.0f} µs/connection",
        usage,
        [
            Target(f"memory of an idle connection, {count:,} open", kib, 25, "KiB"),
            Target("connections a second, hello to synced included", rate, 1000, "", at_least=True),
        ],
    )


def many_idle(scale: Scale) -> Result:
    """Open twice as many."""
    return idle(replace(scale, connections=2 * scale.connections))


def resume(scale: Scale, missed: int = MISSED) -> Result:
    """Come back to missed messages, again and again from the same cursor."""
    usual, times = missed == MISSED, max(FEWEST, scale.resumes * MISSED // missed)
    config = "" if usual else LONG_REPLAY
    profile = scale.profile_of(f"resume-{missed}")
    with running(["sender", "reader"], profile, config, replay=missed + 1000) as server:
        loop = Loop()
        start = visit(server, loop)
        miss(server, loop, missed)
        # The first one reads from the disk's pages; it is not what is asked for.
        visit(server, loop, start, missed)
        before = Reading.take(server.pid)
        visits = [visit(server, loop, start, missed) for _ in range(times)]
        usage = Usage.between(before, Reading.take(server.pid))
        loop.close()
    took = sorted(client.synced_at - client.hello_at for client in visits)
    middle = percentile(took, 0.5) * 1000
    return Result(
        f"resume of {missed:,} missed messages, {times} times",
        f"{missed * times / sum(took):,.0f} messages/s",
        took,
        f"{usage.server / times / missed * 1e6:.1f} µs/message",
        usage,
        [Target(f"median time to resume {missed:,} missed messages", middle, 30, "ms")] if usual else [],
    )


def visit(server: Server, loop: Loop, since: Client | None = None, missed: int = 0) -> Client:
    """Connect the reader, from where `since` stood if given, check the whole replay, and disconnect.

    Raises:
        MismatchError: the replay is not exactly the missed messages.
    """
    client = server.client(loop, "reader")
    if since:
        client.resume_from(since.cursor, since.ready.epoch)
    connect_all(loop, [client], server.port)
    client.close()
    loop.run_until(lambda: client.closed, "end of a closed connection", 5)
    seqs = [frame.meta.seq for frame in client.replay if frame.type == "chat_message" and frame.meta.replay]
    expected = list(range(1, missed + 1))
    if seqs != expected or client.synced.limited or (since and client.synced.cursor <= since.cursor):
        raise MismatchError(f"the replay brought {len(seqs)} messages of {len(expected)}: {client.synced}")
    client.replay.clear()
    return client


def miss(server: Server, loop: Loop, missed: int) -> None:
    """Send exactly the messages the reader misses, and see each of them acked."""
    sender = server.client(loop, "sender")
    connect_all(loop, [sender], server.port)
    conversation = Conversation("chat_message", "reader", [sender], [sender])
    batch = max(BATCH, missed // 200)
    for _ in range(missed // batch):
        conversation.send(sender, batch)
        loop.run_until(conversation.settled, "ack")
    settle(loop, [conversation])
    sender.drop()
