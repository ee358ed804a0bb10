"""The sample data: it is added for one account, and its removal leaves nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.engine.sample import SampleData
from relay.engine.sample_texts import AIKO, MIRA, PEOPLE, STORIES, WEBSITE, WEEKEND
from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind, ServerRole
from relay.settings import load
from relay.storage import accounts
from relay.testing import World
from tests.actors import OPERATOR

ALONE = pytest.mark.world("root", RELAY_PLUGINS__ALSO="polls,notifications,retention")


async def page(world: World, group_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await world.rest("GET", f"/api/messages/group/{group_id}?limit=100", "root")).body
    return found


@ALONE
@pytest.mark.parametrize("language", ["en", "fr"])
async def test_people_and_groups_talk_and_react_in_the_language_of_the_page(world: World, language: Any) -> None:
    state = await SampleData(world.engine).add(OPERATOR, language)
    assert state == (True, tuple(sorted(PEOPLE)), (WEBSITE, WEEKEND), False)
    story, told = STORIES[language], await page(world, WEBSITE)
    said = [one for one in told["messages"] if one["type"] == "group_message"]
    assert [one["payload"]["content"] for one in said] == [
        one.text.format(you="root") for one in story.messages[WEBSITE]
    ]
    assert said[-1]["payload"]["mentions"] == ["root"]
    times = [one["meta"]["timestamp"] for one in told["messages"]]
    assert times == sorted(times)
    assert max(times) < world.engine.now()
    root = next(one for one in said if one["payload"].get("reply_to"))["meta"]["message_id"]
    thread = (await world.rest("GET", f"/api/messages/thread/{root}", "root")).body
    assert len(thread["messages"]) == 3
    hills = await page(world, WEEKEND)
    poll = next(one for one in hills["messages"] if one["type"] == "poll")
    assert poll["payload"]["question"] == story.question
    (pictured,) = (one for one in hills["messages"] if one["payload"].get("attachments"))
    (file,) = pictured["payload"]["files"]
    assert (file["name"], file["type"], file["width"], file["height"]) == (story.picture, "image/png", 640, 400)
    assert {one["type"] for one in hills["latest"]} >= {"reaction", "poll_vote"}


@ALONE
async def test_nobody_signs_in_as_one_of_the_samples_people(world: World) -> None:
    await world.engine.runner.write(lambda c: accounts.update_user(c, "root", role=ServerRole.OWNER))
    world.engine.accounts.forget()
    assert (await world.rest("POST", "/api/admin/sample", "root", json_body={})).status == 201
    for method, path, body in (
        ("PUT", f"/api/admin/users/{MIRA}/password", {"password": "a good password"}),
        ("POST", f"/api/admin/users/{MIRA}/tokens", {}),
        ("POST", f"/api/admin/users/{MIRA}/reset-link", {}),
    ):
        answer = await world.rest(method, path, "root", json_body=body)
        assert (answer.status, answer.body["details"]["reason"]) == (409, "sample_account")


@pytest.mark.world("alice", "bob")
async def test_the_sample_is_for_one_account_and_added_once(world: World) -> None:
    sample = SampleData(world.engine)
    with pytest.raises(RelayError, match="other people here already"):
        await sample.add(OPERATOR, "en")
    assert await sample.state() == (False, (), (), False)
    await world.engine.leaving.erase("bob")
    assert (await sample.state()).offered
    await sample.add(OPERATOR, "en")
    with pytest.raises(RelayError, match="there already"):
        await sample.add(OPERATOR, "en")


@pytest.mark.world("alice")
async def test_what_is_not_there_is_not_removed(world: World) -> None:
    with pytest.raises(RelayError, match="sample data on this server") as refused:
        await SampleData(world.engine).remove(OPERATOR)
    assert refused.value.code == "not_found"


@ALONE
async def test_a_legal_hold_keeps_the_sample_until_it_is_released(world: World) -> None:
    from relay.app.plugin_admin import run_command

    sample = SampleData(world.engine)
    await sample.add(OPERATOR, "en")
    await run_command(
        world.engine, "retention hold add", {"kind": "user", "name": AIKO, "who": "me", "why": "a case"}
    )
    with pytest.raises(RelayError, match="on legal hold"):
        await sample.remove(OPERATOR)
    await run_command(
        world.engine, "retention hold remove", {"kind": "user", "name": AIKO, "who": "me", "why": "a case"}
    )
    assert not (await sample.remove(OPERATOR)).there


@ALONE
async def test_an_open_page_is_told_of_the_groups_that_come_and_go(world: World) -> None:
    device = await world.connect("root")
    await SampleData(world.engine).add(OPERATOR, "en")
    created = await device.next("group_event")
    assert created["payload"]["event"] == "created"
    assert created["meta"]["timestamp"] < world.engine.now() - 3600
    await SampleData(world.engine).remove(OPERATOR)
    with trio.fail_after(60):
        while (await device.next("group_event"))["payload"]["event"] != "deleted":
            pass
    listed = (await world.rest("GET", "/api/conversations", "root")).body["conversations"]
    assert [one for one in listed if one["target_id"] in (WEBSITE, WEEKEND, *PEOPLE)] == []


@ALONE
async def test_positions_go_on_where_they_were(world: World, tmp_path: Path) -> None:
    engine = world.engine
    await SampleData(engine).add(OPERATOR, "en")
    await engine.submitter.send_as("root", "chat_message", {"content": "hello"}, MIRA)
    await SampleData(engine).remove(OPERATOR)
    before = await engine.submitter.send_as("root", "chat_message", {"content": "to me"}, "root")
    await SampleData(engine).add(OPERATOR, "en")
    told = await page(world, WEBSITE)
    assert min(one["meta"]["message_id"] for one in told["messages"]) > (before.message_id or 0)
    assert told["messages"][0]["meta"]["seq"] == 1
    own = await engine.history.page("root", ConversationKind.USER, "root", 10)
    assert [one.meta.seq for one in own["messages"]] == [1]


SETTINGS = """
[storage]
path = "{path}"
purge_seconds = 0.1

