"""Targets that are slow, dead or gone, and servers that end in the middle."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import World
from tests.actors import OPERATOR
from tests.plugins.notifications.conftest import SOON, Notifying, Outside, Town
from tests.plugins.notifications.receivers import Ntfy, Reply


@pytest.mark.parametrize("status", [404, 410])
async def test_a_target_that_is_gone_is_removed(notifying: Notifying, status: int) -> None:
    async with notifying() as town:
        await town.browser("bob")
        await town.ntfy("bob")
        town.outside.push.replies = [Reply(status)]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert [target["kind"] for target in await town.targets("bob")] == ["ntfy"]
        assert town.outside.ntfy.texts == [("alice", "Lunch?")]


async def test_a_target_that_fails_is_tried_again_with_growing_pauses(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(500)] * 4
        began = trio.current_time()
        await town.say("alice", "bob", "Lunch?")
        tries: list[float] = []
        while len(tries) < 5:
            await trio.sleep(0.1)
            if len(town.outside.ntfy.calls) > len(tries):
                tries.append(trio.current_time() - began)
        pauses = [round(later - earlier) for earlier, later in pairwise(tries)]
        assert pauses == [10, 30, 120, 600]
        assert town.outside.ntfy.texts == [("alice", "Lunch?")]
        (target,) = await town.targets("bob")
        assert (target["failures"], target["state"]) == (0, "active")


async def test_what_a_target_will_never_take_holds_up_nothing_else(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(413)]
        await town.say("alice", "bob", "odd")
        await town.say("carol", "bob", "other")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("carol", "other")]
        await trio.sleep(1000)
        assert len(town.outside.ntfy.calls) == 2
        (target,) = await town.targets("bob")
        assert (target["state"], target["failures"]) == ("active", 0)


async def test_the_owner_sees_why_and_what_was_read_meanwhile_never_goes_out(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(500)]
        ack = await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        (target,) = await town.targets("bob")
        assert (target["failures"], target["last_error"]) == (1, "'ntfy.example' answered 500")
        assert target["retry_at"] > town.world.engine.now()
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(100)
        assert town.outside.ntfy.published == []


async def test_who_is_back_at_a_device_is_not_told_by_a_retry(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(503)]
        ack = await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        device = await town.world.connect("bob")
        await trio.sleep(100)
        await device.cut()
        await trio.sleep(100)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        assert town.outside.ntfy.calls == [("POST", "/")]


async def test_a_target_that_asks_for_a_pause_gets_it(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.browser("bob")
        town.outside.push.replies = [Reply(429, headers={"Retry-After": "300"})]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(290)
        assert len(town.outside.push.calls) == 1
        await trio.sleep(30)
        assert len(town.outside.push.calls) == 2


async def test_one_that_fails_for_a_day_is_given_up_until_a_test_arrives(notifying: Notifying) -> None:
    async with notifying() as town:
        target_id = await town.ntfy("bob")
        town.outside.addresses.pop("ntfy.example")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(30 * 3600)
        (target,) = await town.targets("bob")
        assert (target["state"], target["retry_at"]) == ("given_up", None)
        assert target["last_error"] == "there is no host 'ntfy.example'"
        assert 8 < target["failures"] < 20
        tried = await town.rest("POST", f"/api/push/targets/{target_id}/test", "bob")
        assert tried == {"delivered": False, "error": "there is no host 'ntfy.example'"}
        town.outside.addresses["ntfy.example"] = ["93.184.215.14"]
        tried = await town.rest("POST", f"/api/push/targets/{target_id}/test", "bob")
        assert tried == {"delivered": True, "error": None}
        (target,) = await town.targets("bob")
        assert (target["state"], target["failures"], target["last_error"]) == ("active", 0, None)
        await town.say("alice", "bob", "Supper?")
        await trio.sleep(SOON)
        assert ("relay", "This is a test. Notifications arrive here.") in town.outside.ntfy.texts
        assert ("alice", "Supper?\n+1 more") in town.outside.ntfy.texts


async def test_a_slow_target_holds_up_no_other(notifying: Notifying) -> None:
    async with notifying("alice", *(f"u{n}" for n in range(30))) as town:
        slow = town.outside.add(Ntfy("https://slow.example"))
        town.outside.delays["slow.example"] = 1000
        for number in range(30):
            await town.target(f"u{number}", kind="ntfy", url=f"https://slow.example/u{number}")
            await town.ntfy(f"u{number}")
        for number in range(30):
            await town.say("alice", f"u{number}", "Lunch?")
        await trio.sleep(SOON)
        assert len(town.outside.ntfy.published) == 30
        assert slow.calls == []
        (failing,) = [one for one in await town.targets("u0") if "slow" in one["place"]]
        assert failing["last_error"] in (None, "no answer within 8 s")


async def test_a_target_of_a_device_that_was_logged_out_is_removed(notifying: Notifying) -> None:
    async with notifying() as town:
        device = await town.world.connect("bob", "phone")
        body = {"kind": "ntfy", "url": "https://ntfy.example/bob", "client_id": "phone"}
        await town.rest("POST", "/api/push/targets", "bob", 201, **body)
        await town.ntfy("bob", "other")
        await device.cut()
        await town.rest("DELETE", "/api/devices/phone", "bob", 204)
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert [said["topic"] for said in town.outside.ntfy.published] == ["other"]
        assert [target["place"] for target in await town.targets("bob")] == ["https://ntfy.example/other"]


async def test_a_disabled_account_is_told_nothing(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.world.engine.runner.write(
            lambda connection: connection.execute("UPDATE users SET disabled = 1 WHERE user_id = 'bob'")
        )
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.ntfy.calls == []


async def test_a_banned_account_is_told_nothing_nor_what_waited_for_it(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        browser = await town.browser("bob")
        await town.say("alice", "bob", "waits")
        until = town.world.engine.now() + 3600
        await town.world.engine.moderation.restrict(OPERATOR, "ban", "bob", until=until)
        await town.say("alice", "bob", "said later")
        await trio.sleep(3000)
        assert (town.outside.ntfy.calls, list(browser.shown)) == ([], [])
        await trio.sleep(700)  # the ban is over
        await town.say("alice", "bob", "welcome back")
        await trio.sleep(SOON)
        assert [text.partition("\n")[0] for _title, text in town.outside.ntfy.texts] == ["welcome back"]


async def test_who_is_banned_from_a_group_is_told_nothing_of_it(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.group("alice", "bob", "carol")
        for user in ("bob", "carol"):
            await town.ntfy(user)
        await town.say("alice", "team", "waits for @bob @carol", mentions=["bob", "carol"])
        await town.world.engine.moderation.restrict(OPERATOR, "ban", "bob", group_id="team")
        await town.say("alice", "team", "later", mentions=["carol"])
        await trio.sleep(SOON)
        assert {said["topic"] for said in town.outside.ntfy.published} == {"carol"}
        await town.say("alice", "bob", "between us")
        await trio.sleep(SOON)
        assert [said["topic"] for said in town.outside.ntfy.published][-1] == "bob"


async def test_what_waits_survives_a_crash(notifying: Notifying, outside: Outside, tmp_path: Path) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(2)
        async with town.world.after_crash(tmp_path / "again") as again:
            await trio.sleep(3)
            assert outside.ntfy.published == []
            await trio.sleep(SOON)
            assert outside.ntfy.texts == [("alice", "Lunch?")]
            assert await shown(again) == 1


async def test_what_was_said_while_nobody_looked_is_found(
    notifying: Notifying, outside: Outside, tmp_path: Path
) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "Lunch?")
        async with town.world.after_crash(tmp_path / "again"):
            await trio.sleep(2 * SOON)
            assert outside.ntfy.texts == [("alice", "Lunch?")]


async def test_what_was_sent_and_not_noted_is_sent_once_more_in_its_own_place(
    notifying: Notifying, outside: Outside, tmp_path: Path
) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        outside.lags["ntfy.example"] = 2
        ack = await town.say("alice", "bob", "Lunch?")
        while not outside.ntfy.published:
            await trio.sleep(0.01)
        async with town.world.after_crash(tmp_path / "again") as again:
            await trio.sleep(2 * SOON)
            assert len(outside.ntfy.published) == 2
            assert outside.ntfy.texts == [("alice", "Lunch?")]
            await Town(again, outside).read("bob", "alice", ack["seq"])
            await trio.sleep(SOON)
            assert outside.ntfy.texts == []


async def test_a_pause_survives_a_restart(notifying: Notifying, outside: Outside, tmp_path: Path) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        outside.ntfy.replies = [Reply(429, headers={"Retry-After": "600"})]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        async with town.world.after_crash(tmp_path / "again"):
            await trio.sleep(500)
            assert len(outside.ntfy.calls) == 1
            await trio.sleep(200)
            assert outside.ntfy.texts == [("alice", "Lunch?")]


async def test_a_fault_of_the_plugins_own_is_counted_and_costs_no_other_target(
    notifying: Notifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.gotify("bob")

        def broken(*_arguments: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(town.outside.ntfy, "answer", broken)
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.gotify.texts == [("alice", "Lunch?")]
        guard = town.world.engine.registry.guard("notifications")
        assert guard is not None
        assert guard.failures == 1
        guard.failures = 0
        errors = {target["kind"]: target["last_error"] for target in await town.targets("bob")}
        assert errors["gotify"] is None
        assert "a fault of this server's" in errors["ntfy"]


async def test_a_full_disk_is_waited_for_and_is_no_failure_of_the_plugins(
    notifying: Notifying, caplog: pytest.LogCaptureFixture
) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        runner = town.world.engine.runner
        await town.say("alice", "bob", "Lunch?")
        await runner.write(
            lambda connection: connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON notifications_conversations BEGIN"
                " INSERT INTO notifications_state VALUES ('filler', zeroblob(1000000)); END"
            )
        )
        pages = await runner.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        await runner.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())
        await trio.sleep(600)
        assert town.outside.ntfy.calls == []
        assert caplog.text.count("the disk did not take something") > 10
        await runner.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall())
        await runner.write(lambda connection: connection.execute("DROP TRIGGER full"))
        await trio.sleep(60)
        assert town.outside.ntfy.texts == [("alice", "Lunch?")]


async def test_what_was_said_while_the_plugin_was_set_aside_is_told_once_it_is_back(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        guard = town.world.engine.registry.guard("notifications")
        assert guard is not None
        for _ in range(10):
            guard.failed("a test", RuntimeError("on purpose"))
        assert guard.quarantined
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(100)
        assert town.outside.ntfy.calls == []
        guard.resume()
        await trio.sleep(2 * SOON)
        assert town.outside.ntfy.texts == [("alice", "Lunch?")]
        guard.failures = 0


async def test_everybody_is_told_of_what_is_for_everybody(notifying: Notifying) -> None:
    people = [f"u{number}" for number in range(250)]
    async with notifying("alice", *people) as town:
        server = town.world.engine.server_of("notifications")
        await server.write(partial(add_targets, people=people))
        said = {"title": "Fire drill"}
        await server.send("alice", "notification", said, "*", scopes=frozenset({"notify"}))
        await trio.sleep(2 * SOON)
        assert {said["topic"] for said in town.outside.ntfy.published} == set(people)
        assert len(town.outside.ntfy.published) == 250


def add_targets(connection: sqlite3.Connection, people: list[str]) -> None:
    for user in people:
        address = json.dumps({"kind": "ntfy", "url": f"https://ntfy.example/{user}"})
        connection.execute(
            "INSERT INTO notifications_targets (target_id, user_id, kind, place, address, label, withdraw, since,"
            " created_at, state) VALUES (?1, ?1, 'ntfy', ?2, ?2, '', 1, 0, 0, 'active')",
            (user, address),
        )


async def test_what_an_older_version_stored_otherwise_stops_nothing(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        ack = await town.say("alice", "bob", "first")
        await town.world.engine.runner.write(
            lambda connection: connection.execute(
                "UPDATE log SET payload = '{\"odd\":1}' WHERE message_id = ?", (ack["message_id"],)
            )
        )
        await town.say("alice", "bob", "second")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "second")]


async def test_what_changes_while_it_is_sent_is_not_sent_over_and_over(
    notifying: Notifying, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "first")
        second = await town.say("alice", "bob", "second")
        town.outside.ntfy.replies = [Reply(500)]
        while not town.outside.ntfy.calls:
            await trio.sleep(0.1)
        await trio.sleep(9)
        monkeypatch.setattr(plugin("push"), "GATHER_SECONDS", 5)  # whoever follows the log comes late
        server = town.world.engine.server_of("notifications")
        await server.send("alice", "message_delete", {"message_id": second["message_id"]}, "bob")
        await trio.sleep(20)
        assert town.outside.ntfy.texts == [("alice", "first")]
        assert len(town.outside.ntfy.published) <= 2


async def shown(world: World) -> int:
    def count(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("SELECT count(*) FROM notifications_shown").fetchone()[0]
        return found

    return await world.engine.runner.read(count)
