"""What was erased is gone: no byte of it in the database's file, its write-ahead log, or a backup made afterwards.

On a real file, with the writer's and readers' threads and all bundled plugins that keep text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.protocol.kinds import ConversationKind, Role, ServerRole
from relay.settings import load
from relay.settings.model import BUNDLED_PLUGINS
from relay.storage import account_links, accounts
from relay.storage.errors import StorageFailed
from tests.plugins.search.asking import progress

pytestmark = pytest.mark.real_time

SECRET = "hunterzebra"
SETTINGS = """
[storage]
path = "{path}"
purge_seconds = {seconds}

[plugins]
also = ["retention", "bots", "polls", "webhooks", "notifications"]

[plugins.notifications]
[[plugins.notifications.rules]]
do = "store"
kinds = ["user", "group"]

[plugins.retention.rules.secrets]
senders = ["zoe"]
keep_messages = 0
"""
NOTIFY = frozenset({"notify"})


@pytest.fixture(autouse=True)
def _indexed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every message indexed in its own transaction, so that the index has it when it is erased."""
    monkeypatch.setattr(progress(), "ENOUGH", 1)


@asynccontextmanager
async def running(folder: Path, seconds: float = 0.1, **environ: str) -> AsyncIterator[Engine]:
    """Run the services on a file in a folder, on real threads."""
    config = folder / "relay.toml"
    config.write_text(SETTINGS.format(path=folder / "relay.db", seconds=seconds))
    async with open_engine(load(config, environ)) as engine:
        yield engine


def words(number: int) -> str:
    """Return a secret of its own, which no other contains."""
    return f"{SECRET}{number:04d}x"


async def said(engine: Engine, number: int, *, sender: str = "alice", target: str = "bob", more: str = "") -> int:
    type_name = "group_message" if target == "team" else "chat_message"
    entry = await engine.submitter.send_as(
        sender, type_name, {"content": f"password {words(number)}{more}"}, target
    )
    assert entry.message_id is not None
    return entry.message_id


async def settle(engine: Engine, number: int) -> None:
    """Wait until a message is repeated where a rule has it repeated."""

    def repeated(connection: sqlite3.Connection) -> bool:
        row = connection.execute(
            "SELECT 1 FROM log WHERE type = 'notification' AND payload LIKE ?", (f"%{words(number)}%",)
        )
        return row.fetchone() is not None

    with trio.fail_after(60):
        while not await engine.runner.read(repeated):
            await trio.sleep(0.02)


async def purged(engine: Engine) -> None:
    """Wait until nothing is left to purge."""

    def left(connection: sqlite3.Connection) -> bool:
        return connection.execute("SELECT 1 FROM facts WHERE name = 'unpurged'").fetchone() is not None

    with trio.fail_after(60):
        while await engine.runner.read(left):
            await trio.sleep(0.02)


def found_in(folder: Path, number: int) -> list[str]:
    """Return where a secret is still found: the files of the database, and backups made now."""
    database = folder / "relay.db"
    for name in ("into.db", "backup.db"):
        (folder / name).unlink(missing_ok=True)
    with sqlite3.connect(database) as connection:
        connection.execute("VACUUM INTO ?", (str(folder / "into.db"),))
        with sqlite3.connect(folder / "backup.db") as backup:
            connection.backup(backup)
        backup.close()
    connection.close()
    needle = f"{number:04d}x".encode()  # FTS5 keeps of a term what the one before has not
    files = [path for path in folder.iterdir() if path.suffix != ".toml" and path.is_file()]
    return [path.name for path in files if needle in path.read_bytes()]


async def people(engine: Engine) -> None:
    for name in ("alice", "bob", "zoe"):
        await engine.runner.write(lambda connection, name=name: accounts.create_user(connection, name, 1.0))
    await engine.groups.create("bob", "Team", ["alice", "zoe"], "team")


async def delete(engine: Engine, message_id: int) -> None:
    await engine.submitter.send_as("alice", "message_delete", {"message_id": message_id}, "bob")


async def edit(engine: Engine, message_id: int) -> None:
    await engine.submitter.send_as(
        "alice", "message_edit", {"message_id": message_id, "content": "nothing"}, "bob"
    )


async def expire(engine: Engine, message_id: int) -> None:
    await engine.runner.write(
        lambda connection: connection.execute(
            "UPDATE log SET expires_at = 1 WHERE message_id = ?", (message_id,)
        ).fetchall()
    )
    entry = await engine.submitter.send_as(
        "bob", "notification", {"title": "t", "expires_at": engine.now() + 0.05}, "bob", scopes=NOTIFY
    )

    def gone(connection: sqlite3.Connection) -> bool:
        row = connection.execute("SELECT payload FROM log WHERE message_id = ?", (entry.message_id,)).fetchone()
        return row[0] is None

    with trio.fail_after(60):
        while not await engine.runner.read(gone):
            await trio.sleep(0.02)


async def sweep(engine: Engine, _message_id: int) -> None:
    await run_command(engine, "retention run", {})


