"""An account's erasure: no table with something of a user's is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.app.plugin_admin import run_command
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind
from relay.storage import leaving
from relay.storage.leaving import OF_A_USER, STAYING
from relay.testing import Closed, World
from relay.testing import world as open_world
from tests.actors import OPERATOR


@pytest.mark.world
async def test_every_table_with_a_user_is_looked_after(world: World) -> None:
    """Add a new table of the core's to one of the two; plugins have `SessionHook.left`."""
    tables = await world.engine.runner.read(
        lambda connection: {
            row[0]
            for row in connection.execute(
                "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
                " WHERE m.type = 'table' AND c.name = 'user_id'"
            )
        }
    )
    loaded = {loaded.name for loaded in world.engine.registry.loaded}
    plugins = {name for name in tables if name.partition("_")[0] in loaded}
    assert tables - plugins == {*OF_A_USER, *STAYING}


@pytest.mark.world("alice", "bob", RELAY_PLUGINS__ALSO="polls,bots,webhooks,notifications")
async def test_all_of_a_users_goes_and_what_others_said_stays(world: World) -> None:
    engine = world.engine
    alice = await world.connect("alice")
    own = await engine.submitter.send_as("alice", "chat_message", {"content": "mine"}, "bob")
    other = await engine.submitter.send_as("bob", "chat_message", {"content": "yours"}, "alice")
    await engine.submitter.send_as(
        "alice", "reaction", {"message_id": other.message_id, "emoji": "👍", "on": True}, "bob"
    )
    await engine.submitter.send_as("alice", "status_update", {"status": "busy", "text": "secret"}, None)
    await engine.submitter.send_as("bob", "follow", {"user_ids": ["alice"], "follow": True}, None)
    await engine.leaving.erase("alice")
    with pytest.raises(Closed) as closed:
        await alice.next("nothing of the kind")
    assert closed.value.code == 4502
    history = await world.history("bob", "user", "alice")
    assert [one["payload"] for one in history] == [{}, {"content": "yours"}]
    page = await engine.history.page("bob", ConversationKind.USER, "alice", 10)
    assert [one for one in page["latest"] if one.meta.sender_id == "alice"] == []
    assert (await world.rest("GET", "/api/users/me", "alice")).status == 401
    assert (await world.rest("GET", "/api/users?q=ali", "bob")).body["users"] == []
    assert (await world.rest("GET", "/api/users/following/status", "bob")).body["statuses"] == []
    with pytest.raises(RelayError) as refused:
        await engine.administration.set_disabled(OPERATOR, "alice", False)
    assert refused.value.code is ErrorCode.CONFLICT
    again = await engine.leaving.erase("alice")
    assert (again.erased, again.kept) == (1, 0)
    assert own.message_id is not None


async def test_what_is_on_hold_stays_and_is_counted(tmp_path: Path) -> None:
    async def data() -> Any:
        yield b"bytes"

    async with open_world(tmp_path, "alice", "bob", "carol", RELAY_PLUGINS__ALSO="retention") as world:
        engine = world.engine
        held = await engine.attachments.receive("alice", "held.txt", data())
        more = {"content": "held", "attachments": [held.attachment_id]}
        await engine.submitter.send_as("alice", "chat_message", more, "bob")
        await engine.submitter.send_as("alice", "chat_message", {"content": "free"}, "carol")
        await run_command(engine, "retention hold add", {"kind": "user", "name": "bob", "who": "a", "why": "b"})
        done = await engine.leaving.erase("alice")
        assert (done.erased, done.kept, done.files_kept) == (1, 1, 1)
        assert (await world.history("bob", "user", "alice"))[0]["payload"]["content"] == "held"
        assert (await world.rest("GET", f"/api/attachments/{held.attachment_id}", "bob")).status == 200


async def test_an_erasure_that_a_crash_cut_short_goes_on(tmp_path: Path) -> None:
    async with open_world(tmp_path / "one", "alice", "bob") as world:
        await world.talk("alice", "bob", 250)
        await world.engine.runner.write(lambda connection: leaving.close(connection, "alice", 1.0))
        async with world.after_crash(tmp_path / "two") as again:
            done = await again.engine.leaving.erase("alice")
            assert done.erased == 250
            assert {str(one["payload"]) for one in await again.history("bob", "user", "alice")} == {"{}"}
