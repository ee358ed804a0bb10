"""What users choose: do not disturb, quiet hours, muted conversations."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import trio

from tests.plugins.notifications.conftest import SOON, Notifying, Town

NOTHING = {"do_not_disturb_until": None, "quiet_hours": None, "content": None, "muted": [], "everything": []}


async def pushed(town: Town, text: str, sender: str = "alice", target: str = "bob", **more: list[str]) -> bool:
    """Tell whether a message goes out, and read it."""
    before = len(town.outside.ntfy.published)
    ack = await town.say(sender, target, text, **more)
    await trio.sleep(SOON)
    await town.read("bob", sender if target == "bob" else target, ack["seq"])
    await trio.sleep(3)
    return len(town.outside.ntfy.published) > before


async def test_do_not_disturb_holds_until_it_says(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        assert await town.rest("GET", "/api/push/settings", "bob") == NOTHING
        until = town.world.engine.now() + 100
        chosen = await town.rest("PATCH", "/api/push/settings", "bob", do_not_disturb_until=until)
        assert chosen == NOTHING | {"do_not_disturb_until": until}
        assert not await pushed(town, "now")
        await trio.sleep(100)
        assert await pushed(town, "later")
        assert await town.rest("GET", "/api/push/settings", "bob") == NOTHING


@pytest.mark.parametrize(("begins", "ends"), [("22:00", "07:00"), ("12:00", "13:30")])
async def test_quiet_hours_are_those_of_the_users_clock(notifying: Notifying, begins: str, ends: str) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        hours = {"from": begins, "to": ends, "zone": "Asia/Kathmandu"}
        chosen = await town.rest("PATCH", "/api/push/settings", "bob", quiet_hours=hours)
        assert chosen["quiet_hours"] == hours
        for _ in range(26):
            clock = datetime.fromtimestamp(town.world.engine.now() + 5, ZoneInfo("Asia/Kathmandu")).strftime(
                "%H:%M"
            )
            quiet = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
            assert await pushed(town, clock) is not quiet, clock
            await trio.sleep(3600)
        assert (await town.rest("PATCH", "/api/push/settings", "bob", quiet_hours=None)) == NOTHING


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"quiet_hours": {"from": "22:00", "to": "07:00", "zone": "Mars/Base"}}, "no time zone 'Mars/Base' here"),
        ({"quiet_hours": {"from": "22:00", "to": "07:00", "zone": "../../etc/passwd"}}, "no time zone"),
        ({"quiet_hours": {"from": "25:00", "to": "07:00", "zone": "UTC"}}, "at `quiet_hours.from`"),
        ({"quiet_hours": {"from": "22:00", "zone": "UTC"}}, "missing required field `to`"),
        ({"content": "some"}, "Invalid enum value 'some'"),
        ({"do_not_disturb_until": "soon"}, "`do_not_disturb_until`"),
        ({"mood": 1}, "unknown field `mood`"),
    ],
)
async def test_what_is_wrong_with_a_choice_is_named(
    notifying: Notifying, body: dict[str, object], told: str
) -> None:
    async with notifying() as town:
        refused = await town.rest("PATCH", "/api/push/settings", "bob", 400, **body)
        assert told in refused["detail"]
        assert await town.rest("GET", "/api/push/settings", "bob") == NOTHING


async def test_a_muted_conversation_notifies_nobody_until_it_is_over(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.group("alice", "bob", "carol")
        await town.ntfy("bob")
        await town.rest("PUT", "/api/push/muted/alice", "bob", 204)
        await town.rest(
            "PUT", "/api/push/muted/team", "bob", 204, until=town.world.engine.now() + 60, mentions=True
        )
        await town.rest("PUT", "/api/push/muted/*", "bob", 204)
        muted = (await town.rest("GET", "/api/push/settings", "bob"))["muted"]
        assert [(one["target_id"], one["mentions"]) for one in muted] == [
            ("*", False), ("team", True), ("alice", False),
        ]  # fmt: skip
        assert not await pushed(town, "muted")
        assert await pushed(town, "another's", "carol")
        assert await pushed(town, "called", "alice", "team", mentions=["bob"])
        await town.rest("PUT", "/api/push/muted/team", "bob", 204)
        assert not await pushed(town, "called in vain", "alice", "team", mentions=["bob"])
        for target in ("alice", "team", "*"):
            await town.rest("DELETE", f"/api/push/muted/{target}", "bob", 204)
        assert await pushed(town, "heard")
        assert await pushed(town, "heard", "alice", "team", mentions=["bob"])


async def test_only_ones_own_conversations_can_be_muted(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.group("alice", "carol")
        for target in ("nobody", "team"):
            refused = await town.rest("PUT", f"/api/push/muted/{target}", "bob", 404)
            assert refused["detail"] == f"there is no user or group '{target}'"


async def test_a_group_notifies_of_everything_where_its_reader_wants_that(notifying: Notifying) -> None:
    rules = '[{do = "nothing", senders = ["carol"]}]'
    async with notifying(rules=rules) as town:
        await town.ntfy("bob")
        await town.group("alice", "bob", "carol")
        assert not await pushed(town, "not yet", target="team")
        await town.rest("PUT", "/api/push/everything/team", "bob", 204)
        assert await pushed(town, "all of it", target="team")
        assert not await pushed(town, "but what a rule leaves out", sender="carol", target="team")
        assert not await pushed(town, "nor one's own", sender="bob", target="team")
        await town.rest("PUT", "/api/push/muted/team", "bob", 204, until=town.world.engine.now() + 100)
        assert not await pushed(town, "muted for a while", target="team")
        chosen = await town.rest("GET", "/api/push/settings", "bob")
        assert (chosen["everything"], chosen["muted"][0]["target_id"]) == (["team"], "team")
        await trio.sleep(100)
        assert await pushed(town, "all of it again", target="team")
        await town.rest("DELETE", "/api/push/everything/team", "bob", 204)
        assert not await pushed(town, "as usual", target="team")
        assert await pushed(town, "but mentions", target="team", mentions=["bob"])
        await town.rest("PUT", "/api/push/everything/nowhere", "bob", 404)


async def test_a_target_has_the_words_of_its_language(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob", language="fr")
        await town.rest("PATCH", "/api/push/settings", "bob", content="sender")
        await town.say("alice", "bob", "Bonjour")
        await town.say("alice", "bob", "Encore")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "2 nouveaux messages")]


async def test_what_is_chosen_on_one_device_is_told_to_all_of_the_users_devices_and_to_nobody_else(
    notifying: Notifying,
) -> None:
    async with notifying() as town:
        await town.group("alice", "bob", "carol")
        laptop, phone = await town.world.connect("bob", "laptop"), await town.world.connect("bob", "phone")
        alice = await town.world.connect("alice")
        await phone.event("inactive")
        for method, path, status, body in (
            ("PUT", "muted/alice", 204, {"mentions": True}),
            ("DELETE", "muted/alice", 204, {}),
            ("PUT", "everything/team", 204, {}),
            ("DELETE", "everything/team", 204, {}),
            ("PATCH", "settings", 200, {"content": "none"}),
        ):
            await town.rest(method, f"/api/push/{path}", "bob", status, **body)
            for device in (laptop, phone):
                assert (await device.next("notification_settings"))["payload"] == {}
        await town.rest("PUT", "/api/push/muted/nobody", "bob", 404)
        await trio.sleep(1)
        for device in (laptop, phone, alice):
            assert "notification_settings" not in [frame["type"] for frame in await device.drain()]
