"""Every hook on every way that a message, an edit or a deletion can come."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.admin import perform
from relay.engine.hooks import SLICE_CHARACTERS, slices
from relay.protocol.kinds import Kind
from relay.storage.entry import Entry
from relay.testing import RelayWorld, World

WATCHER = """
from relay.plugin import MessageHook, hookimpl

seen = []

def before(draft):
    seen.append(("before", draft.type.name, draft.edits))

def stored(server, connection, entries):
    seen.extend(("stored", entry.type, entry.own_id) for entry in entries)

def edited(server, connection, message):
    seen.append(("edited", message.type, message.message_id))

def erased(server, connection, message_ids):
    seen.append(("erased", None, list(message_ids)))

async def committed(server, entry):
    seen.append(("committed", entry.type, entry.own_id))

@hookimpl
def relay_message_hooks():
    return [MessageHook(before=before, stored=stored, edited=edited, erased=erased, committed=committed)]
"""

Send = Callable[[World, str, dict[str, Any], str], Awaitable[None]]


async def by_socket(world: World, type_: str, payload: dict[str, Any], own_id: str) -> None:
    device = await world.connect("alice")
    assert (await device.request(type_, payload, "bob", id=own_id))["type"] == "ack"


async def by_rest(world: World, type_: str, payload: dict[str, Any], own_id: str) -> None:
    body = {"type": type_, "payload": payload, "meta": {"id": own_id, "target_id": "bob"}}
    assert (await world.rest("POST", "/api/messages", "alice", json_body=body)).status == 201


async def by_a_plugin(world: World, type_: str, payload: dict[str, Any], own_id: str) -> None:
    server = world.engine.server_of("watcher")
    assert (await server.send("alice", type_, payload, "bob", own_id=own_id)).stored


async def by_import(world: World, type_: str, payload: dict[str, Any], own_id: str) -> None:
    line = {"type": type_, "payload": payload, "meta": {"id": own_id, "sender_id": "alice", "target_id": "bob"}}
    answer = await perform(world.engine, "import", {"lines": [json.dumps(line)]})
    assert (answer["stored"], answer["problems"]) == (1, [])


async def stored_as(world: World, own_id: str) -> int:
    """Return the id of a message by its sender's own id for it."""
    sql = "SELECT message_id FROM log WHERE own_id = ?"
    row = await world.engine.runner.read(lambda connection: connection.execute(sql, (own_id,)).fetchone())
    return int(row[0])


@pytest.mark.parametrize("send", [by_socket, by_rest, by_a_plugin, by_import])
@pytest.mark.parametrize("action", ["create", "edit", "delete"])
async def test_every_hook_runs_on_every_way(
    relay_world: RelayWorld, tmp_path: Path, action: str, send: Send
) -> None:
    (tmp_path / "watcher.py").write_text(WATCHER)
    async with relay_world(tmp_path, "alice", "bob") as world:
        seen: list[Any] = sys.modules["relay_plugin_watcher"].seen
        await send(world, "chat_message", {"content": "first"}, "m-1")
        message_id = await stored_as(world, "m-1")
        if action == "create":
            expected = [
                ("before", "chat_message", None),
                ("stored", "chat_message", "m-1"),
                ("committed", "chat_message", "m-1"),
            ]
        else:
            await trio.sleep(0.1)
            seen.clear()
            said = {"message_id": message_id} | ({"content": "second"} if action == "edit" else {})
            await send(world, f"message_{action}", said, "m-2")
            expected = [
                ("before", f"message_{action}", None),
                ("stored", f"message_{action}", "m-2"),
                ("committed", f"message_{action}", "m-2"),
            ]
            if action == "edit":
                expected += [("before", "chat_message", message_id), ("edited", "chat_message", message_id)]
            else:
                expected += [("erased", None, [message_id])]
        await trio.sleep(0.1)
        # An import writes itself into the audit log: that is a message too, once the others are stored.
        audited = [event for event in seen if event[1] == "audit_event"]
        assert audited == [("stored", "audit_event", None)] * (send is by_import)
        seen = [event for event in seen if event not in audited]
        assert sorted(seen, key=str) == sorted(expected, key=str)
        assert seen[-1][0] == "committed"
        assert seen[0][0] == "before"


def entry(characters: int) -> Entry:
    return Entry(
        channel_id=1,
        type="t",
        kind=Kind.STREAM,
        sender_id="alice",
        target_id="bob",
        client_id=None,
        own_id=None,
        digest=None,
        payload="x" * characters,
        sent_at=None,
    )


def test_one_call_of_stored_has_so_much_text_and_a_longer_message_comes_alone() -> None:
    few = [entry(100) for _ in range(300)]
    assert [part is few for part in slices(few)] == [True]
    long = [entry(20_000), entry(20_000), entry(10), entry(SLICE_CHARACTERS * 2), entry(5), entry(5)]
    assert [[len(one.payload) for one in part] for part in slices(long)] == [
        [20_000], [20_000, 10], [SLICE_CHARACTERS * 2], [5, 5],
    ]  # fmt: skip
    assert list(slices([])) == []
