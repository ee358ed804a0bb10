"""An export of one server in memory, imported by another: what plugins keep comes along, and nobody is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plugins.notifications.rules import read_slice
from plugins.webhooks.tables import read_log
from relay.app.admin import perform
from relay.protocol.errors import RelayError
from relay.protocol.records import End, Record, write_record
from relay.storage import whole_export
from relay.testing import World
from relay.testing import world as open_world

ON = {"RELAY_PLUGINS__ALSO": "polls,tasks,webhooks,notifications,bots"}
TABLES = ("pins", "polls_polls", "polls_votes", "polls_counts", "tasks_tasks", "notifications_muted", "bots_bots")
PEOPLE = ("alice", "bob", "carol", "dave", "erin")


async def fill(world: World) -> None:
    """Have people do what plugins keep in tables of their own."""
    await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team", "start")
    alice, bob = await world.connect("alice"), await world.connect("bob")
    said = await alice.request("group_message", {"content": "Where?", "mentions": ["bob"]}, "team")
    await alice.request("pin", {"message_id": said["payload"]["message_id"], "on": True}, "team")
    poll = await alice.request("poll", {"question": "Lunch?", "options": ["pizza", "soup"]}, "team")
    await bob.request("poll_vote", {"poll": poll["payload"]["message_id"], "choices": [1]}, "team")
    task = await bob.request("task", {"title": "Cook"}, "team")
    await bob.request("task_done", {"task": task["payload"]["message_id"], "done": True}, "team")
    await world.engine.runner.write(
        lambda connection: connection.execute(
            "INSERT INTO notifications_muted VALUES ('bob', 'group:team', NULL, 1)"
        )
    )
    await world.engine.runner.write(
        lambda connection: connection.execute("INSERT INTO bots_bots VALUES ('carol', 'alice', 5.0, NULL)")
    )
    await world.engine.router.wait_idle()


def exported(world: World) -> list[str]:
    """Return the lines of an export."""
    path = Path(world.engine.settings.storage.path)
    tables = [owned.part for owned in world.engine.registry.parts["relay_portable_tables"]]
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        found: list[Record] = [
            whole_export.header(connection, 5.0, "a test"),
            *whole_export.users(connection, credentials=False),
            *whole_export.groups(connection),
            *whole_export.said(connection),
            *whole_export.facts(connection, tables),
        ]
    return [write_record(one).decode() for one in (*found, End(lines=len(found)))]


async def rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of plugins, with the place of a message instead of its number."""

    def read(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
        places = dict(connection.execute("SELECT message_id, seq FROM log").fetchall())
        found: dict[str, list[tuple[Any, ...]]] = {}
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            found[table] = sorted(
                tuple(
                    f"#{places[value]}" if name == "message_id" else value
                    for name, value in zip(names, row, strict=True)
                    if name != "channel_id"
                )
                for row in rows
            )
        return found

    return await world.engine.runner.read(read)


async def test_what_plugins_keep_comes_along_and_nobody_is_told(tmp_path: Path) -> None:
    async with open_world(tmp_path / "one", *PEOPLE, **ON) as world:
        await fill(world)
        before, lines = await rows(world), exported(world)
    assert all(before.values()), before
    async with open_world(tmp_path / "two", **ON) as world:
        answer = await perform(world.engine, "import", {"lines": lines})
        assert (answer["problems"], answer["taken"]) == ([], len(lines))
        assert await rows(world) == before
        assert (await perform(world.engine, "import", {"lines": lines}))["stored"] == 0
        assert await rows(world) == before

        def told(connection: sqlite3.Connection) -> set[str]:
            seen = [message.type for message in read_log(connection, 0, 1000)]
            return {*seen, *(row[3] for row in read_slice(connection, 0, 1 << 40)[0])}

        assert await world.engine.runner.read(told) == {"audit_event"}


async def test_an_account_that_was_ended_stays_so(tmp_path: Path) -> None:
    async with open_world(tmp_path / "one", *PEOPLE) as world:
        await perform(world.engine, "user.delete", {"user_id": "dave"})
        await perform(world.engine, "user.erase", {"user_id": "erin"})
        lines = exported(world)
    async with open_world(tmp_path / "two") as world:
        assert (await perform(world.engine, "import", {"lines": lines}))["problems"] == []
        for user in ("dave", "erin"):
            with pytest.raises(RelayError, match="was erased or deleted; nobody can have it again"):
                await perform(world.engine, "user.enable", {"user_id": user})


async def test_a_plugin_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path / "one", *PEOPLE, **ON) as world:
        await fill(world)
        lines = exported(world)
    async with open_world(tmp_path / "two") as world:
        answer = await perform(world.engine, "import", {"lines": lines, "go_on": True})
        told = {problem["message"].partition(";")[0] for problem in answer["problems"]}
        assert "this server knows no type 'poll'" in told
        assert any("whose table 'polls_polls' an import fills" in one for one in told)
