"""Searches and pages of a time, also after the clock stepped back."""

import sqlite3
from typing import Any

import pytest

from relay.testing import RelayWorld
from tests.plugins.search.asking import found, load, say

load()
from relay_plugin_search import times  # type: ignore[import-not-found]  # noqa: E402


async def test_a_time_is_searched_right_though_the_clock_stepped_back(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        start = world.engine.now()
        shift = 0.0
        monkeypatch.setattr(world.engine.router, "_now", lambda: start + shift)
        said: dict[str, float] = {}
        for number, shift in enumerate((0, 600, 7200, 7800, -3600, 60, 660, 7260, 3000, 9000)):
            said[f"word {number}"] = start + shift
            await say(alice, "bob", f"word {number}")
        moments = sorted({*said.values(), start - 9999, start + 9999})
        for most in (times.MOST_STEPS, 1):
            monkeypatch.setattr(times, "MOST_STEPS", most)
            for since in moments:
                for until in moments:
                    right = [text for text, at in said.items() if since <= at < until]
                    for order in ("newest", "best"):
                        got = await found(world, "bob", "word", since=since, until=until, order=order)
                        assert sorted(got) == right, (since - start, until - start)
        for since in moments:
            page = await world.rest("GET", f"/api/messages/user/alice?since={since}", "bob")
            got = [one["payload"]["content"] for one in page.body["messages"]]
            assert got == [text for text, at in said.items() if at >= since]
            page = await world.rest("GET", f"/api/messages/user/alice?until={since}", "bob")
            got = [one["payload"]["content"] for one in page.body["messages"]]
            assert got == [text for text, at in said.items() if at <= since]


def log(*moments: float) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE log (message_id INTEGER PRIMARY KEY, timestamp REAL)")
    connection.execute(times.STEPS)
    connection.executemany("INSERT INTO log (timestamp) VALUES (?)", [(at,) for at in moments])
    return connection


@pytest.mark.parametrize("slice_", [1, 2, 3, 100])
def test_steps_are_found_in_what_is_stored_however_it_is_sliced(slice_: int) -> None:
    connection = log(5, 6, 2, 3, 3, 9, 1, 0, 4)
    for after in range(0, 9, slice_):
        times.look(connection, after, after + slice_)
    times.look(connection, 0, 3)
    assert [row[0] for row in connection.execute("SELECT * FROM search_steps")] == [3, 7, 8]


async def test_the_clock_that_goes_on_costs_no_row(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(await world.connect("alice"), "bob", *(f"word {number}" for number in range(5)))
        count: Any = await world.engine.server_of("search").read(
            lambda connection: connection.execute("SELECT count(*) FROM search_steps").fetchone()
        )
        assert count == (0,)
