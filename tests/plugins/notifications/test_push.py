"""Messages that go out to people who are at no device: when they do, what they say, and how they go again."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from tests.plugins.notifications.conftest import SOON, Notifying, Town

LUNCH = [("alice", "Lunch?")]


async def test_a_message_goes_to_every_target_of_who_is_at_no_device(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.gotify("bob")
        browser = await town.browser("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(3)
        assert town.outside.ntfy.published == []
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == town.outside.gotify.texts == browser.texts == LUNCH
        (shown,) = browser.came
        assert (shown["kind"], shown["target_id"], shown["message_id"]) == ("user", "alice", 1)
        assert browser.headers[0]["topic"] == shown["tag"]
        assert browser.headers[0]["urgency"] == "high"


async def test_nothing_goes_out_while_a_device_is_active(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        device = await town.world.connect("bob")
        await town.say("alice", "bob", "seen there")
        await trio.sleep(SOON)
        assert town.outside.ntfy.calls == []
        await device.event("inactive")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == LUNCH


async def test_who_comes_or_reads_in_time_gets_nothing(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        ack = await town.say("alice", "bob", "read at once")
        await trio.sleep(2)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        await town.say("alice", "bob", "seen a moment later")
        await trio.sleep(2)
        device = await town.world.connect("bob")
        await trio.sleep(SOON)
        await device.cut()
        await trio.sleep(100)
        assert town.outside.ntfy.calls == []


async def test_the_sender_and_those_whom_no_rule_names_get_nothing(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.group("alice", "bob", "carol")
        for user in ("alice", "bob", "carol"):
            await town.ntfy(user)
        await town.say("alice", "team", "just so")
        await trio.sleep(SOON)
        assert town.outside.ntfy.published == []
        await town.say("alice", "team", "Bob?", mentions=["bob", "alice"])
        await trio.sleep(SOON)
        assert [said["topic"] for said in town.outside.ntfy.published] == ["bob"]
        assert town.outside.ntfy.texts == [("alice in Team", "Bob?")]
        await town.say("carol", "team", "all of you", mentions=["*"])
        await trio.sleep(SOON)
        assert sorted(said["topic"] for said in town.outside.ntfy.published) == ["alice", "bob", "bob"]


@pytest.mark.parametrize("target", ["bob", "team", "*"])
async def test_a_notification_goes_out_with_its_own_title(notifying: Notifying, target: str) -> None:
    async with notifying() as town:
        await town.group("alice", "bob")
        await town.ntfy("bob")
        said = {"title": "Backup done", "body": "12 GB"}
        server = town.world.engine.server_of("notifications")
        await server.send("alice", "notification", said, target, scopes=frozenset({"notify"}))
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("Backup done", "12 GB")]


async def test_several_messages_of_a_conversation_are_one_notification(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.gotify("bob")
        browser = await town.browser("bob")
        for text in ("one", "two"):
            await town.say("alice", "bob", text)
        await town.say("carol", "bob", "other")
        await trio.sleep(SOON)
        await town.say("alice", "bob", "three")
        await trio.sleep(SOON)
        expected = [("alice", "three\n+2 more"), ("carol", "other")]
        for shown in (town.outside.ntfy.texts, town.outside.gotify.texts, browser.texts):
            assert sorted(shown) == expected
        assert len(town.outside.ntfy.published) == town.outside.gotify.posted == len(browser.came) == 3
        topics = [headers["topic"] for headers in browser.headers]
        assert len(set(topics)) == 2
        assert [said["count"] for said in browser.came if said["tag"] == topics[-1]] == [2, 3]


@pytest.mark.parametrize("how", ["receipt", "answer"])
async def test_what_is_read_elsewhere_is_taken_back(notifying: Notifying, how: str) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.gotify("bob")
        browser = await town.browser("bob")
        ack = await town.say("alice", "bob", "Lunch?")
        await town.say("carol", "bob", "stays")
        await trio.sleep(SOON)
        assert len(browser.shown) == 2
        if how == "receipt":
            await town.read("bob", "alice", ack["seq"])
        else:
            await town.say("bob", "alice", "Yes")
        await trio.sleep(3)
        assert town.outside.ntfy.texts == town.outside.gotify.texts == browser.texts == [("carol", "stays")]
        assert browser.came[-1]["event"] == "withdrawn"
        await town.say("alice", "bob", "later")
        await trio.sleep(SOON)
        assert ("alice", "later") in town.outside.ntfy.texts


async def test_a_part_that_was_read_changes_nothing_outside(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        first = await town.say("alice", "bob", "one")
        await town.say("alice", "bob", "two")
        await trio.sleep(SOON)
        await town.read("bob", "alice", first["seq"])
        await trio.sleep(SOON)
        assert len(town.outside.ntfy.calls) == 1
        await town.say("alice", "bob", "three")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "three\n+1 more")]


async def test_a_target_may_keep_what_was_read_elsewhere(notifying: Notifying) -> None:
    async with notifying() as town:
        browser = await town.browser("bob", withdraw=False)
        ack = await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        assert [said["event"] for said in browser.came] == ["notification"]


async def test_without_a_clients_token_gotify_keeps_what_it_has(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.gotify("bob", client_token=None)
        for text in ("one", "two"):
            ack = await town.say("alice", "bob", text)
            await trio.sleep(SOON)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        assert town.outside.gotify.texts == [("alice", "one"), ("alice", "two\n+1 more")]
        assert (await town.targets("bob"))[0]["failures"] == 0


async def test_an_edit_is_shown_quietly_and_a_deletion_takes_back(notifying: Notifying) -> None:
    async with notifying() as town:
        browser = await town.browser("bob")
        first = await town.say("alice", "bob", "firts")
        await trio.sleep(SOON)
        server = town.world.engine.server_of("notifications")
        edit = partial(server.send, "alice", "message_edit", target_id="bob")
        delete = partial(server.send, "alice", "message_delete", target_id="bob")
        await edit(payload={"message_id": first["message_id"], "content": "first"})
        await trio.sleep(3)
        assert browser.texts == [("alice", "first")]
        assert browser.came[-1]["renotify"] is False
        second = await town.say("alice", "bob", "second")
        await trio.sleep(SOON)
        assert browser.texts == [("alice", "second\n+1 more")]
        assert browser.came[-1]["renotify"] is True
        await delete(payload={"message_id": second["message_id"]})
        await trio.sleep(3)
        assert browser.texts == [("alice", "first")]
        assert browser.came[-1]["renotify"] is False
        await delete(payload={"message_id": first["message_id"]})
        await trio.sleep(3)
        assert browser.texts == []


async def test_an_edit_that_calls_somebody_is_pushed_and_one_that_calls_them_no_more_takes_back(
    notifying: Notifying,
) -> None:
    async with notifying() as town:
        await town.group("alice", "bob", "carol")
        bob, carol = await town.browser("bob"), await town.browser("carol")
        said = await town.say("alice", "team", "who brings the cake?")
        await town.say("alice", "team", "nobody?")
        await trio.sleep(SOON)
        assert bob.texts == []
        server = town.world.engine.server_of("notifications")
        edit = partial(server.send, "alice", "message_edit", target_id="team")
        about = {"message_id": said["message_id"]}
        await edit(payload={**about, "content": "bob brings the cake", "mentions": ["bob"]})
        await trio.sleep(SOON)
        assert bob.texts == [("alice in Team", "bob brings the cake")]
        assert carol.texts == []
        await edit(payload={**about, "content": "somebody brings the cake", "mentions": []})
        await trio.sleep(SOON)
        assert bob.texts == []
        history = await town.world.history("bob", "group", "team")
        assert history[1]["payload"] == {"content": "somebody brings the cake"}


async def test_what_is_deleted_in_time_was_never_outside(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        ack = await town.say("alice", "bob", "wrong window")
        server = town.world.engine.server_of("notifications")
        await server.send("alice", "message_delete", {"message_id": ack["message_id"]}, "bob")
        await trio.sleep(SOON)
        assert town.outside.ntfy.calls == []


async def test_what_expires_is_taken_back(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        server = town.world.engine.server_of("notifications")
        said = {"title": "Door open", "expires_at": server.now() + 60}
        await server.send("alice", "notification", said, "bob", scopes=frozenset({"notify"}))
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("Door open", "Door open")]
        await trio.sleep(60)
        assert town.outside.ntfy.texts == []


async def test_who_leaves_a_group_keeps_none_of_its_notifications(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.group("alice", "bob")
        await town.ntfy("bob")
        await town.say("alice", "team", "Bob?", mentions=["bob"])
        await trio.sleep(SOON)
        assert len(town.outside.ntfy.shown) == 1
        await town.rest("DELETE", "/api/groups/team/members/bob", "alice", 204)
        await trio.sleep(3)
        assert town.outside.ntfy.texts == []


async def test_what_was_said_before_notifies_nobody(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.say("alice", "bob", "long ago")
        await trio.sleep(SOON)
        await town.ntfy("bob")
        await trio.sleep(SOON)
        await town.gotify("bob")
        await town.say("carol", "bob", "now")
        await trio.sleep(SOON)
        await town.browser("bob")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == town.outside.gotify.texts == [("carol", "now")]
        assert town.outside.push.calls == []


async def test_what_is_too_old_is_not_told_any_more(notifying: Notifying) -> None:
    async with notifying(max_age_hours=1, give_up_hours=100) as town:
        await town.ntfy("bob")
        town.outside.addresses.pop("ntfy.example")
        await town.say("alice", "bob", "old")
        await trio.sleep(2 * 3600)
        town.outside.addresses["ntfy.example"] = ["93.184.215.14"]
        await trio.sleep(4 * 3600)
        assert town.outside.ntfy.published == []
        await town.say("alice", "bob", "new")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "new\n+1 more")]


async def test_a_long_text_is_cut_and_fits_everywhere(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        browser = await town.browser("bob")
        await town.say("alice", "bob", "\U0001f600" * 4000 + "\x00\x1b")
        await trio.sleep(SOON)
        ((_, text),) = browser.texts
        assert text == "\U0001f600" * 499 + "…"
        assert town.outside.ntfy.texts == browser.texts


async def test_files_without_words_are_told_of(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        made = await town.world.rest(
            "POST", "/api/attachments", "alice", data=b"x", headers={"Content-Type": "text/plain"}
        )
        await town.say("alice", "bob", "", attachments=[made.body["attachment_id"]])
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "sent a file")]


async def test_a_link_leads_to_the_conversation(notifying: Notifying) -> None:
    async with notifying(link="https://chat.example/#/{kind}/{target_id}") as town:
        await town.ntfy("bob")
        await town.gotify("bob")
        browser = await town.browser("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        link = "https://chat.example/#/user/alice"
        assert town.outside.ntfy.published[0]["click"] == browser.came[0]["url"] == link
        extras = town.outside.gotify.messages[1]["extras"]
        assert extras == {"client::notification": {"click": {"url": link}}}


@pytest.mark.parametrize(
    ("options", "chosen", "expected"),
    [
        ({}, None, ("alice", "secret plan")),
        ({"content": "sender"}, None, ("alice", "New message")),
        ({"content": "none"}, None, ("relay", "New message")),
        ({"content": "none", "name": "Home"}, "full", ("Home", "New message")),
        ({}, "sender", ("alice", "New message")),
        ({}, "none", ("relay", "New message")),
        ({"rules": '[{content = "sender"}]'}, None, ("alice", "New message")),
    ],
)
async def test_no_more_is_told_than_server_rule_and_user_let(
    notifying: Notifying, options: dict[str, str], chosen: str | None, expected: tuple[str, str]
) -> None:
    async with notifying(**options) as town:
        await town.ntfy("bob")
        browser = await town.browser("bob")
        await town.rest("PATCH", "/api/push/settings", "bob", content=chosen)
        await town.say("alice", "bob", "secret plan")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == browser.texts == [expected]
        assert ("target_id" in browser.came[0]) is (expected[0] not in ("relay", "Home"))


async def test_a_thousand_messages_make_one_notification(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.world.talk("alice", "bob", 1000)
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "message 999\n+199+ more")]
        assert await _rows(town) == 1


async def _rows(town: Town) -> int:
    server = town.world.engine.server_of("notifications")
    count: int = await server.read(
        lambda connection: connection.execute("SELECT count(*) FROM notifications_conversations").fetchone()[0]
    )
    return count


async def test_nothing_is_written_for_who_has_no_target(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("carol")
        await town.world.talk("alice", "bob", 100)
        await trio.sleep(SOON)
        assert await _rows(town) == 0