WAYS: dict[str, tuple[str, Callable[[Engine, int], Awaitable[None]]]] = {
    "deleted": ("alice", delete),
    "edited": ("alice", edit),
    "expired": ("alice", expire),
    "swept": ("zoe", sweep),
}


@pytest.mark.parametrize("enough", [1, 8, 128], ids=["indexed", "with others", "not indexed yet"])
@pytest.mark.parametrize("way", WAYS)
async def test_no_byte_is_left_of_a_message_that_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, enough: int
) -> None:
    monkeypatch.setattr(progress(), "ENOUGH", enough)
    sender, erase = WAYS[way]
    async with running(tmp_path) as engine:
        await people(engine)
        for number in range(2, 40):
            await said(engine, number, more=" filler" * (number * 7 % 50))
        message_id = await said(engine, 1, sender=sender)
        for number in range(40, 60):
            await said(engine, number, more=" filler" * (number * 7 % 50))
        await settle(engine, 1)
        assert "relay.db-wal" in found_in(tmp_path, 1)
        await erase(engine, message_id)
        await purged(engine)
        assert found_in(tmp_path, 1) == []
        assert "into.db" in found_in(tmp_path, 2)
    assert found_in(tmp_path, 1) == []


async def test_no_byte_is_left_of_what_was_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await people(engine)
        for number in (1, 2):
            told = {"title": words(number), "collapse_key": "same"}
            await engine.submitter.send_as("zoe", "notification", told, "bob", scopes=NOTIFY)
        await purged(engine)
        assert found_in(tmp_path, 1) == []
        assert "into.db" in found_in(tmp_path, 2)


