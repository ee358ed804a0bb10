"""Notifications: pushed to a service of pushes that decrypts them, shown by the page, muted, quiet, in a real browser."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import SETTINGS, Place, account, load_anew, open_place
from tests.e2e.browser.test_settings import section
from tests.e2e.receivers import HttpServer
from tests.e2e.server import Tables
from tests.e2e.wire import PATIENCE
from tests.plugins.notifications.receivers import Browser, PushService, b64

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PLUGIN: Tables = {
    **SETTINGS,
    "plugins": {"also": ["notifications"]},
    "plugins.notifications": {"delay_seconds": 0.3, "allow_networks": ["127.0.0.0/8"]},
}
SHOWN = """(async () => (await (await navigator.serviceWorker.ready).getNotifications())
    .map(({ title, body }) => `${title}: ${body}`).sort().join(" | "))()"""


def subscribing(browser: Browser) -> str:
    """Return a script by which the browser's maker gives this subscription: no other part of the browser is replaced."""
    keys = {"p256dh": b64(browser.p256dh), "auth": b64(browser.auth)}
    subscription = json.dumps({"endpoint": browser.endpoint, "expirationTime": None, "keys": keys})
    return f"""{{
        let given = null;
        PushManager.prototype.subscribe = async function ({{ userVisibleOnly, applicationServerKey }}) {{
            if (userVisibleOnly !== true) throw new DOMException("it must be visible", "NotAllowedError");
            given = {{
                toJSON: () => ({subscription}), options: {{}},
                unsubscribe: async () => ((given = null), true),
            }};
            globalThis.subscribedFor = applicationServerKey;
            return given;
        }};
        PushManager.prototype.getSubscription = async () => given;
    }}"""


class Phone:
    """Somebody's browser, with notifications allowed, and its service worker."""

    def __init__(self, place: Place, name: str, page: Page) -> None:
        self.place = place
        self.name = name
        self.page = page
        self.worker = ""
        self.delivered = 0

    async def allow(self) -> None:
        """Allow notifications, and find the service worker."""
        context = self.place.contexts[self.name]
        await self.page.browser.send(
            "Browser.grantPermissions",
            permissions=["notifications"],
            origin=self.place.url,
            browserContextId=context,
        )
        await self.page.send("ServiceWorker.enable")
        await self.page.wait("await navigator.serviceWorker.ready.then(Boolean)")
        with trio.fail_after(PATIENCE):
            while not self.page.workers:
                await trio.sleep(0.02)
        self.worker = self.page.workers[-1]

    async def deliver(self, browser: Browser, many: int) -> None:
        """Wait until so many pushes came, and give those to the service worker that it did not get yet."""
        with trio.fail_after(PATIENCE):
            while len(browser.came) < many:
                await trio.sleep(0.02)
        for said in browser.came[self.delivered :]:
            await self.page.send(
                "ServiceWorker.deliverPushMessage",
                origin=self.place.url,
                registrationId=self.worker,
                data=json.dumps(said),
            )
        self.delivered = len(browser.came)


async def look_away(page: Page, place: Place, name: str) -> Page:
    """Open another tab of that browser before this one, where nothing of relay is."""
    other = await place.browser.page("about:blank", place.contexts[name])
    await page.wait("document.visibilityState === 'hidden'")
    return other


async def switch(page: Page, label: str) -> None:
    """Press the switch of that label."""
    await page.wait(f"Boolean(field({json.dumps(label)}))")
    await page.evaluate(f"field({json.dumps(label)}).click()")


def push_service(origin: str) -> PushService:
    return PushService(origin, time.time)


