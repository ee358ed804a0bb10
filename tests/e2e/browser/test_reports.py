"""A report seen through by three people: from the menu of a message to the ban that its author reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, on_message, open_conversation, open_place, send

pytestmark = pytest.mark.e2e

DIALOG = "[...document.querySelectorAll('dialog[open]')].at(-1)"
END = "(document.querySelector('.conversation > .end:not([hidden])')?.textContent ?? '')"


async def press(page: Page, label: str, inside: str = DIALOG) -> None:
    """Press the button of that name in what is open on top."""
    found = (
        f"[...({inside}?.querySelectorAll('button') ?? [])].find((one) => one.textContent === {json.dumps(label)})"
    )
    await page.wait(f"{found} && !{found}.disabled")
    await page.evaluate(f"{found}.click()")


async def shot(page: Page, name: str) -> None:
    """Take a picture for who wants to see how it looks: RELAY_PICTURES names the folder."""
    if folder := os.environ.get("RELAY_PICTURES"):
        await page.screenshot(Path(folder) / f"{name}.png")


async def report(bob: Page) -> None:
    await on_message(bob, "you fool", "Report …")
    await bob.wait(f"{DIALOG}?.textContent.includes('of nothing else in this conversation')")
    await bob.write("Tell more, if you wish", "he does this all the time")
    await shot(bob, "report-dialog")
    await press(bob, "Report")
    await bob.wait("document.body.textContent.includes('The message is reported')")


async def card(mona: Page) -> None:
    await open_conversation(mona, "moderators", "Moderators")
    await mona.wait("document.querySelector('.report-card .said')?.textContent === 'you fool'")
    await mona.wait("document.querySelector('.report-card')?.textContent.includes('he does this all the time')")
    await shot(mona, "report-card")


async def remove_and_time_out(mona: Page, mallory: Page, bob: Page) -> None:
    await press(mona, "Remove", "document.querySelector('.report-card')")
    await mona.write("Why", "be kind")
    await press(mona, "Remove")
    for page in (bob, mallory):
        await page.wait(
            "[...document.querySelectorAll('.message .deleted')].some((one) => one.textContent === 'Message removed by a moderator')"
        )
    await mona.wait("document.querySelector('.report-card')?.textContent.includes('The message is removed.')")
    await mallory.wait("document.body.textContent.includes('A moderator removed a message of yours')")
    await press(mona, "Time out …", "document.querySelector('.report-card')")
    await mona.write("Why", "calm down")
    await shot(mona, "timeout-dialog")
    await press(mona, "Time out")
    await mallory.wait(f"{END}.includes('You may only read for another') && {END}.includes('calm down')")
    assert await mallory.evaluate("document.querySelector('.composer').closest('[hidden]') !== null")
    await shot(mallory, "timed-out")


async def lifted_and_banned(place: Place, mona: Page, mallory: Page) -> None:
    with place.server.rest(place.tokens["mona"]) as rest:
        assert rest.delete("/api/admin/restrictions/timeout/mallory").status_code == 204
    await mallory.wait(f"{END} === '' && !document.querySelector('.composer').closest('[hidden]')")
    await send(mallory, "sorry")
    await press(mona, "Ban …", "document.querySelector('.report-card')")
    await mona.write("Why", "enough")
    await press(mona, "Ban")
    await mallory.wait(
        "named('Sign in') && document.body.textContent.includes('This account is banned. Why: enough')"
    )
    await shot(mallory, "banned")
    with pytest.raises(httpx.HTTPStatusError), place.server.rest(place.tokens["mallory"]) as rest:
        rest.get("/api/users/me").raise_for_status()
    await press(mona, "Resolve", "document.querySelector('.report-card')")
    await mona.wait("document.querySelector('.report-card')?.textContent.includes('Resolved by mona')")
    await shot(mona, "report-resolved")


async def test_a_report_is_seen_through_to_a_ban(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob", "mallory") as place:
        place.server.relay("user", "add", "mona", "--admin")
        place.tokens["mona"] = place.server.relay("token", "create", "mona").strip()
        place.say("bob", "mallory", "hello")
        bob = await place.signed_in("bob", "mallory")
        mallory = await place.signed_in("mallory", "bob")
        mona = await place.signed_in("mona")
        await send(mallory, "you fool")
        await report(bob)
        await card(mona)
        await remove_and_time_out(mona, mallory, bob)
        await lifted_and_banned(place, mona, mallory)
        await bob.wait("document.body.textContent.includes('The moderators acted on your report')")


async def test_who_is_blocked_writes_no_more_and_is_folded_in_groups(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob", "mallory") as place:
        place.say("mallory", "bob", "let me in")
        with place.server.rest(place.tokens["mallory"]) as rest:
            made = {"name": "Team", "members": ["bob"], "group_id": "team"}
            assert rest.post("/api/groups", json=made).status_code == 201
        bob = await place.signed_in("bob", "mallory")
        mallory = await place.signed_in("mallory", "team", "Team")
        await bob.evaluate("document.querySelector('.conversation h2 .name, .conversation .who .name').click()")
        await press(bob, "Block")
        await press(bob, "Block")
        await bob.wait(
            "[...document.querySelectorAll('dialog[open] button')].some((one) => one.textContent === 'Unblock')"
        )
        await bob.evaluate("[...document.querySelectorAll('dialog')].forEach((one) => one.close())")
        await bob.wait(f"{END}.includes('You block')")
        await send_in_group(mallory, "can you see me?")
        await open_conversation(bob, "team", "Team")
        await bob.wait("document.querySelector('.folded')")
        await shot(bob, "folded")
        assert "can you see me?" not in await bob.evaluate("document.body.innerText")
        await bob.click("Show")
        await bob.wait("document.body.innerText.includes('can you see me?')")
        await open_conversation(mallory, "bob")
        await mallory.write("Message", "hello?")
        await mallory.press("Enter")
        await mallory.wait(
            "document.querySelector('.failure')?.textContent.includes('You cannot write to this person.')"
        )


async def send_in_group(page: Page, text: str) -> None:
    await page.write("Message", text)
    await page.press("Enter")
    await page.wait(f"document.body.innerText.includes({json.dumps(text)})")


async def test_an_admin_times_a_member_out_from_the_groups_dialog_and_lifts_it(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "bob", "mallory") as place:
        with place.server.rest(place.tokens["bob"]) as rest:
            made = {"name": "Team", "members": ["mallory"], "group_id": "team"}
            assert rest.post("/api/groups", json=made).status_code == 201
        bob = await place.signed_in("bob")
        mallory = await place.signed_in("mallory")
        for page in (bob, mallory):
            await open_conversation(page, "team", "Team")
        await bob.evaluate("document.querySelector('.conversation h2 .name, .conversation .who .name').click()")
        menu = f"{DIALOG}?.querySelector('[data-user=\"mallory\"] [aria-haspopup]')"
        await bob.wait(menu)
        await bob.evaluate(f"{menu}.click()")
        entry = "[...document.querySelectorAll('.menu button')].find((one) => one.querySelector('.label').textContent === 'Time out …')"
        await bob.wait(entry)
        await bob.evaluate(f"{entry}.click()")
        await bob.write("Why", "shouting")
        await press(bob, "Time out")
        await bob.wait(f"{DIALOG}?.querySelector('.in-force li')?.textContent.includes('shouting')")
        await shot(bob, "in-force")
        await mallory.wait(f"{END}.includes('You may only read in this group')")
        await press(bob, "Lift", f"{DIALOG}.querySelector('.in-force')")
        await mallory.wait(f"{END} === ''")
        await bob.wait(f"!{DIALOG}.querySelector('.in-force li')")