async def test_no_byte_is_left_of_an_edits_text_that_was_replaced_by_the_next(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await people(engine)
        message_id = await said(engine, 3)
        for number in (1, 2):
            edit = {"message_id": message_id, "content": words(number)}
            await engine.submitter.send_as("alice", "message_edit", edit, "bob")
        await purged(engine)
        assert found_in(tmp_path, 1) == found_in(tmp_path, 3) == []
        assert "into.db" in found_in(tmp_path, 2)


async def test_no_byte_is_left_of_what_somebody_said_whose_account_is_erased(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await people(engine)
        await said(engine, 1, sender="zoe")
        await said(engine, 2, sender="zoe", target="team")
        await said(engine, 3, sender="alice", target="team")
        poll = {"question": f"lunch {words(4)}", "options": [words(5), "b"]}
        await engine.submitter.send_as("zoe", "poll", poll, "team")
        for number in (1, 2, 3):
            await settle(engine, number)
        await engine.runner.write(
            lambda connection: accounts.update_user(connection, "zoe", display_name=words(6))
        )
        await engine.leaving.erase("zoe")
        await purged(engine)
        for number in (1, 2, 4, 5, 6):
            assert found_in(tmp_path, number) == []
        assert "into.db" in found_in(tmp_path, 3)


async def test_what_is_erased_just_before_the_end_is_gone_when_the_file_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, seconds=3600) as engine:
        await people(engine)
        message_id = await said(engine, 1)
        await settle(engine, 1)
        await delete(engine, message_id)
    assert found_in(tmp_path, 1) == []


async def test_what_is_erased_goes_after_a_crash_as_well(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with running(tmp_path, seconds=3600) as engine:
        await people(engine)
        message_id = await said(engine, 1)
        await settle(engine, 1)
        await delete(engine, message_id)
        for suffix in ("", "-wal"):
            (crashed / f"relay.db{suffix}").write_bytes((tmp_path / f"relay.db{suffix}").read_bytes())
    assert found_in(crashed, 1) != []
    async with running(crashed, seconds=3600) as engine:
        await purged(engine)
        assert found_in(crashed, 1) == []


async def test_a_step_that_the_disk_did_not_take_is_taken_again(tmp_path: Path) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    async with running(tmp_path, seconds=3600) as engine:
        await people(engine)
        message_id = await said(engine, 1)
        await said(engine, 2)
        await delete(engine, message_id)
        step = engine.hooks.purge

        def lost(connection: sqlite3.Connection) -> None:
            step(connection)
            raise full

        for stands in range(4):  # the first pass is lost at its first step, the next one at its second
            for _ in range(stands):
                assert await engine.runner.write(step), "it is over before all is tried"
            with pytest.raises(StorageFailed):
                await engine.runner.write(lost)
    assert found_in(tmp_path, 1) == []


async def test_what_is_erased_while_a_pass_is_held_up_is_purged_by_the_next_one(tmp_path: Path) -> None:
    async with running(tmp_path, seconds=3600) as engine:
        await people(engine)
        first, second = await said(engine, 1), await said(engine, 2)
        await delete(engine, first)
        assert await engine.runner.write(engine.hooks.purge)  # the first step; then the disk fails
        await delete(engine, second)
        await engine.purging.purge()
        assert found_in(tmp_path, 1) == found_in(tmp_path, 2) == []


async def test_no_byte_is_left_of_what_was_edited_while_search_was_off(tmp_path: Path) -> None:
    without = json.dumps([name for name in BUNDLED_PLUGINS if name != "search"])
    async with running(tmp_path, seconds=3600) as engine:
        await people(engine)
        message_id = await said(engine, 1)
        await settle(engine, 1)
    async with running(tmp_path, seconds=3600, RELAY_PLUGINS__ENABLED=without) as engine:
        await edit(engine, message_id)
    assert "relay.db" in found_in(tmp_path, 1)
    async with running(tmp_path) as engine:
        with trio.fail_after(60):
            while engine.server_of("search").memory.get("under way") != 0:
                await trio.sleep(0.02)
        await purged(engine)
        assert found_in(tmp_path, 1) == []


async def test_a_word_that_somebody_else_says_is_found_still(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await people(engine)
        first, second = await said(engine, 1), await said(engine, 1)
        await delete(engine, first)
        await purged(engine)
        lots = await engine.runner.read(lambda c: c.execute("SELECT words FROM search_lots").fetchall())
        assert words(1) in " ".join(lot for (lot,) in lots).split()
        await delete(engine, second)
        await purged(engine)
        lots = await engine.runner.read(lambda c: c.execute("SELECT words FROM search_lots").fetchall())
        assert words(1) not in " ".join(lot for (lot,) in lots).split()
        await said(engine, 1)
        lots = await engine.runner.read(lambda c: c.execute("SELECT words FROM search_lots").fetchall())
        assert words(1) in " ".join(lot for (lot,) in lots).split()


async def test_bytes_of_a_file_go_with_its_last_message(tmp_path: Path) -> None:
    async def data() -> Any:
        yield words(1).encode() * 30_000

    async with running(tmp_path) as engine:
        await people(engine)
        kept = await engine.attachments.receive("alice", f"{words(2)}.txt", data())
        entry = await engine.submitter.send_as(
            "alice", "chat_message", {"content": "", "attachments": [kept.attachment_id]}, "bob"
        )
        await delete(engine, entry.message_id or 0)
        await engine.attachments.collect()
        await purged(engine)
        assert found_in(tmp_path, 1) == found_in(tmp_path, 2) == []


async def test_erasing_an_account_leaves_groups_to_others(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        await people(engine)
        await engine.groups.put_member("bob", "team", "zoe", Role.ADMIN)
        await engine.leaving.erase("bob")
        team = await engine.groups.get("zoe", "team")
        assert team.members == {"zoe": Role.OWNER, "alice": Role.MEMBER}


async def test_no_byte_is_left_of_anything_of_an_account_and_others_keep_theirs(tmp_path: Path) -> None:
    async def data(number: int) -> Any:
        yield words(number).encode() * 3_000

    async with running(tmp_path) as engine:
        await people(engine)
        await engine.runner.write(lambda c: accounts.update_user(c, "bob", role=ServerRole.OWNER))
        said_by_zoe = partial(engine.submitter.send_as, "zoe")
        for number in range(50, 70):
            await said(engine, number, more=f" and {words(90)}" if number == 60 else "")
        file = await engine.attachments.receive("zoe", f"{words(1)}.txt", data(2))
        first = await said_by_zoe(
            "group_message", {"content": words(3), "attachments": [file.attachment_id]}, "team"
        )
        await said_by_zoe("message_edit", {"message_id": first.message_id, "content": words(4)}, "team")
        other = await said(engine, 70, target="team")
        await said_by_zoe("group_message", {"content": words(5), "thread": other}, "team")
        await said_by_zoe("group_message", {"content": words(6), "reply_to": other}, "team")
        await said_by_zoe("reaction", {"message_id": other, "emoji": words(7), "on": True}, "team")
        await said_by_zoe("status_update", {"status": "busy", "text": words(8)}, None)
        await said_by_zoe("chat_message", {"content": words(9)}, "zoe")
        await engine.submitter.send_as("bob", "notification", {"title": words(10)}, "zoe", scopes=NOTIFY)
        await engine.reports.file("zoe", other, "abuse", words(11))
        await engine.runner.write(
            lambda connection: accounts.create_token(connection, "zoe", 1.0, origin="cli", label=words(12))
        )
        await engine.runner.write(
            lambda connection: account_links.set_address(connection, "zoe", f"{words(13)}@example.org", 1.0)
        )
        await engine.submitter.send_as(
            "bob", "group_message", {"content": f"{words(71)} @zoe", "mentions": ["zoe"]}, "team"
        )
        everything = range(1, 14)
        assert [number for number in everything if found_in(tmp_path, number) == []] == []
        await engine.leaving.erase("zoe")
        await engine.attachments.collect()
        await purged(engine)
        assert {number: found_in(tmp_path, number) for number in everything if found_in(tmp_path, number)} == {}
        kept = await engine.history.page("bob", ConversationKind.GROUP, "team", 100)
        texts = [msgspec.json.decode(one.payload).get("content") for one in kept["messages"]]
        assert [text for text in texts if text] == [f"password {words(70)}", f"{words(71)} @zoe"]
        seqs = [one.meta.seq for one in kept["messages"]]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert {number: found_in(tmp_path, number) for number in everything if found_in(tmp_path, number)} == {}
    assert "into.db" in found_in(tmp_path, 90)