async def test_a_push_decrypts_to_what_was_said_and_is_taken_back_when_it_is_read(
    whole_chromium: str, tmp_path: Path
) -> None:
    with HttpServer(push_service) as push:
        async with open_place(
            whole_chromium, tmp_path, "alice", "bob", settings=PLUGIN, service_worker=True
        ) as place:
            page = await place.signed_in("bob")
            with place.server.rest(place.tokens["bob"]) as rest:
                browser = push.subscribe(rest.get("/api/push/key").json()["public_key"])
            await page.send("Page.addScriptToEvaluateOnNewDocument", source=subscribing(browser))
            await load_anew(page)
            await page.wait("document.querySelector('.me strong')")
            phone = Phone(place, "bob", page)
            await phone.allow()
            await section(page, "notifications")
            await switch(page, "Also when relay is closed")
            await page.wait("named('Send a test')")
            (target,) = targets(place, "bob")
            assert (target["kind"], target["place"], target["state"]) == ("webpush", browser.endpoint, "active")
            assert push.server_key is not None
            assert await page.evaluate("subscribedFor") == b64(push.server_key)

            await page.click("Send a test")
            await page.wait(
                "document.querySelector('.pushing .choices [role=status]').textContent.startsWith('The push service has it')"
            )
            await phone.deliver(browser, 1)
            await page.wait(f"(await {SHOWN}) === 'relay: This is a test. Notifications arrive here.'")
            await page.evaluate(
                "navigator.serviceWorker.ready.then((one) => one.getNotifications()).then(([one]) => one.close())"
            )

            # The page itself shows nothing here, so that what is seen is what was pushed.
            await switch(page, "Notifications")
            await page.press("Escape")
            await look_away(page, place, "bob")
            place.say("alice", "bob", "<b>Lunch?</b>")
            await phone.deliver(browser, 2)
            assert (browser.came[1]["title"], browser.came[1]["body"]) == ("alice", "<b>Lunch?</b>")
            await page.wait(f"(await {SHOWN}) === 'alice: <b>Lunch?</b>'")
            place.say("alice", "bob", "At one")
            await phone.deliver(browser, 3)
            await page.wait(f"(await {SHOWN}) === 'alice: At one\\n+1 more'")
            with place.server.rest(place.tokens["bob"]) as rest:
                read = {"target_id": "alice", "up_to_seq": place.history("bob", "alice")[-1]["meta"]["seq"]}
                assert rest.post("/api/messages/read", json=read).status_code == 200
            await phone.deliver(browser, 4)
            assert browser.came[3]["event"] == "withdrawn"
            await page.wait(f"(await {SHOWN}) === ''")
            assert push.problems == []

            await page.send("Page.bringToFront")
            await account(page, "Sign out")
            await page.wait("named('Sign in')")
            assert (
                await page.evaluate(
                    "navigator.serviceWorker.ready.then((one) => one.pushManager.getSubscription())"
                )
                is None
            )
            assert await page.evaluate("localStorage.getItem('relay.push')") is None
            assert "webpush" not in place.server.relay("notifications", "list", "--user", "bob")


def targets(place: Place, name: str) -> list[dict[str, Any]]:
    with place.server.rest(place.tokens[name]) as rest:
        listed: list[dict[str, Any]] = rest.get("/api/push/targets").json()["targets"]
        return listed


SOUNDS = """{
    globalThis.tones = 0;
    const made = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () { globalThis.tones += 1; return made.call(this); };
}"""


async def choose_level(page: Page, level: str, time_: str = "") -> None:
    """Choose what notifies of the open conversation, by its menu."""
    await page.click("Conversation menu")
    await menu_entry(page, "Notifications")
    await page.wait("document.querySelector('dialog.levels')")
    for text in filter(None, (level, time_)):
        label = f"[...document.querySelectorAll('dialog.levels .radios label')].find((one) => one.textContent === {json.dumps(text)})"
        await page.wait(f"{label}.checkVisibility()")
        await page.evaluate(f"{label}.click()")
    await page.click("Save")
    await page.wait("!document.querySelector('dialog')")


async def menu_entry(page: Page, label: str) -> None:
    found = f"[...document.querySelectorAll('.menu button')].find((one) => one.querySelector('.label').textContent === {json.dumps(label)})"
    await page.wait(found)
    await page.evaluate(f"{found}.click()")


def settings_of(place: Place, name: str) -> Any:
    with place.server.rest(place.tokens[name]) as rest:
        return rest.get("/api/push/settings").json()


def say_to_team(place: Place, content: str, *mentions: str) -> None:
    payload = {"content": content, "mentions": list(mentions)}
    body = {"type": "group_message", "payload": payload, "meta": {"target_id": "team"}}
    with place.server.rest(place.tokens["alice"]) as rest:
        assert rest.post("/api/messages", json=body).status_code == 201


def read(place: Place, name: str, *targets: str) -> None:
    with place.server.rest(place.tokens[name]) as rest:
        for target in targets:
            newest = {"target_id": target, "up_to_seq": newest_seq(rest, target)}
            assert rest.post("/api/messages/read", json=newest).status_code == 200


def newest_seq(rest: Any, target: str) -> int:
    seq: int = row_of(rest, target)["last_seq"]
    return seq


def unread(place: Place, name: str, target: str) -> int:
    with place.server.rest(place.tokens[name]) as rest:
        count: int = row_of(rest, target)["unread"]
        return count


def row_of(rest: Any, target: str) -> Any:
    rows = rest.get("/api/conversations").json()["conversations"]
    return next(row for row in rows if row["target_id"] == target)


async def test_what_is_chosen_on_one_device_holds_on_the_others_at_once(
    whole_chromium: str, tmp_path: Path
) -> None:
    async with open_place(
        whole_chromium, tmp_path, "alice", "bob", "carol", settings=PLUGIN, service_worker=True
    ) as place:
        place.say("alice", "bob", "hello")
        place.tokens["bob, elsewhere"] = place.tokens["bob"]
        page, other = await place.signed_in("bob", "alice"), await place.tab("bob, elsewhere")
        session = json.dumps({"token": place.tokens["bob"], "userId": "bob"})
        await other.wait("named('Sign in')")
        await other.evaluate(f"localStorage.setItem('relay.session', {json.dumps(session)})")
        await other.reload()
        await other.wait("document.querySelector('a[href=\"#/alice\"]')")
        away = await look_away(other, place, "bob, elsewhere")
        await choose_level(page, "Nothing")
        await other.wait("document.querySelector('a.muted[href=\"#/alice\"]')")  # in the background, too
        assert await other.evaluate("document.visibilityState") == "hidden"
        place.say("carol", "bob", "one that is unread")
        await other.wait("document.title === '(1) relay'")
        with place.server.rest(place.tokens["bob"]) as rest:
            assert rest.put("/api/push/muted/carol").status_code == 204
            await other.wait("document.title === 'relay' && document.querySelectorAll('a.muted').length === 2")
            assert rest.delete("/api/push/muted/carol").status_code == 204
        await other.wait("document.title === '(1) relay'")
        await away.send("Page.close")


