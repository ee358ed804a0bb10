"""What a plugin may do by itself: post messages of its own types, be woken, and send a message elsewhere."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.plugin import RelayError, Unchanged
from relay.testing import RelayWorld, World
from relay.testing import world as open_world
from tests.actors import OPERATOR

PLUGIN = """
    from relay.plugin import BackgroundTask, ConversationKind, Kind, MessageHook, MessageType, Payload, hookimpl

    class Text(Payload):
        text: str

    async def elsewhere(draft):
        draft.conversation = await draft.server.conversations.own("carol")
        draft.target_id = ""

    @hookimpl
    def relay_message_types():
        common = {"payload": Text, "from_clients": False}
        return [
            MessageType(name="said", kind=Kind.STREAM, **common),
            MessageType(name="stands", kind=Kind.LATEST, key=lambda said: said.text, **common),
            MessageType(name="passing", kind=Kind.TRANSIENT, **common),
            MessageType(name="for_carol", kind=Kind.STREAM, payload=Text, handle=elsewhere),
        ]

    def stored(server, connection, entries):
        server.memory["seen"] = connection.execute("SELECT max(message_id) FROM log").fetchone()[0]
        server.wake()

    async def wait(server):
        while True:
            await server.woken()
            newest = await server.read(lambda c: c.execute("SELECT max(message_id) FROM log").fetchone()[0])
            server.memory.setdefault("woken", []).append((server.memory["seen"], newest))

    @hookimpl
    def relay_message_hooks():
        return [MessageHook(types=frozenset({"chat_message"}), stored=stored)]

    @hookimpl
    def relay_background():
        return [BackgroundTask(name="wait", run=wait)]
"""


def plugged(folder: Path, *users: str, **environ: str) -> Any:
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "odd.py").write_text(textwrap.dedent(PLUGIN))
    return open_world(folder, "alice", "bob", "carol", *users, RELAY_PLUGINS__DIRECTORIES=str(plugins), **environ)


async def team(running: World) -> Any:
    return await running.engine.groups.create("alice", "Team", ["bob"], "team")


async def test_a_plugin_posts_as_anybody_in_any_conversation(tmp_path: Path) -> None:
    async with plugged(tmp_path) as running:
        place = await team(running)
        server = running.engine.server_of("odd")
        bob, carol = await running.connect("bob"), await running.connect("carol")
        entry = await server.post("carol", "said", {"text": "x"}, place)
        frame = await bob.next("said")
        meta = frame["meta"]
        assert (meta["message_id"], meta["sender_id"], meta["target_id"]) == (entry.message_id, "carol", "team")
        await server.post("carol", "stands", {"text": "y"}, place)
        assert (await bob.next("stands"))["payload"] == {"text": "y"}
        await server.post("bob", "passing", {"text": "z"}, await running.engine.channels.own("carol"))
        assert "target_id" not in (await carol.next("passing"))["meta"]
        between = await running.engine.channels.find("alice", "carol")
        await server.post("alice", "said", {"text": "x"}, between)
        assert (await carol.next("said"))["meta"]["target_id"] == "carol"


async def test_what_a_plugin_posts_may_be_shaped_and_has_an_id(tmp_path: Path) -> None:
    async with plugged(tmp_path) as running:
        place, server = await team(running), running.engine.server_of("odd")
        stored = []

        def shape(draft: Any) -> None:
            draft.apply = lambda _connection, _entry: '{"text":"counted"}'
            draft.after = lambda _connection, entry: stored.append(entry.message_id)

        first = await server.post("alice", "said", {"text": "x"}, place, own_id="p-1", shape=shape)
        again = await server.post("alice", "said", {"text": "x"}, place, own_id="p-1", shape=shape)
        assert (again.duplicate, again.message_id, stored) == (True, first.message_id, [first.message_id])
        assert (await running.history("bob", "group", "team"))[-1]["payload"] == {"text": "counted"}

        def unchanged(draft: Any) -> None:
            def apply(_connection: Any, _entry: Any) -> None:
                raise Unchanged

            draft.apply = apply

        assert (await server.post("alice", "said", {"text": "x"}, place, shape=unchanged)).message_id is None
        with pytest.raises(RelayError, match="other content"):
            await server.post("alice", "said", {"text": "other"}, place, own_id="p-1")


async def test_a_plugin_posts_only_its_own_types_and_only_so_many(tmp_path: Path) -> None:
    async with plugged(tmp_path, RELAY_PLUGINS__MESSAGES_PER_SECOND="0.5") as running:
        place, server = await team(running), running.engine.server_of("odd")
        for type_ in ("group_message", "nonsense"):
            with pytest.raises(ValueError, match="not a message type of the plugin 'odd'"):
                await server.post("alice", type_, {"content": "x"}, place)
        with pytest.raises(RelayError, match="said: "):
            await server.post("alice", "said", {"text": 5}, place)
        await trio.sleep(100)
        for _ in range(5):
            await server.post("alice", "said", {"text": "x"}, place)
        with pytest.raises(RelayError, match="too many messages of this plugin"):
            await server.post("alice", "said", {"text": "x"}, place)


async def test_handle_may_send_a_message_elsewhere(tmp_path: Path) -> None:
    async with plugged(tmp_path) as running:
        await team(running)
        alice, bob, carol = [await running.connect(name) for name in ("alice", "bob", "carol")]
        for _copy in range(2):
            answer = await alice.request("for_carol", {"text": "psst"}, "team", id="x")
            assert "message_id" in answer["payload"]
            assert "seq" not in answer["payload"]
        frame = await carol.next("for_carol")
        assert ("target_id" in frame["meta"], frame["meta"]["seq"]) == (False, 1)
        assert [one["type"] for one in await bob.drain() if one["type"] == "for_carol"] == []
        refused = await carol.request("for_carol", {"text": "x"}, "team")
        assert refused["payload"]["code"] == "not_found"


async def test_who_is_woken_finds_committed_what_it_was_woken_for(tmp_path: Path) -> None:
    async with plugged(tmp_path) as running:
        alice = await running.connect("alice")
        server = running.engine.server_of("odd")
        for number in range(5):
            await alice.request("chat_message", {"content": str(number)}, "bob")
            await trio.sleep(1)
        woken = server.memory["woken"]
        assert len(woken) == 5
        assert all(newest >= seen for seen, newest in woken)


async def test_a_user_is_created_where_there_is_none(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice") as world:
        server = world.engine.server_of("search")
        assert await server.ensure_user("helper", "A helper") is True
        assert await server.ensure_user("helper") is False
        assert await server.ensure_user("alice") is False
        shown = await world.rest("GET", "/api/users/helper", "alice")
        assert shown.body["display_name"] == "A helper"
        await world.engine.groups.create("alice", "Team", [], "team")
        with pytest.raises(RelayError, match="the name 'team' is taken"):
            await server.ensure_user("team")
        with pytest.raises(RelayError, match="cannot be a user id"):
            await server.ensure_user("a b")


async def test_nothing_is_sent_as_a_user_who_is_disabled_or_not_there(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        server = world.engine.server_of("search")
        await world.engine.administration.set_disabled(OPERATOR, "bob", True)
        for user, told in (("bob", "the account 'bob' is disabled"), ("nobody", "user 'nobody'")):
            with pytest.raises(RelayError, match=told):
                await server.send(user, "chat_message", {"content": "hello"}, "alice")
        assert await world.history("alice", "user", "bob") == []
