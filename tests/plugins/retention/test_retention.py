"""Rules: what they let go, what stays, and that it is what a deletion does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.protocol.errors import RelayError
from relay.settings.model import BUNDLED_PLUGINS
from relay.storage.errors import StorageFailed
from relay.testing import Device, RelayWorld, World

DAY = 86_400.0
QUIET = {
    "RELAY_PLUGINS__ENABLED": json.dumps([name for name in BUNDLED_PLUGINS if name != "search"]),
    "RELAY_HEARTBEAT__INTERVAL_SECONDS": "3600",
}
"""Nothing that happens every minute: days pass in no time."""


def ruled(**rules: dict[str, Any]) -> dict[str, str]:
    """Return the settings that switch retention on, with rules."""
    written = {
        f"RELAY_PLUGINS__RETENTION__RULES__{name.upper()}__{key.upper()}": json.dumps(value)
        for name, rule in rules.items()
        for key, value in rule.items()
    }
    return {"RELAY_PLUGINS__ALSO": "retention"} | written


async def say(device: Device, target: str, *texts: str, type: str = "chat_message") -> list[int]:
    answers = [await device.request(type, {"content": text}, target) for text in texts]
    return [answer["payload"]["message_id"] for answer in answers]


async def standing(world: World, user: str, target: str, kind: str = "user") -> list[Any]:
    """Return the texts of a conversation; None for a tombstone. Its seqs have no hole."""
    page = await world.history(user, kind, target)
    assert [message["meta"]["seq"] for message in page] == list(range(1, len(page) + 1))
    return [message["payload"].get("content") for message in page]


async def run(world: World, command: str, **arguments: Any) -> Any:
    return await run_command(world.engine, f"retention {command}", arguments)


async def went(world: World, command: str = "run") -> dict[str, int]:
    return {row["rule"]: row["messages"] for row in await run(world, command)}


async def test_what_is_too_old_becomes_a_tombstone_and_the_rest_stays(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **QUIET, **ruled(old={"days": 30})) as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "old", "old as well")
        await trio.sleep(20 * DAY)
        await say(await world.connect("alice"), "bob", "young")
        await trio.sleep(9 * DAY)
        assert await went(world) == {"old": 0}
        await trio.sleep(2 * DAY)
        assert await standing(world, "bob", "alice") == [None, None, "young"]
        assert await went(world) == {"old": 0}


async def test_a_deleted_one_is_a_tombstone_everywhere(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ruled(few={"keep_messages": 1})) as world:
        alice = await world.connect("alice")
        upload = await world.rest(
            "POST", "/api/attachments?name=a.txt", "alice", data=b"bytes", headers={"Content-Type": "text/plain"}
        )
        file = upload.body["attachment_id"]
        first = (await alice.request("chat_message", {"content": "a pear", "attachments": [file]}, "bob"))[
            "payload"
        ]
        ref = {"message_id": first["message_id"]}
        await alice.request("message_edit", {**ref, "content": "two pears"}, "bob")
        await alice.request("reaction", {**ref, "emoji": "👍", "on": True}, "bob")
        await say(alice, "bob", "newest")
        assert (await world.rest("GET", f"/api/attachments/{file}", "bob")).status == 200
        (planned,) = await run(world, "plan")
        assert planned == {"rule": "few", "messages": 1, "bytes": planned["bytes"], "file_bytes": 5, "held": 0}
        assert await run(world, "run") == [planned]
        bob = await world.connect("bob")
        replayed = {one["meta"]["seq"]: one for one in bob.replayed if "seq" in one["meta"]}
        assert sorted(replayed) == [1, 2, 3]
        assert [replayed[seq]["payload"] for seq in (1, 2)] == [{}, {}]
        assert "deleted_at" in replayed[1]["meta"]
        assert [one for one in bob.replayed if one["type"] == "reaction"] == []
        assert (await world.rest("GET", "/api/search?q=pears", "bob")).body["results"] == []
        assert (await world.rest("GET", f"/api/attachments/{file}", "bob")).status == 404
        # Its own id is still known: a late retry stores nothing.
        stored = await alice.request("chat_message", {"content": "x"}, "bob", id="again")
        await say(alice, "bob", "newer still")
        await went(world)
        again = await alice.request("chat_message", {"content": "x"}, "bob", id="again")
        assert again["payload"] == {**stored["payload"], "duplicate": True}


async def test_the_newest_stay_by_number_and_by_bytes(relay_world: RelayWorld) -> None:
    rules = ruled(number={"keep_messages": 3, "kinds": ["user"]}, size={"keep_bytes": 100, "groups": ["team"]})
    async with relay_world(None, "alice", "bob", "carol", **rules) as world:
        alice = await world.connect("alice")
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        await world.engine.groups.create("alice", "Other", ["bob"], "other")
        texts = [f"number {number:03} and more" for number in range(8)]
        for target in ("bob", "carol"):
            await say(alice, target, *texts)
        for target in ("team", "other"):
            await say(alice, target, *texts, type="group_message")
        size = len('{"content":"number 000 and more"}')
        assert await went(world, "plan") == {"number": 10, "size": 8 - 100 // size}
        assert await went(world) == {"number": 10, "size": 5}
        for target in ("bob", "carol"):
            assert await standing(world, "alice", target) == [None] * 5 + texts[5:]
        assert (await standing(world, "alice", "team", "group"))[1:] == [None] * 5 + texts[5:]
        assert (await standing(world, "alice", "other", "group"))[1:] == texts


async def test_rules_are_for_types_and_senders_and_the_servers_events_stay(relay_world: RelayWorld) -> None:
    rules = ruled(
        bobs={"keep_messages": 0, "senders": ["bob"]},
        notes={"keep_messages": 0, "types": ["notification"]},
        team={"keep_messages": 0, "groups": ["team"]},
    )
    async with relay_world(None, "alice", "bob", **rules) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await say(alice, "bob", "hers")
        await say(bob, "alice", "his")
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        await say(alice, "team", "to all", type="group_message")
        assert await went(world) == {"bobs": 1, "notes": 0, "team": 1}
        assert await standing(world, "alice", "bob") == ["hers", None]
        event, message = await world.history("alice", "group", "team")
        assert event["payload"]["event"] == "created"
        assert message["payload"] == {}


async def test_what_somebody_has_not_read_stays_where_the_rule_says_so(relay_world: RelayWorld) -> None:
    rules = ruled(old={"keep_messages": 0, "keep_unread": True})
    async with relay_world(None, "alice", "bob", **rules) as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "one", "two")
        assert await went(world) == {"old": 0}
        bob = await world.connect("bob")
        await bob.request("read_receipt", {"up_to_seq": 1}, "alice")
        assert await went(world) == {"old": 1}
        assert await standing(world, "bob", "alice") == [None, "two"]


async def test_a_page_of_many_conversations_and_messages_is_followed_to_its_end(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", **ruled(all={"keep_messages": 1})) as world:
        import relay_plugin_retention.rules as rules  # type: ignore[import-not-found]

        monkeypatch.setattr(rules, "CHANNELS_AT_ONCE", 3)
        monkeypatch.setattr(rules, "SEQS_AT_ONCE", 7)
        names = [f"user{number}" for number in range(10)]
        await world.user(*names)
        for number, name in enumerate(names):
            await world.talk("alice", name, 3 * number + 1)
        expected = sum(3 * number for number in range(10))
        assert await went(world, "plan") == {"all": expected}
        assert await went(world) == {"all": expected}
        assert await went(world) == {"all": 0}


async def test_it_runs_at_its_hour_and_after_a_start_that_missed_it(tmp_path: Path) -> None:
    from relay.testing import world as running

    settings = QUIET | ruled(old={"days": 1}) | {"RELAY_PLUGINS__RETENTION__AT": "03:00"}
    async with running(tmp_path, "alice", "bob", **settings) as world:
        await say(await world.connect("alice"), "bob", "one")
        await trio.sleep(3 * DAY)
        ended = [row["ended_at"] for row in await run(world, "runs")]
        assert [at % DAY // 60 for at in ended] == [180, 180, 180]
        assert await standing(world, "bob", "alice") == [None]
        await world.engine.runner.write(
            lambda c: c.execute("UPDATE retention_runs SET ended_at = NULL WHERE run_id = 3")
        )
        tokens = world.tokens
    # The clock of this world begins where the first one's did; a run that did not end is begun anew at once.
    async with running(tmp_path, **settings) as world:
        world.tokens = tokens
        await world.engine.runner.write(
            lambda c: c.execute("UPDATE retention_runs SET began_at = began_at - 4 * 86400")
        )
    async with running(tmp_path, **settings) as world:
        await trio.sleep(1)
        assert (await run(world, "runs"))[0]["ended_at"] is not None


async def test_it_runs_every_so_many_minutes_and_when_asked(relay_world: RelayWorld) -> None:
    settings = ruled(few={"keep_messages": 1}) | {"RELAY_PLUGINS__RETENTION__EVERY_MINUTES": "10"}
    async with relay_world(None, "alice", "bob", **settings) as world:
        alice = await world.connect("alice")
        await trio.sleep(1)
        await say(alice, "bob", "one", "two")
        await trio.sleep(540)
        assert await standing(world, "bob", "alice") == ["one", "two"]
        await trio.sleep(120)
        assert await standing(world, "bob", "alice") == [None, "two"]
        await say(await world.connect("alice"), "bob", "three")
        assert await went(world) == {"few": 1}
        assert len(await run(world, "runs")) == 3


async def test_a_disk_that_does_not_take_it_is_tried_again_and_is_no_fault_of_the_plugins(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob", **ruled(all={"keep_messages": 0})) as world:
        await say(await world.connect("alice"), "bob", "one")
        server = world.engine.server_of("retention")

        async def fail(_message_ids: Any) -> list[int]:
            raise StorageFailed("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(server, "erase", fail)
            assert "it has begun and goes on" in await run(world, "run")
        await trio.sleep(61)
        assert await standing(world, "bob", "alice") == [None]
        assert server.guard.failures == 0


async def test_the_report_tells_what_is_stored(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ruled(few={"keep_messages": 1})) as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "one", "two!")
        await went(world)
        audited, chat, free = await run(world, "report")
        assert audited["type"] == "audit_event", "the run itself"
        assert chat == {
            "type": "chat_message", "messages": 1, "bytes": len('{"content":"two!"}'), "file_bytes": 0,
            "tombstones": 1, "oldest_at": chat["oldest_at"],
        }  # fmt: skip
        assert free["type"] == "(free)"
        for by, name in (("conversation", "user:alice:bob"), ("sender", "alice"), ("kind", "user")):
            assert (await run(world, "report", by=by))[1][by] == name
        for wrong in ({"by": "colour"}, {"limit": 0}):
            with pytest.raises(RelayError):
                await run(world, "report", **wrong)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('[plugins.retention.rules.a]\ndays = "many"', ":4: plugins.retention.rules.a.days: Expected `float"),
        ("[plugins.retention.rules.a]\ntypes = []\ndayz = 3", ":5: plugins.retention.rules.a.dayz: no such option; did you mean days?"),
        ("[plugins.retention.rules.a]\nsenders = ['bob']", "[plugins.retention.rules.a]: say what goes, by days"),
        ("[plugins.retention.rules.a]\ndays = 1\ngroups = ['a']\nkinds = ['user']", "leave out one of groups and kinds"),
        ("[plugins.retention.rules.a]\ndays = 1\nkinds = ['private']", ":5: plugins.retention.rules.a.kinds: Invalid enum value 'private'"),
        ("[plugins.retention]\nat = '25:00'", ":4: plugins.retention.at: "),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_with_its_key_and_line(tmp_path: Path, written: str, told: str) -> None:
    from relay.engine.loader import load_plugins
    from relay.settings import load

    file = tmp_path / "relay.toml"
    file.write_text(f'[plugins]\nalso = ["retention"]\n{written}\n')
    (broken,) = load_plugins(load(file, {}), {}).broken
    assert told in broken.reason


async def test_a_run_that_is_cut_short_is_begun_anew_and_loses_nothing_that_stays(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    settings = ruled(old={"keep_messages": 2}) | {"RELAY_PLUGINS__RETENTION__BATCH_MESSAGES": "5"}
    async with relay_world(None, "alice", "bob", **settings) as world:
        await world.talk("alice", "bob", 40)
        with trio.move_on_after(0.05):
            await went(world)
        assert 0 < (await standing(world, "bob", "alice")).count(None) < 38
        async with world.after_crash(tmp_path / "copy") as again:
            await went(again)
            assert await standing(again, "bob", "alice") == [None] * 38 + ["message 38", "message 39"]


async def test_pages_are_given_back_where_the_database_can(tmp_path: Path) -> None:
    import sqlite3

    from relay.testing import world as running

    settings = ruled(all={"keep_messages": 0})
    async with running(tmp_path, "alice", "bob", **settings) as world:
        alice = await world.connect("alice")
        for number in range(60):
            await say(alice, "bob", f"{number} " + "long " * 1500)
    file = tmp_path / "relay.db"
    with sqlite3.connect(file, isolation_level=None) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    connection.close()
    before = file.stat().st_size
    async with running(tmp_path, **settings) as world:
        assert await went(world) == {"all": 60}
        (*_, free) = await run(world, "report")
        assert free["bytes"] == 0
    assert file.stat().st_size < before - 200_000  # some pages are free since the index was merged
