"""When new messages are indexed, and that no search misses one that waits."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.storage.errors import StorageFailed
from relay.testing import Device, RelayWorld, World
from relay.testing import world as running
from tests.plugins.search.asking import found, say
from tests.plugins.search.asking import progress as loaded


@pytest.fixture
def progress() -> Any:
    return loaded()


async def numbers(world: World, query: str) -> Any:
    """Return one column of the plugin's tables."""

    def read(connection: sqlite3.Connection) -> list[Any]:
        return [row[0] for row in connection.execute(query)]

    return await world.engine.server_of("search").read(read)


async def indexed(world: World) -> Any:
    return await numbers(world, "SELECT id FROM search_index_content")


@asynccontextmanager
async def talk(relay_world: RelayWorld) -> AsyncIterator[tuple[World, Device]]:
    """Run a server whose index is whole, with a device of alice."""
    async with relay_world(None, "alice", "bob") as world:
        await whole(world)
        yield world, await world.connect("alice")


async def whole(world: World) -> None:
    """Wait until what was stored before is indexed."""
    while world.engine.server_of("search").memory.get("under way") != 0:
        await trio.sleep(0.01)


async def test_a_message_waits_until_somebody_searches(relay_world: RelayWorld) -> None:
    async with talk(relay_world) as (world, alice):
        ids = await say(alice, "bob", "one bird", "two birds")
        assert await indexed(world) == []
        assert await found(world, "bob", "bird*", order="newest") == ["two birds", "one bird"]
        assert await indexed(world) == ids


@pytest.mark.parametrize(("limit", "most", "texts"), [("ENOUGH", 3, "abcd"), ("LONG", 200, ["long" * 15] * 4)])
async def test_the_one_that_makes_them_enough_has_all_indexed(
    progress: Any,
    relay_world: RelayWorld,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most: int,
    texts: list[str],
) -> None:
    monkeypatch.setattr(progress, limit, most)
    async with talk(relay_world) as (world, alice):
        ids = await say(alice, "bob", *texts[:2])
        assert await indexed(world) == []
        ids += await say(alice, "bob", texts[2])
        assert await indexed(world) == ids
        await say(alice, "bob", texts[3])
        assert await indexed(world) == ids