async def test_the_page_tells_of_what_came_but_not_of_what_is_muted(whole_chromium: str, tmp_path: Path) -> None:
    async with open_place(
        whole_chromium, tmp_path, "alice", "bob", "carol", settings=PLUGIN, service_worker=True
    ) as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            group = {"name": "Team", "members": ["bob"], "group_id": "team"}
            assert rest.post("/api/groups", json=group).status_code == 201
        page = await place.signed_in("bob", "alice")
        await page.evaluate(SOUNDS)
        place.say("alice", "bob", "hello")
        with trio.fail_after(PATIENCE):
            while unread(place, "bob", "alice"):
                await trio.sleep(0.02)
        assert await page.evaluate("tones") == 0  # it is in sight
        away = await look_away(page, place, "bob")
        place.say("alice", "bob", "Are you there?")
        await page.wait(
            "document.querySelector('.notice strong')?.textContent === 'Something came while you were elsewhere'"
        )
        await page.wait("tones === 2")
        phone = Phone(place, "bob", page)
        await phone.allow()
        place.say("alice", "bob", "Well?")
        await page.wait(f"(await {SHOWN}) === 'alice: Well?\\n+1 more'")
        read(place, "bob", "alice")
        await page.wait(f"(await {SHOWN}) === ''")

        await page.send("Page.bringToFront")
        await choose_level(page, "Nothing", "1 hour")
        (muted,) = settings_of(place, "bob")["muted"]
        assert (muted["target_id"], muted["mentions"]) == ("alice", False)
        assert 3500 < muted["until"] - time.time() <= 3600.5  # the page rounds to the nearest second
        await page.wait("document.querySelector('a.muted[href=\"#/alice\"]')")
        place.contexts["bob, elsewhere"] = await place.browser.context()
        place.tokens["bob, elsewhere"] = place.tokens["bob"]
        await section(page, "notifications")
        assert "Muted until" in await page.evaluate("document.querySelector('.muted-list').textContent")
        await switch(page, "Sound")
        await page.press("Escape")
        await page.wait("!document.querySelector('dialog')")

        await away.send("Page.bringToFront")
        await page.wait("document.visibilityState === 'hidden'")
        before = await page.evaluate("tones")
        place.say("alice", "bob", "nobody hears this")
        say_to_team(place, "nor this, as nobody is mentioned")
        say_to_team(place, "but this", "bob")
        await page.wait(f"(await {SHOWN}) === 'alice in Team: but this\\n+1 more'")
        assert await page.evaluate("tones") == before
        assert await page.evaluate("document.title") == "(2) relay"  # nothing of the muted conversation
        read(place, "bob", "alice", "team")
        await page.wait(f"(await {SHOWN}) === ''")

        await page.send("Page.bringToFront")
        await page.evaluate("location.hash = '#/team'")
        await page.wait("document.querySelector('.conversation h2')?.textContent === 'Team'")
        await choose_level(page, "All messages")
        assert settings_of(place, "bob")["everything"] == ["team"]
        await away.send("Page.bringToFront")
        await page.wait("document.visibilityState === 'hidden'")
        say_to_team(place, "everything")
        await page.wait(f"(await {SHOWN}) === 'alice in Team: everything'")
        read(place, "bob", "team")
        await page.wait(f"(await {SHOWN}) === ''")

        await page.send("Page.bringToFront")
        await section(page, "notifications")
        await page.evaluate("named('Unmute alice').click()")
        await page.wait("!document.querySelector('a.muted')")
        assert settings_of(place, "bob")["muted"] == []
        await switch(page, "Quiet hours")
        await page.wait("document.querySelector('.quiet-hours .kept').textContent === 'Saved'")
        hours = settings_of(place, "bob")["quiet_hours"]
        assert (hours["from"], hours["to"]) == ("22:00", "07:00")
        now = f"{{ from: '00:00', to: '23:59', zone: {json.dumps(hours['zone'])} }}"
        token = json.dumps(place.tokens["bob"])
        await page.evaluate(f"""fetch("/api/push/settings", {{
            method: "PATCH", headers: {{ Authorization: "Bearer " + {token}, "Content-Type": "application/json" }},
            body: JSON.stringify({{ quiet_hours: {now} }}) }})""")
        await page.press("Escape")
        await page.wait("JSON.parse(localStorage.getItem('relay.levels')).quiet_hours.from === '00:00'")
        await away.send("Page.bringToFront")
        await page.wait("document.visibilityState === 'hidden'")
        place.say("carol", "bob", "It is night")
        await page.wait("document.title.startsWith('(1)')")
        assert await page.evaluate(SHOWN) == ""
