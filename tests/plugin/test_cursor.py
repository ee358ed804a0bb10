"""Following the log by a cursor: from where it was saved, in slices, over a full disk."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from relay.plugin import LogCursor, Server, Slice, StorageFailed, survive_full_disk
from relay.testing import World

READ = "SELECT message_id FROM log WHERE message_id > ? AND message_id <= ? ORDER BY message_id LIMIT ?"
LIMIT = 2


@pytest.fixture
async def server(world: World) -> Server:
    """Return the server as a bundled plugin sees it, with a table for cursors."""
    made: Server = world.engine.server_of("chat_message")
    await made.write(lambda connection: connection.execute("CREATE TABLE tally (name TEXT PRIMARY KEY, value)"))
    return made


async def say(world: World, count: int) -> list[int]:
    found = []
    for _ in range(count):
        body = {"type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": "bob"}}
        found.append((await world.rest("POST", "/api/messages", "alice", json_body=body)).body["message_id"])
    return found


def saved(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM tally WHERE name = 'read'").fetchone()[0])


def reader(server: Server, seen: list[int], *, acted: bool) -> Callable[[int, int], Awaitable[Slice]]:
    async def take(after: int, until: int) -> Slice:
        rows = await server.read(lambda connection: connection.execute(READ, (after, until, LIMIT)).fetchall())
        seen.extend(row[0] for row in rows)
        return Slice.of(rows, LIMIT, until, acted=acted)

    return take


async def test_the_first_time_what_is_there_already_concerns_nobody(world: World, server: Server) -> None:
    await say(world, 3)
    cursor = await LogCursor.open(server, "tally", "read")
    assert cursor.at == await server.read(saved) == server.position


async def test_a_cursor_goes_on_where_it_was_saved_and_reads_each_message_once(
    world: World, server: Server
) -> None:
    seen: list[int] = []
    cursor = await LogCursor.open(server, "tally", "read")
    ids = await say(world, 5)
    await cursor.catch_up(reader(server, seen, acted=True))
    assert seen == ids
    assert await server.read(saved) == cursor.at == server.position
    more = await say(world, 1)
    cursor = await LogCursor.open(server, "tally", "read")
    await cursor.catch_up(reader(server, seen, acted=True))
    assert seen == ids + more


async def test_a_cursor_beyond_the_log_of_a_restored_backup_begins_at_its_end(
    world: World, server: Server
) -> None:
    await server.write(lambda connection: connection.execute("INSERT INTO tally VALUES ('read', 1000000)"))
    assert (await LogCursor.open(server, "tally", "read")).at == server.position


async def test_slices_that_said_nothing_are_noted_once_a_minute(world: World, server: Server) -> None:
    cursor = await LogCursor.open(server, "tally", "read")
    began = cursor.at
    take = reader(server, [], acted=False)
    await say(world, 5)
    await cursor.catch_up(take)
    assert cursor.at > await server.read(saved) == began
    await trio.sleep(60)
    await cursor.catch_up(take)
    assert await server.read(saved) == cursor.at


async def test_a_cursor_waits_for_what_is_stored_beyond_it(world: World, server: Server) -> None:
    cursor = await LogCursor.open(server, "tally", "read")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cursor.wait)
        with trio.move_on_after(100) as waiting:
            await trio.sleep_forever()
        assert waiting.cancelled_caught
        assert len(nursery.child_tasks) == 1
        await say(world, 1)
    with trio.fail_after(1):
        await cursor.wait()  # what it has not read is there still


async def test_a_task_goes_on_after_a_full_disk_and_nothing_counts_as_a_failure(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[float] = []

    async def task(at: list[float]) -> None:
        at.append(trio.current_time())
        async with trio.open_nursery():
            if len(at) < 3:
                raise StorageFailed("full")
            await trio.sleep_forever()

    with caplog.at_level(logging.WARNING), trio.move_on_after(100):
        await survive_full_disk(server, partial(task, begun))
    assert [moment - begun[0] for moment in begun] == [0, 30, 60]
    assert caplog.text.count("the disk did not take something; chat_message goes on in 30 s") == 2
    assert server.failures == 0
