"""Reminders: when they come, to whom, and what takes them away before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import Role
from relay.testing import EPOCH, Device, RelayWorld, World
from tests.actors import OPERATOR

ON = {"RELAY_PLUGINS__ALSO": "bots, remind"}
DAY = 86_400


async def remind(device: Device, text: str, target: str = "bob", **more: Any) -> int:
    """Ask for a reminder and return its id."""
    answer = await device.request("remind", {"text": text, **more}, target)
    assert answer["type"] == "ack", answer
    assert answer["payload"]["at"] > EPOCH
    return answer["payload"]["message_id"]


async def refused(device: Device, target: str = "bob", **payload: Any) -> tuple[str, str]:
    error = (await device.request("remind", payload, target))["payload"]
    return error["code"], error["message"]


async def came(world: World, user: str, kind: str, target: str) -> list[tuple[str, str, float]]:
    """Return the reminders of a conversation: sender, text, and after how many seconds."""
    return [
        (one["meta"]["sender_id"], one["payload"]["text"], round(one["meta"]["timestamp"] - EPOCH))
        for one in await world.history(user, kind, target)
        if one["type"] == "reminder"
    ]


async def notified(world: World, user: str) -> list[tuple[str, str]]:
    """Return the type and the text of what stands among a user's notifications."""
    found = (await world.rest("GET", "/api/notifications", user)).body["messages"]
    return [(one["type"], one["payload"]["text"]) for one in found if "text" in one["payload"]]


async def listed(world: World, user: str = "alice") -> list[tuple[str, str | None]]:
    found = (await world.rest("GET", "/api/reminders", user)).body["reminders"]
    return [(one["text"], one["target_id"]) for one in found]


async def jobs(world: World) -> list[str]:
    return [job.key for job in await world.engine.server_of("remind").jobs.waiting("remind")]


