"""A whisper: a message that only some members of a conversation see, now or for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.plugin import ErrorCode, RelayError
from relay.testing import RelayWorld, World

PLUGIN = """
from relay.plugin import ConversationKind, Kind, MessageType, Payload, hookimpl

class Note(Payload):
    text: str
    about: int | None = None

def made(name, kind, **more):
    return MessageType(name=name, payload=Note, kind=kind, from_clients=False, **more)

@hookimpl
def relay_message_types():
    return [
        made("note", Kind.LATEST, key=lambda note: note.text, about=lambda note: note.about,
             search_text=lambda note: note.text),
        made("hint", Kind.TRANSIENT),
        made("talk", Kind.STREAM),
    ]
"""


@asynccontextmanager
async def noted(relay_world: RelayWorld, folder: Path) -> AsyncIterator[tuple[World, Any, Any]]:
    (folder / "notes.py").write_text(PLUGIN)
    async with relay_world(folder, "alice", "bob", "carol", "dave") as world:
        body = {"group_id": "team", "name": "Team", "members": ["bob", "carol"]}
        assert (await world.rest("POST", "/api/groups", "alice", json_body=body)).status == 201
        team = await world.engine.channels.find("alice", "team")
        yield world, world.engine.server_of("notes"), team


async def latest(world: World, user: str) -> list[dict[str, Any]]:
    page = (await world.rest("GET", "/api/messages/group/team", user)).body
    return [one for one in page["latest"] if one["type"] == "note"]


async def test_stored_it_is_there_for_its_recipients_alone_also_after_they_come_back(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with noted(relay_world, tmp_path) as (world, server, team):
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        before = world.engine.router.position
        entries = await server.whisper(["alice", "bob"], "note", {"text": "psst"}, team, sender_id="carol")
        assert [entry.message_id for entry in entries] == [before + 1, before + 2]
        for device, name in ((alice, "alice"), (bob, "bob")):
            got = await device.next("note")
            assert (got["payload"], got["meta"]["only_for"]) == ({"text": "psst"}, name)
            assert [one["meta"]["only_for"] for one in await latest(world, name)] == [name]
            late = await world.connect(name, f"{name}-late", cursor=before)
            assert [one["meta"]["only_for"] for one in late.replayed if one["type"] == "note"] == [name]
            waiting = (await world.rest("GET", f"/api/messages/undelivered?after={before}", name)).body["messages"]
            assert [one["meta"]["only_for"] for one in waiting if one["type"] == "note"] == [name]
        await alice.request("group_message", {"content": "all"}, "team")
        assert (await carol.next())["type"] == "group_message"
        assert await latest(world, "carol") == []
        late = await world.connect("carol", "carol-late", cursor=before)
        assert [one["type"] for one in late.replayed] == ["group_message"]
        for user in ("alice", "carol"):
            found = (await world.rest("GET", "/api/search?q=psst", user)).body["results"]
            assert found == [], "a search does not find it"


async def test_a_newer_one_replaces_the_older_of_its_key_and_recipient_only(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with noted(relay_world, tmp_path) as (world, server, team):
        for user_ids in (["alice", "bob"], ["bob"]):
            await server.whisper(user_ids, "note", {"text": "one"}, team, sender_id="carol")
        await server.whisper(["bob"], "note", {"text": "two"}, team, sender_id="carol")
        assert [one["payload"]["text"] for one in await latest(world, "alice")] == ["one"]
        assert [one["payload"]["text"] for one in await latest(world, "bob")] == ["one", "two"]


async def test_a_retry_under_the_same_id_stores_nothing(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with noted(relay_world, tmp_path) as (world, server, team):
        said = (["alice", "bob"], "note", {"text": "once"}, team)
        first = await server.whisper(*said, sender_id="carol", own_id="w-1")
        again = await server.whisper(*said, sender_id="carol", own_id="w-1")
        assert [one.message_id for one in first] == [one.message_id for one in again]
        assert all(one.duplicate for one in again)
        assert len(await latest(world, "alice")) == 1


async def test_it_goes_with_the_message_that_it_is_about_and_with_its_recipient(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with noted(relay_world, tmp_path) as (world, server, team):
        alice = await world.connect("alice")
        about = (await alice.request("group_message", {"content": "x"}, "team"))["payload"]["message_id"]
        await server.whisper(["bob"], "note", {"text": "on x", "about": about}, team, sender_id="carol")
        await server.whisper(["bob"], "note", {"text": "other"}, team, sender_id="carol")
        assert len(await latest(world, "bob")) == 2
        await alice.request("message_delete", {"message_id": about}, "team")
        assert [one["payload"]["text"] for one in await latest(world, "bob")] == ["other"]
        await world.engine.leaving.erase("bob")
        left = await world.engine.runner.read(
            lambda found: found.execute("SELECT count(*) FROM latest WHERE type = 'note'").fetchone()[0]
        )
        assert left == 0


async def test_of_a_transient_type_it_is_for_who_is_there_now(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with noted(relay_world, tmp_path) as (world, server, team):
        alice, carol = [await world.connect(name) for name in ("alice", "carol")]
        before = world.engine.router.position
        await server.whisper(["alice", "bob"], "hint", {"text": "psst"}, team, sender_id="carol")
        got = await alice.next("hint")
        assert (got["payload"], got["meta"]["only_for"]) == ({"text": "psst"}, "alice")
        assert world.engine.router.position == before
        await alice.request("group_message", {"content": "all"}, "team")
        assert (await carol.next())["type"] == "group_message"


async def test_what_cannot_be_whispered_is_refused_with_the_reason(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with noted(relay_world, tmp_path) as (_world, server, team):
        with pytest.raises(ValueError, match="'talk' is a stream type: its messages have a seq"):
            await server.whisper(["alice"], "talk", {"text": "x"}, team, sender_id="carol")
        with pytest.raises(ValueError, match="is not a message type of the plugin 'notes'"):
            await server.whisper(["alice"], "chat_message", {"content": "x"}, team, sender_id="carol")
        with pytest.raises(ValueError, match="1 to 500 users, each once"):
            await server.whisper([], "note", {"text": "x"}, team, sender_id="carol")
        with pytest.raises(TypeError, match="it is a list of user ids"):
            await server.whisper("alice", "note", {"text": "x"}, team, sender_id="carol")
        with pytest.raises(RelayError, match="user 'dave' in this conversation") as refusal:
            await server.whisper(["alice", "dave"], "note", {"text": "x"}, team, sender_id="carol")
        assert refusal.value.code == ErrorCode.NOT_FOUND


async def test_many_recipients_are_stored_in_one_transaction(relay_world: RelayWorld, tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text(PLUGIN)
    names = [f"user{number}" for number in range(20)]
    async with relay_world(tmp_path, *names, RELAY_STORAGE__BATCH_MESSAGES="4") as world:
        body = {"group_id": "team", "name": "Team", "members": names[1:]}
        assert (await world.rest("POST", "/api/groups", "user0", json_body=body)).status == 201
        team = await world.engine.channels.find("user0", "team")
        batches = world.engine.router.statistics().batches
        await world.engine.server_of("notes").whisper(names, "note", {"text": "x"}, team, sender_id="user0")
        assert world.engine.router.statistics().batches == batches + 1