[plugins]
also = ["polls", "notifications", "retention", "webhooks", "bots"]
"""
REPEATING = """
[plugins.notifications]
[[plugins.notifications.rules]]
do = "store"
kinds = ["user", "group"]
"""


@asynccontextmanager
async def on_disk(folder: Path, *, repeated: bool) -> AsyncIterator[Engine]:
    config = folder / "relay.toml"
    config.write_text(SETTINGS.format(path=folder / "relay.db") + repeated * REPEATING)
    async with open_engine(load(config, {})) as engine:
        yield engine


_APART = ("figures", "sqlite_", "search_", "notifications_state")


def _rows(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Return all rows of all tables but those of the audit log, of measurements, of SQLite's own, of indexes and of keys."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
    audited = {row[0] for row in found.pop("audit_entries")}
    found["log"] = [row for row in found["log"] if row[0] not in audited]
    found["channels"] = [row for row in found["channels"] if not row[1].startswith("gone:")]
    found["facts"] = [row for row in found["facts"] if row[0] not in ("high_water", "unpurged")]
    return {name: rows for name, rows in found.items() if not name.startswith(_APART)}


@pytest.mark.real_time
@pytest.mark.parametrize("repeated", [False, True], ids=["", "repeated by a rule"])
async def test_no_row_and_no_byte_of_it_is_left(tmp_path: Path, repeated: bool) -> None:
    async with on_disk(tmp_path, repeated=repeated) as engine:
        await engine.runner.write(
            lambda c: accounts.create_user(c, "root", 1.0, role=ServerRole.OWNER, password_hash="x")
        )
        await engine.submitter.send_as("root", "chat_message", {"content": "mine"}, "root")
        before = await engine.runner.read(_rows)
        sample = SampleData(engine)
        await sample.add(OPERATOR, "en")
        await engine.submitter.send_as("root", "chat_message", {"content": "quizzical"}, MIRA)
        said = await engine.submitter.send_as("root", "group_message", {"content": "zephyrous"}, WEBSITE)
        await engine.submitter.send_as(
            "root", "message_edit", {"message_id": said.message_id, "content": "zephyrous too"}, WEBSITE
        )
        await engine.submitter.send_as("root", "read_receipt", {"up_to_seq": 9}, WEBSITE)
        await sample.remove(OPERATOR)
        with trio.fail_after(60):
            while await engine.runner.read(_unpurged):
                await trio.sleep(0.05)
        if not repeated:  # a repeated message leaves a tombstone in its reader's own channel
            after = await engine.runner.read(_rows)
            assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
    files = [path for path in tmp_path.iterdir() if path.suffix != ".toml"]
    for needle in (
        "quizzical",
        "zephyrous",
        "sample.mira",
        "Okafor",
        "orders.csv",
        "hut at the lake",
        "Which weekend",
    ):
        assert [path.name for path in files if needle.encode() in path.read_bytes()] == [], needle


def _unpurged(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM facts WHERE name = 'unpurged'").fetchone() is not None
