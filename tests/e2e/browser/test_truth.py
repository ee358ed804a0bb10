"""The truth of what the page shows: of the network, of groups that are over, of names, of texts of any script and of links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import SEARCH, Place, come_back, load_anew, open_place, send, state

pytestmark = pytest.mark.e2e

HEADING = "document.querySelector('.conversation h2').textContent"
BANNER = "document.querySelector('.banner').textContent"


def name(place: Place, user: str, shown: str) -> None:
    with place.server.rest(place.tokens[user]) as rest:
        assert rest.patch("/api/users/me", json={"display_name": shown}).status_code == 200


def make_group(place: Place, owner: str, called: str, *members: str) -> str:
    with place.server.rest(place.tokens[owner]) as rest:
        made: str = rest.post("/api/groups", json={"name": called, "members": members}).json()["group_id"]
        return made


async def network(page: Page, *, offline: bool) -> None:
    await page.send(
        "Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )


async def test_a_network_that_is_gone_is_told_of_soon_and_one_that_is_back_too(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        # With so slow a heartbeat silence means nothing for as long as a test waits.
        toml = place.server.config.read_text()
        place.server.config.write_text(toml.replace("interval_seconds = 10\n", "interval_seconds = 300\n"))
        place.server.restart()
        page = await place.signed_in("alice", "bob")
        await send(page, "Connected")  # the banner is empty before there is a connection, too
        await state(page, "Connected", "sent")
        await network(page, offline=True)
        place.network.hold()  # what is emulated leaves open connections alone
        await page.wait(f"{BANNER}.includes('No connection')")
        place.network.restore()
        await network(page, offline=False)
        await page.wait(f"{BANNER} === ''")
        await send(page, "Back")
        await state(page, "Back", "sent")


async def test_who_is_removed_from_a_group_is_told_by_whom_and_writes_there_no_more(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        name(place, "alice", "Alice Martin")
        group = make_group(place, "alice", "Design review", "bob", "carol")
        carol = await place.signed_in("carol")
        await carol.evaluate(f"location.hash = '#/{group}'")
        await carol.wait(f"{HEADING} === 'Design review'")
        bob = await place.signed_in("bob")
        await bob.evaluate(f"location.hash = '#/{group}'")
        for tab in (bob, carol):  # once they are connected: who types is told to nobody later
            await tab.wait("document.querySelector('.account')?.dataset.status === 'online'")
        await bob.write("Message", "b")
        await carol.wait("document.querySelector('.about.typing')")
        await carol.click("Members")
        await carol.wait("document.querySelector('dialog[open] .people')")
        with place.server.rest(place.tokens["alice"]) as rest:
            assert rest.delete(f"/api/groups/{group}/members/carol").status_code in (200, 204)
        await carol.wait(
            "document.querySelector('.end')?.textContent.startsWith('Alice Martin removed you from Design review.')"
        )
        assert await carol.evaluate(HEADING) == "Design review"
        assert await carol.evaluate("Boolean(field('Message') ?? named('Members') ?? named('Send'))") is False
        assert await carol.evaluate("document.querySelector('.about.typing')") is None
        await carol.wait("!document.querySelector('dialog')")
        with place.server.rest(place.tokens["alice"]) as rest:
            assert rest.put(f"/api/groups/{group}/members/carol", json={}).status_code in (200, 201)
        await carol.wait(f"field('Message') && named('Members') && {HEADING} === 'Design review'")
        await send(carol, "Here again")
        with place.server.rest(place.tokens["alice"]) as rest:
            assert rest.delete(f"/api/groups/{group}").status_code in (200, 204)
        await carol.wait(
            "document.querySelector('.end').textContent.startsWith('Alice Martin deleted Design review.')"
        )


async def test_a_conversation_is_headed_by_a_name_from_its_first_moment(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "zoe") as place:
        name(place, "bob", "Bob Nguyen")
        name(place, "zoe", "Zoé Laurent")
        page = await place.signed_in("alice")
        await page.click("New conversation")
        await page.wait(
            "[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('Bob Nguyen'))"
        )
        await page.evaluate(
            "globalThis.headings = []; new MutationObserver(() => document.querySelector('h2') &&"
            f" headings.push({HEADING})).observe(document.querySelector('main'), {{childList: true, subtree: true}});"
            "[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('Bob Nguyen')).click()"
        )
        await page.wait(f"{HEADING} === 'Bob Nguyen'")
        assert set(await page.evaluate("headings")) == {"Bob Nguyen"}
        await page.evaluate("location.hash = '#/zoe'")
        await page.wait(f"{HEADING} === 'Zoé Laurent'")
        place.say("zoe", "alice", "Needle")
        await load_anew(page)
        await page.wait("document.querySelector('.conversations a')")
        await page.write(SEARCH, "needle")
        await page.wait("document.querySelector('.found .head')?.textContent.startsWith('Zoé Laurent')")


async def test_texts_are_read_in_their_own_direction_and_turn_nothing_else(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        group = make_group(place, "alice", "تصميم", "bob")
        with place.server.rest(place.tokens["bob"]) as rest:
            for content in ("مرحبا بالعالم!", "Plain", "gnp.\u202eexe"):
                body = {"type": "group_message", "payload": {"content": content}, "meta": {"target_id": group}}
                assert rest.post("/api/messages", json=body).status_code == 201
        page = await place.signed_in("alice")
        await page.evaluate(f"location.hash = '#/{group}'")
        await page.wait("document.querySelectorAll('.message .content').length === 3")
        directions = (
            "[...document.querySelectorAll('.message .content p')].map((one) => getComputedStyle(one).direction)"
        )
        assert await page.evaluate(directions) == ["rtl", "ltr", "ltr"]
        said = "[...document.querySelectorAll('.message .content')].at(-1).textContent"
        assert await page.evaluate(said) == "gnp.exe"  # what is shown is what it is called
        gist = "document.querySelector('.conversations .gist')"
        bidi = f"[...{gist}.children].map((one) => getComputedStyle(one).unicodeBidi).join()"
        await page.wait(f"{bidi} === 'isolate,isolate'")
        await page.wait(
            "[...document.querySelectorAll('.sender, .conversation h2, .conversations strong, .me strong')].every((one) => one.querySelector('bdi'))"
        )
        assert await page.evaluate("field('Message').dir") == "auto"
        place.server.relay("notify", "alice", "مرحبا", "--body", "عالم", "--as", "bob")
        await page.wait("document.querySelector('.notice p')")
        assert await page.evaluate(
            "['strong', 'p'].map((one) => getComputedStyle(document.querySelector(`.notice ${one}`)).direction)"
        ) == ["rtl", "rtl"]


async def test_links_keep_their_brackets_and_nothing_of_the_sentence(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        page = await place.signed_in("alice", "bob")
        text = "See (https://x.org/Foo_(bar)), 「https://y.org/a」。 and <https://z.org>"
        place.say("bob", "alice", text)
        await page.wait(f"document.querySelector('.content')?.textContent === {json.dumps(text)}")
        links = await page.evaluate(
            "[...document.querySelectorAll('.content a')].map((one) => one.getAttribute('href'))"
        )
        assert links == ["https://x.org/Foo_(bar)", "https://y.org/a", "https://z.org"]


async def test_the_page_is_whole_without_the_server(whole_chromium: str, tmp_path: Path) -> None:
    async with open_place(whole_chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        page = await place.signed_in("alice", "bob")
        await load_anew(page)
        await page.wait("document.querySelector('.me strong')")
        whole = "(await Promise.all((await caches.keys()).map((one) => caches.match('/whole', {cacheName: one})))).some(Boolean)"
        await page.wait(whole)
        place.network.cut()
        await load_anew(page)
        await page.wait("document.querySelector('.sidebar h1')?.textContent === 'relay'")
        await page.wait(f"{BANNER}.includes('No connection')")
        place.network.restore()
        await come_back(page)