async def test_a_reminder_comes_in_its_conversation_once_and_at_its_time(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        asked = await remind(alice, "lunch", when="in 2 hours")
        assert (await remind(alice, "call", at=EPOCH + 1800)) == asked + 1
        assert await listed(world) == [("call", "bob"), ("lunch", "bob")]
        assert await listed(world, "bob") == []
        await trio.sleep(DAY)
        assert await came(world, "bob", "user", "alice") == [("alice", "call", 1800), ("alice", "lunch", 7200)]
        assert (await listed(world), await jobs(world)) == ([], [])
        conversation = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"][0]
        assert conversation["unread"] == 2


async def test_one_for_me_comes_with_the_notifications_and_nobody_else_sees_it(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await remind(alice, "stretch", when="in 10m", only_me=True)
        await remind(alice, "alone", "alice", when="in 20m", only_me=True)
        assert await listed(world) == [("stretch", None), ("alone", None)]
        assert [one for one in await bob.drain() if one["type"].startswith("remind")] == []
        assert await world.history("bob", "user", "alice") == []
        await trio.sleep(1201)
        assert await notified(world, "alice") == [("reminder", "stretch"), ("reminder", "alone")]
        assert (await world.rest("GET", "/api/notifications", "alice")).body["unread"] == 2
        assert await notified(world, "bob") == []


async def test_a_retry_adds_no_second_reminder(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        first = await alice.request("remind", {"text": "x", "when": "in 10m"}, "bob", id="r-1")
        await trio.sleep(20)
        again = await alice.request("remind", {"text": "x", "when": "in 10m"}, "bob", id="r-1")
        assert again["payload"]["duplicate"]
        assert again["payload"]["message_id"] == first["payload"]["message_id"]
        await trio.sleep(DAY)
        assert await came(world, "bob", "user", "alice") == [("alice", "x", 600)]


async def test_what_is_wrong_is_refused_and_named(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_PLUGINS__REMIND__PER_USER="2", **ON) as world:
        alice = await world.connect("alice")
        invalid = ErrorCode.INVALID_PAYLOAD
        for payload, told in (
            ({"text": "x"}, "say either `when`"),
            ({"text": "x", "when": "in 5m", "at": EPOCH + 9}, "say either `when`"),
            ({"text": "x", "when": "soon"}, "'soon' is no time; right is: in 10m"),
            ({"text": "x", "when": "09:00", "zone": "Mars"}, "zone: there is no time zone 'Mars' here"),
            ({"text": "x", "at": EPOCH - 60}, "the time"),
            ({"text": "x", "when": "in 9999d"}, "within 1830 days"),
            ({"text": "\u3164", "when": "in 5m"}, "text"),
        ):
            code, message = await refused(alice, **payload)
            assert (code, told in message) == (invalid, True), message
        await remind(alice, "one", when="in 5m")
        await remind(alice, "two", when="in 5m", only_me=True)
        assert await refused(alice, text="three", when="in 5m") == (
            "forbidden", "you have 2 reminders that wait; delete one first",
        )  # fmt: skip
        await trio.sleep(301)
        await remind(await world.connect("alice"), "three", when="in 5m")


async def test_a_time_of_day_goes_by_the_zone_that_is_given_or_the_option(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_PLUGINS__REMIND__ZONE="Europe/Berlin", **ON) as world:
        alice = await world.connect("alice")  # it is 23:13:20 in Berlin
        await remind(alice, "Berlin", when="tomorrow 09:00")
        await remind(alice, "Tokyo", when="tomorrow 09:00", zone="Asia/Tokyo")
        await trio.sleep(2 * DAY)
        assert await came(world, "bob", "user", "alice") == [
            ("alice", "Berlin", 35_200), ("alice", "Tokyo", 92_800),
        ]  # fmt: skip


async def test_deleting_takes_it_back_by_message_and_by_rest(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        first = await remind(alice, "by message", when="in 10m")
        second = await remind(alice, "by rest", when="in 10m")
        third = await remind(alice, "for me", when="in 10m", only_me=True)
        assert (await alice.request("message_delete", {"message_id": first}, "bob"))["type"] == "ack"
        assert (await world.rest("DELETE", f"/api/reminders/{second}", "bob")).status == 404
        for known in (second, third):
            assert (await world.rest("DELETE", f"/api/reminders/{known}", "alice")).status == 204
            assert (await world.rest("DELETE", f"/api/reminders/{known}", "alice")).status == 404
        assert (await listed(world), await jobs(world)) == ([], [])
        await trio.sleep(DAY)
        assert await came(world, "bob", "user", "alice") == []
        assert await notified(world, "alice") == []


async def test_one_that_is_deleted_at_the_very_moment_does_not_come(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        known = await remind(await world.connect("alice"), "x", when="in 10m")
        users = world.engine.server_of("remind").users
        get = users.get

        async def get_late(user_id: str) -> Any:
            assert (await world.rest("DELETE", f"/api/reminders/{known}", "alice")).status == 204
            return await get(user_id)

        monkeypatch.setattr(users, "get", get_late)
        await trio.sleep(700)
        assert (await came(world, "bob", "user", "alice"), await jobs(world)) == ([], [])


async def test_who_leaves_or_goes_is_forgotten(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        groups = world.engine.groups
        for name in ("team", "gone"):
            await groups.create("alice", name, ["bob", "carol"], name)
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        await remind(bob, "bob's", "team", when="in 10m")
        await remind(bob, "deleted", "gone", when="in 10m")
        await remind(alice, "alice's", "team", when="in 10m")
        await remind(carol, "carol's", "team", when="in 10m")
        await remind(carol, "carol's own", "team", when="in 10m", only_me=True)
        await groups.remove_member("alice", "team", "bob")
        await groups.delete("alice", "gone")
        assert await listed(world, "bob") == []
        await world.engine.leaving.erase("carol")
        assert len(await jobs(world)) == 1
        await trio.sleep(DAY)
        assert await came(world, "alice", "group", "team") == [("alice", "alice's", 600)]


async def test_what_changed_while_the_plugin_was_off_is_looked_at_when_it_is_due(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        bob = await world.connect("bob")
        await remind(bob, "left", "team", when="in 10m")
        await remind(bob, "disabled", "alice", when="in 20m")
        guard = world.engine.registry.guard("remind")
        guard.reason = "set aside"
        await world.engine.groups.remove_member("alice", "team", "bob")
        guard.resume()
        await world.engine.administration.set_disabled(OPERATOR, "bob", True)
        await trio.sleep(DAY)
        assert await came(world, "alice", "group", "team") == []
        assert await came(world, "alice", "user", "bob") == []
        assert (await jobs(world), guard.failures) == ([], 0)


async def test_one_that_is_refused_at_its_time_does_not_wait_for_ever(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_TYPES__REMINDER__MAX_BYTES="40", **ON) as world:
        await remind(await world.connect("alice"), "a text that is too long", when="in 10m")
        await trio.sleep(601)
        assert (await came(world, "bob", "user", "alice"), await listed(world), await jobs(world)) == ([], [], [])


async def test_after_a_crash_at_any_moment_each_reminder_comes_once(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        for number in range(3):
            await remind(alice, f"r{number}", at=EPOCH + 100 + number)
            await remind(alice, f"m{number}", at=EPOCH + 100 + number, only_me=True)
        await trio.sleep(99.5)
        for moment in range(6):  # before the first, between them, after the last
            async with world.after_crash(tmp_path / str(moment)) as again:
                await trio.sleep(30)
                assert [text for _, text, _ in await came(again, "bob", "user", "alice")] == ["r0", "r1", "r2"]
                assert [text for _, text in await notified(again, "alice")] == ["m0", "m1", "m2"]
            await trio.sleep(0.5)


async def test_the_slash_command_sets_and_lists_reminders(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")

        async def typed(text: str) -> str:
            await alice.request("slash_command", {"command": "remind", "text": text}, "bob")
            frame = await alice.next("slash_response", "slash_notice")
            return str(frame["payload"].get("content") or frame["payload"].get("message"))

        assert "no reminder waits; try /remind in 10 minutes to stretch" in await typed("list")
        assert await typed("me in 10 minutes to stretch") == (
            "reminder for you at 2023-11-14 22:23 (UTC): stretch"
        )
        assert "everybody here at 2023-11-15 09:30" in await typed("here 09:30 stand-up")
        assert (await typed("")).splitlines() == [
            "2023-11-14 22:23 (UTC): stretch", "2023-11-15 09:30 (UTC): stand-up",
        ]  # fmt: skip
        assert "say when, and then of what" in await typed("stretch")
        assert "say when, and then of what" in await typed("in 10m")
        await bob.drain()
        await trio.sleep(DAY)
        assert [text for _, text, _ in await came(world, "bob", "user", "alice")] == ["stand-up"]
        assert ("reminder", "stretch") in await notified(world, "alice")


async def test_without_bots_reminders_work_all_the_same(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_PLUGINS__ALSO="remind") as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        await world.engine.groups.put_member("alice", "team", "bob", Role.ADMIN)
        alice = await world.connect("alice")
        await remind(alice, "x", "team", when="in 10m")
        await trio.sleep(700)
        assert await came(world, "bob", "group", "team") == [("alice", "x", 600)]


async def test_who_is_timed_out_reminds_nobody_but_themself(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        bob = await world.connect("bob")
        soon = await remind(bob, "said before", "team", when="in 2 hours")
        later = await remind(bob, "said before, for later", "team", when="in 2 days")
        until = EPOCH + DAY
        await world.engine.moderation.restrict(OPERATOR, "timeout", "bob", until=until, group_id="team")
        answer = await bob.request("remind", {"text": "lunch", "when": "in 1 hour"}, "team")
        assert answer["payload"]["details"]["reason"] == "timed_out"
        await remind(bob, "mine", "team", when="in 1 hour", only_me=True)
        assert await jobs(world) != []
        await trio.sleep(DAY - 1)
        assert await came(world, "alice", "group", "team") == []  # nor does what they asked for before
        assert ("reminder", "mine") in await notified(world, "bob")
        assert await listed(world, "bob") == [("said before, for later", "team")]
        await trio.sleep(2 * DAY)
        assert await came(world, "alice", "group", "team") == [("bob", "said before, for later", 2 * DAY)]
        assert soon < later


async def test_a_reminder_for_everybody_counts_in_slow_mode(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        await world.engine.slow_mode.set(OPERATOR, "team", 60)
        bob = await world.connect("bob")
        await remind(bob, "stretch", "team", when="in 10 seconds")
        answer = await bob.request("remind", {"text": "again", "when": "in 1 hour"}, "team")
        assert answer["payload"]["details"]["reason"] == "slow_mode"
        await remind(bob, "mine", "team", when="in 1 hour", only_me=True)
        await trio.sleep(20)
        assert await came(world, "alice", "group", "team") == [("bob", "stretch", 10)]


async def test_a_reminder_does_not_come_to_who_blocks_its_author(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        await remind(alice, "call", when="in 1 hour")
        assert (await world.rest("PUT", "/api/users/alice/block", "bob")).status == 204
        assert (await refused(alice, text="lunch", when="in 1 hour"))[0] == "forbidden"
        await remind(alice, "mine", when="in 1 hour", only_me=True)
        await trio.sleep(DAY)
        assert await came(world, "bob", "user", "alice") == []
        assert ("reminder", "mine") in await notified(world, "alice")
