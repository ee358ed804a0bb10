"""Targets by REST and command line: added, changed, tried, confirmed, removed, and whose they are."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from typing import Any

import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.protocol.errors import RelayError
from tests.engine.test_misbehaving import metrics
from tests.plugins.notifications.conftest import SOON, Notifying, Town
from tests.plugins.notifications.receivers import Browser, Reply, raw

MAIL = '{host = "mail.example", from = "relay@example.org", interval_seconds = 600}'


async def test_a_target_is_shown_to_its_owner_without_its_tokens(notifying: Notifying) -> None:
    async with notifying() as town:
        target_id = await town.gotify("bob", label="desk")
        (target,) = await town.targets("bob")
        assert target == {
            "target_id": target_id,
            "kind": "gotify",
            "place": "https://gotify.example",
            "label": "desk",
            "withdraw": True,
            "state": "active",
            "created_at": target["created_at"],
            "failures": 0,
            "last_error": None,
            "retry_at": None,
            "delivered_at": None,
        }
        assert await town.targets("alice") == []


async def test_the_same_place_again_changes_the_target(notifying: Notifying) -> None:
    async with notifying() as town:
        first = await town.ntfy("bob", label="old")
        assert await town.ntfy("bob", label="new") == first
        (target,) = await town.targets("bob")
        assert target["label"] == "new"


async def test_another_users_target_is_not_there(notifying: Notifying) -> None:
    async with notifying() as town:
        target_id = await town.ntfy("bob")
        for method, path in (("DELETE", ""), ("POST", "/test"), ("POST", "/confirm")):
            body = {"code": "12345678"} if path == "/confirm" else {}
            refused = await town.rest(method, f"/api/push/targets/{target_id}{path}", "alice", 404, **body)
            assert refused["code"] == "not_found"
        await town.rest("DELETE", f"/api/push/targets/{target_id}", "bob", 204)
        assert await town.targets("bob") == []
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.ntfy.calls == []


async def test_a_user_has_so_many_targets_and_no_more(notifying: Notifying) -> None:
    async with notifying(targets_per_user=2) as town:
        await town.ntfy("bob", "a")
        await town.ntfy("bob", "b")
        body = {"kind": "ntfy", "url": "https://ntfy.example/c"}
        refused = await town.rest("POST", "/api/push/targets", "bob", 409, **body)
        assert refused["detail"] == "there are 2 targets already; delete one first"
        await town.ntfy("bob", "b")
        await town.ntfy("alice", "a")


async def test_a_browser_that_another_user_signs_in_with_is_that_users(notifying: Notifying) -> None:
    async with notifying() as town:
        browser = await town.browser("bob")
        await town.target("alice", **browser.target())
        assert await town.targets("bob") == []
        await town.say("carol", "bob", "for bob alone")
        await town.say("carol", "alice", "for alice")
        await trio.sleep(SOON)
        assert browser.texts == [("carol", "for alice")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "fax"}, "Invalid value 'fax' - at `kind`"),
        ({"p256dh": "AAAA"}, "p256dh is a point of P-256"),
        ({"p256dh": "!"}, "matching regex"),
        ({"auth": "AAAA"}, "auth are 16 bytes"),
        ({"endpoint": "http://push.example/x"}, "begins with https://"),
        ({"colour": "red"}, "Object contains unknown field `colour`"),
        ({"label": "x" * 101}, "`label`"),
    ],
)
async def test_what_is_wrong_with_a_target_is_named(
    notifying: Notifying, change: dict[str, str], told: str
) -> None:
    async with notifying() as town:
        body = Browser("https://push.example/x").target() | change
        refused = await town.rest("POST", "/api/push/targets", "bob", 400, **body)
        assert refused["code"] == "invalid_payload"
        assert told in refused["detail"]


async def test_the_key_stays_the_same_and_is_a_point(notifying: Notifying) -> None:
    async with notifying() as town:
        keys = {(await town.rest("GET", "/api/push/key", user))["public_key"] for user in ("alice", "bob")}
        (key,) = keys
        assert len(raw(key)) == 65
        assert raw(key)[0] == 4
        assert (await town.world.rest("GET", "/api/push/key")).status == 401


async def test_a_test_says_what_became_of_it_and_is_not_sent_without_end(notifying: Notifying) -> None:
    async with notifying() as town:
        target_id = await town.ntfy("bob")
        path = f"/api/push/targets/{target_id}/test"
        assert await town.rest("POST", path, "bob") == {"delivered": True, "error": None}
        town.outside.ntfy.replies = [Reply(403)]
        assert (await town.rest("POST", path, "bob"))["error"] == "'ntfy.example' answered 403"
        town.outside.delays["ntfy.example"] = 60
        assert (await town.rest("POST", path, "bob"))["error"] == "no answer within 4 s"
        town.outside.delays.clear()
        statuses = [(await town.world.rest("POST", path, "bob")).status for _ in range(6)]
        assert statuses == [200, 200, 200, 429, 429, 429]
        town.outside.ntfy.replies = [Reply(404)]
        await trio.sleep(60)
        assert "the target is removed" in (await town.rest("POST", path, "bob"))["error"]
        assert await town.targets("bob") == []


async def test_the_command_line_lists_tries_and_removes(notifying: Notifying) -> None:
    async with notifying() as town:
        target_id = await town.ntfy("bob")
        await town.gotify("carol")
        town.outside.ntfy.replies = [Reply(500)]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        engine = town.world.engine
        rows = await run_command(engine, "notifications list", {})
        assert [(row["user"], row["kind"], row["host"]) for row in rows] == [
            ("bob", "ntfy", "ntfy.example"), ("carol", "gotify", "gotify.example"),
        ]  # fmt: skip
        (row,) = await run_command(engine, "notifications list", {"user": "bob"})
        assert (row["failures"], row["error"]) == (1, "'ntfy.example' answered 500")
        assert row["retry_at"] > engine.now()
        assert await run_command(engine, "notifications test", {"target": target_id}) == "it was delivered"
        assert (
            await run_command(engine, "notifications remove", {"target": target_id}) == f"{target_id} is removed"
        )
        with pytest.raises(RelayError, match="there is no target"):
            await run_command(engine, "notifications remove", {"target": target_id})


async def test_what_is_sent_is_counted(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        ack = await town.say("alice", "bob", "Lunch?")
        town.outside.ntfy.replies = [Reply(500)]
        await trio.sleep(SOON + 15)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        figures = (await metrics(town.world)).decode()
        for what in ("sent", "failed", "withdrawn"):
            assert f'relay_plugin_counted_total{{kind="ntfy",plugin="notifications",what="{what}"}} 1.0' in figures


# Mail.


async def confirmed(town: Town, user: str = "bob") -> str:
    """Add a mail address and confirm it by the code that was sent."""
    target_id = await town.target(user, kind="email", address=f"{user}@example.org")
    code = town.outside.letters.pop()["Subject"].split()[0]
    answer = await town.rest("POST", f"/api/push/targets/{target_id}/confirm", user, code=code)
    assert answer["state"] == "active"
    return target_id


async def test_a_mail_address_is_told_nothing_before_its_owner_showed_the_code(notifying: Notifying) -> None:
    async with notifying(email=MAIL) as town:
        target_id = await town.target("bob", kind="email", address="bob@example.org")
        (letter,) = town.outside.letters
        assert (letter["To"], letter["From"]) == ("bob@example.org", "relay <relay@example.org>")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert len(town.outside.letters) == 1
        path = f"/api/push/targets/{target_id}"
        assert (await town.rest("POST", f"{path}/test", "bob", 409))["code"] == "conflict"
        code = letter["Subject"].split()[0]
        assert code in letter.get_content()
        wrong = f"{(int(code) + 1) % 10**8:08d}"
        refused = await town.rest("POST", f"{path}/confirm", "bob", 403, code=wrong)
        assert "the code is wrong or over" in refused["detail"]
        assert (await town.rest("POST", f"{path}/confirm", "bob", code=code))["state"] == "active"
        await town.say("alice", "bob", "Supper?")
        await trio.sleep(SOON)
        assert len(town.outside.letters) == 2


async def test_a_code_is_tried_five_times_and_for_an_hour(notifying: Notifying) -> None:
    async with notifying(email=MAIL) as town:
        target_id = await town.target("bob", kind="email", address="bob@example.org")
        path = f"/api/push/targets/{target_id}/confirm"
        code = town.outside.letters[0]["Subject"].split()[0]
        wrong = f"{(int(code) + 1) % 10**8:08d}"
        for _ in range(5):
            await town.rest("POST", path, "bob", 403, code=wrong)
        await town.rest("POST", path, "bob", 403, code=code)
        assert await town.target("bob", kind="email", address="bob@example.org") == target_id
        code = town.outside.letters[1]["Subject"].split()[0]
        await trio.sleep(3700)
        await town.rest("POST", path, "bob", 403, code=code)


async def test_mails_list_what_no_mail_listed_before_and_come_seldom(notifying: Notifying) -> None:
    async with notifying(email=MAIL, link="https://chat.example/{target_id}") as town:
        await confirmed(town)
        await town.say("alice", "bob", "one")
        await town.say("alice", "bob", "two")
        await trio.sleep(SOON)
        (letter,) = town.outside.letters
        assert letter["Subject"] == "alice (2)"
        assert letter["Auto-Submitted"] == "auto-generated"
        lines = letter.get_content().splitlines()
        assert [line.partition("UTC  ")[2] for line in lines[:2]] == ["alice: one", "alice: two"]
        assert lines[-1] == "https://chat.example/alice"
        for text in ("three", "four"):
            await town.say("alice", "bob", text)
            await trio.sleep(100)
        assert len(town.outside.letters) == 1
        await town.say("carol", "bob", "elsewhere")
        await trio.sleep(SOON)
        assert len(town.outside.letters) == 2
        await trio.sleep(600)
        third = town.outside.letters[2]
        assert [line.partition("UTC  ")[2] for line in third.get_content().splitlines()[:2]] == [
            "alice: three", "alice: four",
        ]  # fmt: skip
        assert third["References"] == letter["References"]
        assert third["Message-ID"] != letter["Message-ID"]


async def test_what_was_read_in_the_interval_is_not_mailed(notifying: Notifying) -> None:
    async with notifying(email=MAIL) as town:
        await confirmed(town)
        await town.say("alice", "bob", "one")
        await trio.sleep(SOON)
        ack = await town.say("alice", "bob", "two")
        await trio.sleep(SOON)
        await town.read("bob", "alice", ack["seq"])
        await trio.sleep(SOON)
        await town.say("alice", "bob", "three")
        await trio.sleep(300)
        assert len(town.outside.letters) == 1
        await trio.sleep(600)
        assert len(town.outside.letters) == 2
        assert "three" in town.outside.letters[1].get_content()
        assert "two" not in town.outside.letters[1].get_content()


async def test_mails_say_no_more_than_they_may(notifying: Notifying) -> None:
    async with notifying(email=MAIL, content="sender") as town:
        await confirmed(town)
        await town.say("alice", "bob", "secret plan\r\nBcc: all@example.org")
        await trio.sleep(SOON)
        (letter,) = town.outside.letters
        assert (letter["Subject"], letter.get_content()) == ("alice", "New message\n")


async def test_a_name_with_line_breaks_adds_no_header(notifying: Notifying) -> None:
    async with notifying(email=MAIL, rules='[{title = "{text}"}]') as town:
        await confirmed(town)
        await town.say("alice", "bob", "x\r\nBcc: all@example.org")
        await trio.sleep(SOON)
        (letter,) = town.outside.letters
        assert letter["Subject"] == "x Bcc: all@example.org"
        assert letter["Bcc"] is None


async def test_without_a_mail_server_there_are_no_mails(notifying: Notifying) -> None:
    async with notifying() as town:
        body = {"kind": "email", "address": "bob@example.org"}
        refused = await town.rest("POST", "/api/push/targets", "bob", 400, **body)
        assert "this server sends no mail" in refused["detail"]


async def test_a_mail_server_that_fails_is_told_of_and_tried_again(
    notifying: Notifying, plugin: Callable[[str], Any]
) -> None:
    async with notifying(email=MAIL) as town:
        town.outside.mail_fails = plugin("outward").Failed("the mail server answered 451: later")
        body = {"kind": "email", "address": "bob@example.org"}
        refused = await town.rest("POST", "/api/push/targets", "bob", 503, **body)
        assert refused["detail"] == "the code could not be sent: the mail server answered 451: later"
        assert await town.targets("bob") == []
        town.outside.mail_fails = None
        await confirmed(town)
        town.outside.mail_fails = plugin("outward").Failed("the mail server answered 451: later")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert (await town.targets("bob"))[0]["last_error"] == "the mail server answered 451: later"
        town.outside.mail_fails = None
        await trio.sleep(15)
        assert len(town.outside.letters) == 1


@pytest.mark.parametrize(
    "fault",
    [
        smtplib.SMTPAuthenticationError(535, b"no"),
        smtplib.SMTPRecipientsRefused({"bob@example.org": (550, b"no such box")}),
        smtplib.SMTPServerDisconnected("gone"),
        ConnectionRefusedError(111, "refused"),
    ],
)
async def test_every_fault_of_a_mail_server_is_a_failure_of_the_target(
    plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def failing(*_arguments: Any) -> None:
        raise fault

    monkeypatch.setattr(plugin("mail"), "submit", failing)
    email = plugin("options").Email(host="mail.example", from_="relay@example.org")
    with pytest.raises(plugin("outward").Failed, match="the mail server"):
        await plugin("mail").send(email, None)


@pytest.mark.parametrize(
    "mark", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\n", "\r\n", "\u200b", "\u202e", "\u2028", " "]
)
async def test_no_character_that_cannot_be_seen_is_part_of_an_address_or_a_token(
    notifying: Notifying, mark: str
) -> None:
    async with notifying(email=MAIL) as town:
        for address in (
            f"bo{mark}b@example.org", f"bob@exam{mark}ple.org", f"bob@example.or{mark}g", f"bob@example.org{mark}",
            f"{mark}bob@example.org",
        ):  # fmt: skip
            await town.rest("POST", "/api/push/targets", "bob", 400, kind="email", address=address)
        for token in (f"secret{mark}", f"se{mark}cret"):
            url = "https://ntfy.example/topic"
            await town.rest("POST", "/api/push/targets", "bob", 400, kind="ntfy", url=url, token=token)
        for url in (f"https://ntfy.example/top{mark}ic", f"https://ntfy.exa{mark}mple/topic"):
            await town.rest("POST", "/api/push/targets", "bob", 400, kind="ntfy", url=url)
        assert town.failures == 0


async def test_a_mail_carries_no_control_character_that_somebody_sent(notifying: Notifying) -> None:
    async with notifying(email=MAIL, rules='[{title = "{text}"}]') as town:
        await confirmed(town)
        await town.say("alice", "bob", "one\0two\x1b[31mthree")
        await trio.sleep(SOON)
        (letter,) = town.outside.letters
        assert not set("\0\x1b") & set(letter["Subject"] + letter.get_content())
