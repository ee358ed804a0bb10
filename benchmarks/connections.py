"""Connections rather than messages: thousands that stay silent, and one that comes back after a while."""

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
MISSED, BATCH = 1000, 20


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


def resume(scale: Scale) -> Result:
    """Come back to a thousand missed messages, again and again from the same cursor."""
    with running(["sender", "reader"], scale.profile_of("resume")) as server:
        loop = Loop()
        start = visit(server, loop)
        miss(server, loop)
        visit(server, loop, start)  # the first one reads from the disk's pages; it is not what is asked for
        before = Reading.take(server.pid)
        visits = [visit(server, loop, start) for _ in range(scale.resumes)]
        usage = Usage.between(before, Reading.take(server.pid))
        loop.close()
    took = sorted(client.synced_at - client.hello_at for client in visits)
    return Result(
        f"resume of {MISSED:,} missed messages, {len(took)} times",
        f"{MISSED * len(took) / sum(took):,.0f} messages/s",
        took,
        f"{usage.server / len(took) / MISSED * 1e6:.1f} µs/message",
        usage,
        [Target(f"median time to resume {MISSED:,} missed messages", percentile(took, 0.5) * 1000, 30, "ms")],
    )


def visit(server: Server, loop: Loop, since: Client | None = None, missed: int = MISSED) -> Client:
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
    expected = list(range(1, missed + 1)) if since else []
    if seqs != expected or client.synced.limited or (since and client.synced.cursor <= since.cursor):
        raise MismatchError(f"the replay brought {len(seqs)} messages of {len(expected)}: {client.synced}")
    client.replay.clear()
    return client


def miss(server: Server, loop: Loop) -> None:
    """Send exactly the messages the reader misses, and see each of them acked."""
    sender = server.client(loop, "sender")
    connect_all(loop, [sender], server.port)
    conversation = Conversation("chat_message", "reader", [sender], [sender])
    for _ in range(MISSED // BATCH):
        conversation.send(sender, BATCH)
        loop.run_until(conversation.settled, "ack")
    settle(loop, [conversation])
    sender.drop()
