"""The tally: how connections begin and end, and what is refused on them."""

from __future__ import annotations

import pytest
import trio

from relay.protocol.errors import CloseCode, ErrorCode
from relay.services.tally import Tally
from relay.testing import World


async def test_each_connection_counts_by_where_it_begins(world: World) -> None:
    starts = world.engine.tally.starts
    await world.connect("bob", "laptop")
    assert starts == {"new": 1}
    await world.talk("alice", "bob", 3)
    before = starts.copy()
    position, epoch = world.engine.router.position, world.engine.epoch
    await world.connect("bob", "laptop", cursor=position - 1, epoch=epoch)
    await world.connect("bob", "laptop", cursor=position - 1, epoch="of another database")
    await world.connect("bob", "laptop", cursor=position + 100, epoch=epoch)
    assert starts - before == {"resumed": 1, "reset": 2}


@pytest.mark.world("alice", "bob", RELAY_REPLAY__LIMIT="10")
async def test_a_replay_that_leaves_something_out_counts_apart(world: World) -> None:
    position = world.engine.router.position
    await world.talk("alice", "bob", 20)
    await world.connect("bob", "laptop", cursor=position, epoch=world.engine.epoch)
    assert world.engine.tally.starts["limited"] == 1


async def test_each_connection_counts_by_who_ends_it_and_by_the_code(world: World) -> None:
    closes, patience = world.engine.tally.closes, world.engine.settings.timeouts.close_seconds + 1
    for _ in range(2):
        await world.connect("bob", "laptop")  # the second one takes over from the first
    await trio.sleep(patience)
    assert closes == {("server", str(int(CloseCode.REPLACED))): 1}
    await (await world.connect("alice")).cut()
    await trio.testing.wait_all_tasks_blocked()
    assert closes["client", "1006"] == 1
    stranger = await world.upgrade()
    await stranger.event("hello", token="wrong")
    assert (await stranger.closed()).code == CloseCode.BAD_TOKEN
    await trio.sleep(patience)
    assert closes["server", str(int(CloseCode.BAD_TOKEN))] == 1


def test_codes_of_clients_are_told_apart_as_far_as_there_are_few() -> None:
    tally = Tally()
    for code in (None, 1000, 1001, 4242, 3999):
        tally.closed(None, code)
    tally.closed(CloseCode.DRAINING, 1000)
    assert tally.closes == {
        ("client", "1006"): 1,
        ("client", "1000"): 1,
        ("client", "1001"): 1,
        ("client", "other"): 2,
        ("server", "4404"): 1,
    }


async def test_errors_on_the_socket_count_by_code(world: World) -> None:
    alice = await world.connect("alice")
    before = world.engine.tally.errors.copy()
    await alice.request("chat_message", {"content": 5}, "bob")
    await alice.request("no_such_type", {}, "bob")
    await alice.request("chat_message", {"content": "hello"}, "nobody-of-that-name")
    counted = world.engine.tally.errors - before
    assert {code for _, code in counted} == {
        ErrorCode.INVALID_PAYLOAD,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.NOT_FOUND,
    }
    assert {way for way, _ in counted} == {"socket"}
    assert counted.total() == 3
