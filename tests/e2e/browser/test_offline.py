"""The page without a network: what it had is there, and what it says of people, groups and errors is in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser.people import SAID, open_place, send, shows, state

pytestmark = pytest.mark.e2e

HEADING = "document.querySelector('.conversation h2').textContent"
END = "document.querySelector('.end:not([hidden])')?.textContent ?? ''"
WRITTEN = """(await new Promise((resolve) => {
    const opening = indexedDB.open("relay-sdk");
    opening.onsuccess = () => {
        const reading = opening.result.transaction("entries").objectStore("entries");
        const [keys, values] = [reading.getAllKeys(), reading.getAll()];
        values.onsuccess = () => { opening.result.close();
            resolve(JSON.stringify(keys.result.map((key, place) => [key, values.result[place]]).filter(([key]) => /kept|names/.test(key)))); };
    };
}))"""


async def test_what_one_had_is_there_without_a_network_and_goes_with_the_session(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol", service_worker=True) as place:
        for user, name in (("bob", "Bob Nguyen"), ("carol", "Carol Weber")):
            with place.server.rest(place.tokens[user]) as rest:
                assert rest.patch("/api/users/me", json={"display_name": name}).status_code == 200
        place.say("carol", "alice", "From Carol")
        alice = await place.signed_in("alice")
        await alice.evaluate("location.hash = '#/bob'")
        await alice.wait(f"{HEADING} === 'Bob Nguyen'")
        await send(alice, "Lunch at noon")
        await state(alice, "Lunch at noon", "sent")
        place.say("bob", "alice", "Gladly")
        await alice.wait(f"{SAID}.includes('Gladly')")
        await alice.wait(f"{WRITTEN}.includes('Gladly') && {WRITTEN}.includes('From Carol')")
        await alice.send("Network.enable")
        await alice.send(
            "Network.setBlockedURLs", urls=["*/api/*", "*/ws*"]
        )  # the page itself is there all the same
        await alice.reload()
        await shows(alice, ["Lunch at noon", "Gladly"])
        assert await alice.evaluate(HEADING) == "Bob Nguyen"
        assert await alice.evaluate("document.body.innerText.includes('Carol Weber')")
        await alice.evaluate("location.hash = '#/carol'")  # fetched ahead: nobody opened it
        await shows(alice, ["From Carol"])
        await alice.evaluate("location.hash = '#/zoe'")
        await alice.wait(f"({END}).startsWith('Not available without a network')")

        await alice.send("Network.setBlockedURLs", urls=[])
        await alice.wait(f"({END}).startsWith('There is nobody called zoe.')")
        assert await alice.evaluate("Boolean(field('Message'))") is False
        for _ in range(2):
            other = await place.tab("alice", "/#/bob")
            await other.wait(f"{HEADING} === 'Bob Nguyen'")
        with place.server.rest(place.tokens["alice"]) as rest:
            devices = rest.get("/api/devices").json()["devices"]
            assert [
                rest.delete(f"/api/devices/{one['client_id']}").status_code for one in devices if one["connected"]
            ]
        for tab in place.browser.pages.values():
            await tab.wait("document.body.innerText.includes('You were signed out.')")
        await alice.wait(f"!{WRITTEN}.includes('Gladly') && !{WRITTEN}.includes('kept')")


async def test_notices_say_the_same_once_at_most_three_and_go_by_escape(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        alice = await place.signed_in("alice", "bob")
        await send(alice, "Connected")
        await state(alice, "Connected", "sent")
        told = (("Disk", "warning"), ("Disk", "warning"), ("Backup", "success"), ("One", "info"), ("Two", "error"))
        token = place.server.relay("token", "create", "bob", "--scope", "notify").strip()
        with place.server.rest(token) as rest:  # all at once: a notice goes by itself after a while
            for title, level in told:
                notification = {"type": "notification", "payload": {"title": title, "level": level}}
                sent = rest.post("/api/messages", json={**notification, "meta": {"target_id": "alice"}})
                assert sent.status_code == 201, sent.text
        await alice.wait(
            "[...document.querySelectorAll('.notice strong')].map((one) => one.textContent).join() === 'Backup,One,Two'"
        )
        assert await alice.evaluate("document.querySelectorAll('.notice[role=alert]').length") == 1
        await alice.focus("document.querySelector('.notice.error .dismiss')")
        await alice.press("Escape")
        await alice.wait("document.querySelectorAll('.notice').length === 2")
