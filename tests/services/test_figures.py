"""Figures over time: each minute is kept, put together to hours and days, and read by a step that fits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.figures import FIGURES, MOST_POINTS, Reading, difference
from relay.storage import figures
from relay.storage.aggregates import DAY, HOUR, KEPT, MINUTE, Row, sample, slot
from relay.testing import World
from tests.services.test_tracing import say


async def points(world: World, name: str, back: float = HOUR, step: int | None = None) -> list[Any]:
    now = world.engine.now()
    (series,) = await world.engine.figures.series([name], now - back, now + 1, step)
    return list(series.points)


async def rows(world: World, step: int) -> int:
    """Return how many slots of a step are stored."""

    def count(connection: Any) -> int:
        return int(connection.execute("SELECT count(*) FROM figures WHERE step = ?", (step,)).fetchone()[0])

    return await world.engine.runner.read(count)


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true", RELAY_HEARTBEAT__INTERVAL_SECONDS="300")
async def test_each_minute_has_what_was_stored_and_sent_in_it(world: World) -> None:
    await world.connect("bob")
    await say(world)
    await trio.sleep(61)
    await say(world)
    await say(world)
    await trio.sleep(60)
    assert [point.total for point in await points(world, "messages")] == [1, 2]
    assert [point.total for point in await points(world, "deliveries")] == [1, 2]
    assert [point.mean for point in await points(world, "connections")] == [1, 1]
    (first, second) = await points(world, "commit_seconds")
    assert (first.count, second.count) == (1, 2)
    assert 0 < first.p50 <= first.p99
    (before, after) = await points(world, "database_bytes")
    assert before.mean > 0
    assert before.at == slot(before.at, MINUTE)
    assert after.at == before.at + MINUTE


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true")
async def test_a_refusal_is_counted(world: World) -> None:
    bob = await world.connect("bob")
    answer = await bob.request("chat_message", {"content": ""}, "nobody-of-that-name")
    assert answer["type"] == "error"
    await trio.sleep(61)
    (point,) = await points(world, "refused")
    assert point.total == 1


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true")
async def test_minutes_are_put_together_to_hours_and_days(world: World) -> None:
    await say(world)
    await trio.sleep(3 * HOUR)
    hours = await points(world, "messages", 4 * HOUR, HOUR)
    assert sum(point.total for point in hours) == 1
    assert sum(point.count for point in hours) >= 179
    days = await points(world, "messages", DAY / 2, DAY)
    assert [(day.total, day.most, day.least) for day in days] == [(1, 1, 0), (0, 0, 0)]


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true")
async def test_they_survive_a_crash_and_go_on(world: World, tmp_path: Path) -> None:
    await say(world)
    await trio.sleep(61)
    async with world.after_crash(tmp_path / "after") as again:
        await say(again)
        await trio.sleep(61)
        assert sum(point.total for point in await points(again, "messages")) == 2


async def test_what_was_kept_for_long_enough_is_deleted(world: World) -> None:
    start = world.engine.now()
    for step, seconds in KEPT.items():
        for number in range(5):
            at = start + number * seconds / 2
            row = Row({"messages": sample(1)})
            await world.engine.runner.write(partial(figures.add, at=at, row=row))
        assert await rows(world, step) <= 3


@pytest.mark.world("alice", "bob", RELAY_METRICS__HISTORY="true")
async def test_the_number_of_rows_is_bounded_by_the_time_that_they_are_kept(world: World) -> None:
    await trio.sleep(2 * DAY + 3 * HOUR)
    assert await rows(world, MINUTE) <= KEPT[MINUTE] / MINUTE + 1
    assert await rows(world, DAY) <= 4


async def test_without_history_nothing_is_kept(world: World) -> None:
    await trio.sleep(300)
    assert await rows(world, MINUTE) == 0


async def test_the_step_is_the_shortest_that_is_kept_and_fits(world: World) -> None:
    now = world.engine.now()
    series = world.engine.figures.series
    assert (await series(["messages"], now - HOUR, now, None))[0].step == MINUTE
    assert (await series(["messages"], now - 2 * DAY, now, None))[0].step == MINUTE
    assert (await series(["messages"], now - 30 * DAY, now, None))[0].step == HOUR
    assert (await series(["messages"], now - 365 * DAY, now, None))[0].step == DAY


@pytest.mark.parametrize(
    ("name", "back", "step", "code", "text"),
    [
        ("mesages", HOUR, None, ErrorCode.NOT_FOUND, "there is no figure 'mesages'; right is one of messages, "),
        ("messages", 30 * DAY, 60, ErrorCode.INVALID_PAYLOAD, "steps of 3600 s are kept"),
        ("messages", -5, None, ErrorCode.INVALID_PAYLOAD, "to is to be later than from"),
    ],
)
async def test_what_cannot_be_told_is_refused(
    world: World, name: str, back: float, step: int | None, code: ErrorCode, text: str
) -> None:
    now = world.engine.now()
    with pytest.raises(RelayError, match=text) as refused:
        await world.engine.figures.series([name], now - back, now, step)
    assert refused.value.code is code


async def test_too_many_points_are_refused(world: World) -> None:
    now = world.engine.now()
    with pytest.raises(RelayError, match=f"take a longer step, for {MOST_POINTS} at most"):
        await world.engine.figures.series(["messages"], now - HOUR, now + 4 * DAY, 60)


async def test_every_reading_is_a_figure_and_every_figure_is_read(world: World) -> None:
    reading = await world.engine.readings.reading()
    counted = {one.name for one in FIGURES if one.counted and one.name != "commit_seconds"}
    assert reading.counted.keys() == counted
    assert reading.measured.keys() == {one.name for one in FIGURES if not one.counted}


def test_a_difference_is_what_came_in_between() -> None:
    before = Reading({"messages": 5}, {"connections": 1}, {3: 2})
    after = Reading({"messages": 7, "new": 1}, {"connections": 4}, {3: 2, 9: 1})
    row = difference(before, after)
    assert row == Row(
        {"messages": sample(2), "new": sample(1), "connections": sample(4)}, {"commit_seconds": {9: 1}}
    )


@pytest.mark.world("alice")
async def test_figures_that_are_asked_for_together_are_what_each_is_alone(world: World) -> None:
    row = Row({"messages": sample(5), "deliveries": sample(7)}, {"commit_seconds": {3: 2}})
    at = slot(world.engine.now(), MINUTE) - MINUTE
    await world.engine.runner.write(partial(figures.add, at=at, row=row))
    names, now = ["commit_seconds", "deliveries", "messages", "deliveries"], world.engine.now()
    together = await world.engine.figures.series(names, now - HOUR, now, None)
    assert [one.name for one in together] == ["commit_seconds", "deliveries", "messages"]
    for series in together:
        assert series.points
        assert [series] == await world.engine.figures.series([series.name], now - HOUR, now, None)


@pytest.mark.world("alice")
async def test_one_figure_is_read_without_the_others(world: World) -> None:
    row = Row({"messages": sample(5), "deliveries": sample(7)}, {"commit_seconds": {3: 2}})
    await world.engine.runner.write(partial(figures.add, at=HOUR, row=row))

    def read(name: str) -> Callable[[sqlite3.Connection], list[tuple[int, Row]]]:
        return lambda connection: figures.read(connection, (name,), MINUTE, 0, DAY)

    assert await world.engine.runner.read(read("messages")) == [(HOUR, Row({"messages": sample(5)}))]
    assert await world.engine.runner.read(read("commit_seconds")) == [(HOUR, Row({}, {"commit_seconds": {3: 2}}))]
