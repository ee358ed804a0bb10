"""Real nodes that come, go, stay away for long and come back: with all that the others have, and clients with no gap."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from functools import partial

import pytest
import trio

from tests.cluster.balancer import Balancer
from tests.cluster.promises import count_rows, different
from tests.cluster.streams import purge
from tests.cluster.world import World
from tests.e2e.restarting import Ledger, run_clients_in_node
from tests.e2e.wire import Gone
from tests.e2e.world import Device, unique
from tests.js.test_node import needs_node

pytestmark = [pytest.mark.real_time, pytest.mark.long]

PATIENCE = 60.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("cluster"), ("alice", "bob", "carol", "dave"))
    yield world
    world.end()


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.forget()


def assert_equal(world: World) -> None:
    """Compare the databases of all nodes, row by row."""
    files = world.cluster.copies()
    assert list(different(files)) == []
    assert count_rows(files[0]) > 50


def say(sender: Device, count: int) -> list[str]:
    contents = [unique("said") for _ in range(count)]
    for content in contents:
        sender.say("bob", content)
    return contents


def test_all_nodes_are_stopped_and_started_in_any_order(world: World) -> None:
    said: list[str] = []
    nodes = list(world.cluster.nodes)
    for stops, starts in (((0, 1, 2), (2, 1, 0)), ((2, 0, 1), (1, 2, 0))):
        said += say(world.device(nodes[0], "alice"), 5)
        world.forget()
        for at in stops:
            assert nodes[at].stop() == 0, nodes[at].diagnosis()
        for at in starts:
            nodes[at].spawn()
        world.cluster.wait_settled()
        for node in nodes:
            assert world.device(node, "bob").contents()[-len(said) :] == said
    assert_equal(world)


def test_a_new_node_joins_while_messages_are_sent(world: World) -> None:
    sender = world.device(world.by_role()[1], "alice")
    said = say(sender, 20)
    node = world.cluster.add()
    world.cluster.enter(node)
    node.spawn()
    deadline = time.monotonic() + PATIENCE
    while not node.is_ready():
        said += say(sender, 5)
        assert time.monotonic() < deadline, world.cluster.diagnosis()
    world.cluster.wait_settled()
    assert world.device(node, "bob").contents()[-len(said) :] == said
    assert_equal(world)


def test_a_node_that_was_away_for_longer_than_the_stream_is_kept_takes_a_new_copy(world: World) -> None:
    leader, away = world.by_role()[:2]
    sender = world.device(leader, "alice")
    say(sender, 5)
    assert away.stop() == 0
    said = say(sender, 20)
    purge(world.cluster.urls)
    said += say(sender, 5)
    away.spawn()
    world.cluster.wait_settled()
    assert world.device(away, "bob").contents()[-25:] == said
    assert "a copy of the database is fetched" in away.log.read_text()
    assert_equal(world)


def test_a_leader_that_stood_still_for_three_leases_acknowledges_nothing(world: World) -> None:
    leader, other = world.by_role()[:2]
    sender, elsewhere = world.device(leader, "alice"), world.device(other, "alice")
    refs = [unique("deposed") for _ in range(5)]
    with world.cluster.stopped(leader):
        for ref in refs:  # what the system keeps for a process that stands still
            sender.send("bob", ref, id=ref)
        assert elsewhere.wait_closed() is None  # its way to the leader is cut
        time.sleep(3 * world.cluster.lease)
        back = world.device(other, "alice")  # another node leads
        acks = [back.acked(back.send("bob", ref, id=ref)) for ref in refs]
    with contextlib.suppress(Gone):
        while sender.take(PATIENCE)["type"] != "ack":
            pass
        pytest.fail("it was acknowledged by a leader that leads no more")
    assert not any(ack["duplicate"] for ack in acks)
    world.cluster.wait_settled()
    for node in (leader, other):
        reader = world.device(node, "bob")
        assert reader.contents()[-5:] == refs
        assert reader.seqs()[-5:] == [ack["seq"] for ack in acks]
    assert_equal(world)


@needs_node
def test_clients_of_the_sdk_go_on_at_another_node_without_a_gap(world: World) -> None:
    people: Mapping[str, str] = {"carol": "dave", "dave": "carol"}
    tokens = {user: world.tokens[user] for user in people}

    async def run(url: str) -> None:
        ledger, until = Ledger(people), trio.Event()
        with trio.fail_after(2 * PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(run_clients_in_node, url, tokens, ledger, 0.05, until))
                await ledger.wait(lambda: len(ledger.acked) > 20)
                for _ in range(2):
                    leader = await trio.to_thread.run_sync(world.cluster.wait_settled)
                    acked = len(ledger.acked)
                    await trio.to_thread.run_sync(leader.kill)
                    await ledger.wait(lambda acked=acked: len(ledger.acked) > acked + 20)
                    await trio.to_thread.run_sync(leader.start)
                until.set()
        assert ledger.missing(ledger.counts()) == 0
        assert ledger.doubled() == 0

    with Balancer([node.address for node in world.cluster.nodes]).running() as balancer:
        trio.run(run, balancer.url)
    assert_equal(world)