async def test_many_at_once_do_not_wait_where_none_does(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MANY", 4)
    async with talk(relay_world) as (world, _):
        server = world.engine.server_of("search")
        entries = [
            await server.send("alice", "chat_message", {"content": f"word {number}"}, "bob") for number in range(5)
        ]
        assert await indexed(world) == []

        def store(connection: sqlite3.Connection) -> None:
            progress.stored(server, connection, entries)

        with monkeypatch.context() as patch:
            patch.setattr(progress, "catch_up", None)  # what is at hand is not read again
            await server.write(store)
        assert await indexed(world) == [entry.message_id for entry in entries]
        assert await numbers(world, "SELECT value FROM search_state WHERE name = 'done'") == [
            entries[-1].message_id
        ]
        assert sorted(await found(world, "bob", "word")) == [f"word {number}" for number in range(5)]


async def test_many_at_once_wait_as_well_behind_one_that_waits(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MANY", 4)
    async with talk(relay_world) as (world, _):
        server = world.engine.server_of("search")
        entries = [
            await server.send("alice", "chat_message", {"content": f"word {number}"}, "bob") for number in range(5)
        ]
        await server.write(lambda connection: progress.stored(server, connection, entries[1:]))
        assert await indexed(world) == []
        assert sorted(await found(world, "bob", "word")) == [f"word {number}" for number in range(5)]


async def test_more_than_one_slice_that_waits_is_found(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SLICE", 2)
    async with talk(relay_world) as (world, alice):
        ids = await say(alice, "bob", *(f"word {number}" for number in range(5)))
        assert await indexed(world) == []
        assert len(await found(world, "bob", "word")) == 5
        assert await indexed(world) == ids


async def test_what_changes_while_it_waits_is_found_as_it_is_then(relay_world: RelayWorld) -> None:
    async with talk(relay_world) as (world, alice):
        first, second, third = await say(alice, "bob", "apples", "oranges", "plums")
        await alice.request("message_edit", {"message_id": first, "content": "pears"}, "bob")
        await alice.request("message_delete", {"message_id": second}, "bob")
        assert await indexed(world) == []
        assert await found(world, "bob", "pears") == ["pears"]
        assert await found(world, "bob", "apples") == await found(world, "bob", "oranges") == []
        assert await indexed(world) == [first, third]
        assert await numbers(world, "SELECT words FROM search_gone") == []  # nothing had to leave the index
        await alice.request("message_edit", {"message_id": third, "content": "cherries"}, "bob")
        assert await found(world, "bob", "cherries") == ["cherries"]
        assert await found(world, "bob", "plums") == []


async def test_what_waits_at_the_end_is_found_after_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, "alice", "bob") as world:
        await whole(world)
        alice = await world.connect("alice")
        first, _ = await say(alice, "bob", "early bird", "late bird")
        assert await indexed(world) == []
        tokens = world.tokens
    async with running(tmp_path) as world:
        world.tokens = tokens
        await whole(world)
        assert len(await indexed(world)) == 2
        alice = await world.connect("alice")
        await alice.request("message_edit", {"message_id": first, "content": "earliest bird"}, "bob")
        assert await found(world, "bob", "early") == []
        assert await found(world, "bob", "bird", order="newest") == ["late bird", "earliest bird"]


async def test_a_transaction_that_is_undone_leaves_them_waiting(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talk(relay_world) as (world, alice):
        await say(alice, "bob", "bird")
        server = world.engine.server_of("search")

        def undone(connection: sqlite3.Connection) -> None:
            progress.index_what_waits(server, connection)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await server.write(undone)
        assert await indexed(world) == []
        assert await found(world, "bob", "bird") == ["bird"]


async def test_while_the_disk_takes_nothing_what_is_indexed_is_found(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talk(relay_world) as (world, alice):
        await say(alice, "bob", "early bird")
        assert await found(world, "bob", "bird") == ["early bird"]
        await say(alice, "bob", "late bird")

        async def full(*_: Any) -> None:
            raise StorageFailed("the disk is full")

        server = world.engine.server_of("search")
        with monkeypatch.context() as patch:
            patch.setattr(server, "write", full)
            assert await found(world, "bob", "bird") == ["early bird"]
        assert len(await found(world, "bob", "bird")) == 2


async def test_what_failed_while_older_ones_were_indexed_is_indexed_once_more(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talk(relay_world) as (world, alice):
        await say(alice, "bob", "early bird")
        assert await found(world, "bob", "bird") == ["early bird"]
        server = world.engine.server_of("search")
        await server.write(lambda _: progress.begin(server))
        with monkeypatch.context() as patch:
            patch.setattr(progress, "put", None)
            await say(alice, "bob", "lost bird")
        assert server.failures == 1
        assert await found(world, "bob", "bird") == ["early bird"]
        await server.write(lambda connection: progress.end(server, connection))
        assert len(await found(world, "bob", "bird")) == 2


async def test_what_came_and_changed_while_older_ones_were_indexed_is_found_as_it_is_and_not_indexed_again(
    progress: Any, relay_world: RelayWorld
) -> None:
    async with talk(relay_world) as (world, alice):
        server = world.engine.server_of("search")
        await server.write(lambda _: progress.begin(server))
        first, second = await say(alice, "bob", "early bird", "late bird")
        await alice.request("message_edit", {"message_id": first, "content": "earliest bird"}, "bob")
        assert await found(world, "bob", "early") == []
        await server.write(lambda connection: progress.end(server, connection))
        assert await found(world, "bob", "bird", order="newest") == ["late bird", "earliest bird"]
        assert await indexed(world) == [first, second]
        left = await numbers(world, "SELECT words FROM search_gone")
        assert [words.split() for words in left] == [["early", "bird"]]  # of the edit, and of nothing else


async def test_while_older_ones_are_indexed_new_ones_are_found_at_once(
    progress: Any, relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talk(relay_world) as (world, alice):
        from relay.app.plugin_admin import run_command

        await say(alice, "bob", "old bird")
        server = world.engine.server_of("search")

        def twice(connection: sqlite3.Connection) -> None:
            progress.begin(server)

        await server.write(twice)
        new = await say(alice, "bob", "new bird")
        assert await indexed(world) == new
        assert await found(world, "bob", "bird") == ["new bird"]
        assert await run_command(world.engine, "search rebuild", {}) == "2 messages can be found"
        newer = await say(alice, "bob", "newer bird")  # the other one is under way still
        assert newer[0] in await indexed(world)
        await server.write(lambda connection: progress.end(server, connection))
        newest = await say(alice, "bob", "newest bird")
        assert newest[0] not in await indexed(world)
        assert len(await found(world, "bob", "bird")) == 4
