"""The use of the disk: parts that add up, growth of what was, and what rules and time will erase."""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.engine.opening import open_engine
from relay.services.usage import FREE, REST, StorageUsage, Usage
from relay.settings import load
from relay.storage import figures, sizes
from relay.storage.aggregates import DAY, HOUR, Row, sample
from relay.storage.runners import too_slow
from relay.testing import World
from tests.services.test_tracing import say


def parts(found: Usage) -> dict[str, int]:
    return {part.name: part.bytes for part in found.parts}


async def grow(world: World, days: float, rate: float) -> None:
    """Write figures as if the database had grown for some days."""
    now = world.engine.now()
    for hours in range(int(days * 24)):
        at = now - days * DAY + hours * HOUR
        row = Row({"used_bytes": sample(1_000_000 + rate * (at - now + days * DAY))})
        await world.engine.runner.write(partial(figures.add, at=at, row=row))


async def test_the_parts_add_up_to_the_file(world: World) -> None:
    await world.talk("alice", "bob", 500)
    found = await world.engine.usage.usage()
    assert found.whole
    assert all(part.measured for part in found.parts)
    # But for the pages in which SQLite keeps the list of free ones.
    assert sum(parts(found).values()) == pytest.approx(found.database_bytes, abs=4096)
    assert parts(found)["messages"] > 100_000
    assert {"messages", "files", "figures", sizes.OTHER, "plugin search", FREE} <= parts(found).keys()
    assert found.disk_free_bytes is not None


async def test_it_is_measured_once_in_a_while(world: World) -> None:
    first = await world.engine.usage.usage()
    assert await world.engine.usage.usage() is first
    await trio.sleep(301)
    assert await world.engine.usage.usage() is not first


async def test_where_the_small_ones_take_too_long_together_each_is_measured_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = sizes.tree_sizes, list[int]()

    def slow_together(connection: sqlite3.Connection, names: list[str]) -> list[int]:
        asked.append(len(names))
        if len(names) > 1:
            raise too_slow()
        return real(connection, names)

    monkeypatch.setattr(sizes, "tree_sizes", slow_together)
    found = await world.engine.usage.usage()
    assert found.whole
    assert sum(parts(found).values()) == pytest.approx(found.database_bytes, abs=4096)
    assert asked[0] > 20
    assert set(asked[1:]) == {1}


async def test_without_dbstat_what_is_not_measured_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "measures", lambda _connection: False)
    found = await world.engine.usage.usage()
    assert not found.whole
    assert [(part.name, part.measured) for part in found.parts if part.name == REST] == [(REST, False)]
    assert sum(parts(found).values()) == found.database_bytes


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true")
async def test_growth_is_not_guessed_from_less_than_a_day(world: World) -> None:
    growth = (await world.engine.usage.usage()).growth
    assert (growth.bytes_per_day, growth.full_at) == (None, None)
    assert growth.text == "the figures do not reach back for a day yet"


async def test_without_figures_there_is_no_growth(world: World) -> None:
    assert (await world.engine.usage.usage()).growth.text == "[metrics] history is false"


async def test_when_the_disk_is_full_if_it_goes_on_like_this(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow(world, 10, rate=100.0)
    monkeypatch.setattr("relay.services.usage._disk", lambda _path: (100 * 50 * DAY, 10**12))
    found = await world.engine.usage.usage()
    assert found.growth.bytes_per_day == pytest.approx(100 * DAY)
    assert found.growth.full_at == pytest.approx(world.engine.now() + 50 * DAY, rel=1e-4)


async def test_what_shrinks_is_never_full(world: World) -> None:
    await grow(world, 10, rate=-1.0)
    growth = (await world.engine.usage.usage()).growth
    assert (growth.bytes_per_day, growth.full_at) == (pytest.approx(-DAY), None)
    assert growth.text == "it does not grow"


@pytest.mark.world(
    "alice",
    "bob",
    RELAY_PLUGINS__ALSO="retention",
    RELAY_PLUGINS__RETENTION__RULES__OLD__DAYS="60",
    RELAY_TYPES__CHAT_MESSAGE__TTL_SECONDS="864000",
)
async def test_what_rules_and_time_will_erase(world: World) -> None:
    for number in range(3):
        await say(world, f"message {number}")
    month, quarter = (await world.engine.usage.usage()).frees
    assert (month.days, [rule.rule for rule in month.rules]) == (30, ["old", "expires_at"])
    assert [rule.messages for rule in month.rules] == [0, 3]
    assert [rule.messages for rule in quarter.rules] == [3, 3]
    assert all(rule.whole for rule in quarter.rules)
    assert quarter.bytes > 0


def test_a_table_belongs_to_the_plugin_after_which_it_is_named() -> None:
    plugins = ["tasks", "tasks_more"]
    assert sizes.part_of("tasks_list", plugins) == "plugin tasks"
    assert sizes.part_of("tasks_more_list", plugins) == "plugin tasks_more"
    assert sizes.part_of("log", plugins) == "messages"
    assert sizes.part_of("users", plugins) == sizes.OTHER


@pytest.mark.real_time
async def test_it_waits_for_no_writer(tmp_path: Path) -> None:
    """A reader has its own snapshot, so it can measure while a transaction is open."""

    settings = load(None, {"RELAY_STORAGE__PATH": str(tmp_path / "relay.db")})
    async with open_engine(settings) as engine:
        usage: StorageUsage = engine.usage
        held, measured = trio.Event(), threading.Event()

        def hold(connection: sqlite3.Connection) -> None:
            trio.from_thread.run_sync(held.set, trio_token=token)
            assert measured.wait(60), "it waited for the writer"

        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.runner.write, hold)
            await held.wait()
            assert (await usage.usage()).whole
            measured.set()
