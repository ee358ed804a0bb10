"""The first hour of a server, all on the page: its owner, the sample data, others who come by a link or a mail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import PASSWORD, SAID, SETTINGS, Place, account, open_conversation, open_place, send
from tests.e2e.browser.test_accounts import HEAD, SIGNED_IN, TOLD, follow, sound
from tests.e2e.wire import PATIENCE
from tests.smtp import link_in, postbox

pytestmark = pytest.mark.e2e

LISTED = "[...document.querySelectorAll('.conversations .line')].map((one) => one.textContent).join()"
ACTS = "[...document.querySelectorAll('.admin-table tbody tr')].map((one) => one.textContent).join()"


async def set_up_link(place: Place) -> str:
    """Return the path of the link that a server without users prints."""
    with trio.fail_after(PATIENCE):
        while not (links := re.findall(r"http://\S+(/#setup=\S+)", place.server.log.read_text())):
            await trio.sleep(0.05)
    return str(links[-1])


async def try_the_sample(page: Page, folder: Path) -> None:
    """Add the sample data, look at it, say something in it, and remove it again."""
    await page.click("Try it with sample data")
    await page.wait("named('Remove the sample data')")
    await page.wait(f"{LISTED}.includes('New website') && {LISTED}.includes('Weekend in the hills')")
    await open_conversation(page, "sample.weekend", "Weekend in the hills")
    await page.wait("document.querySelector('.tile img')?.complete && document.querySelector('.poll')")
    await page.wait("document.querySelectorAll('.messages .message').length >= 4")
    await sound(page, folder, "sample-weekend")
    await open_conversation(page, "sample.website", "New website")
    await page.wait(f"{SAID}.at(-1).includes('@olga, welcome!') || {SAID}.at(-1).includes('Olga')")
    await page.wait("document.querySelector('.messages .thread-line, .messages [class*=thread]')")
    await sound(page, folder, "sample-website")
    await open_conversation(page, "sample.mira", "Mira Okafor")
    await send(page, "Hello Mira")
    await page.wait(f"{SAID}.includes('Hello Mira')")
    await page.evaluate("location.hash = ''")
    await page.wait("named('Remove the sample data')")
    await sound(page, folder, "sample-there")
    await page.click("Remove the sample data")
    await page.wait("document.querySelector('dialog[open] .danger')")
    await page.evaluate("document.querySelector('dialog[open] .danger').click()")
    await page.wait("named('Try it with sample data')")
    await page.wait(f"!{LISTED}.includes('website') && !{LISTED}.includes('Mira')")


async def test_a_new_server_is_set_up_tried_and_shared_without_leaving_the_page(
    chromium: str, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "plugins": {"also": ["polls"]}}
    async with open_place(chromium, tmp_path, settings=settings) as place:
        owner = await place.tab("olga", await set_up_link(place))
        await owner.wait("document.querySelector('[name=display_name]')")
        await owner.write("Name", "olga")
        await owner.write("Password", PASSWORD)
        await owner.click("Set up")
        await owner.wait(SIGNED_IN)
        await owner.wait("document.querySelector('.empty-place h2') && named('Try it with sample data')")
        await sound(owner, tmp_path, "first")
        await try_the_sample(owner, tmp_path)

        await owner.click("Invite people")
        await owner.click("Create link")
        await owner.wait("document.querySelector('.inviting .qr')")
        link = await owner.evaluate("document.querySelector('.inviting input[readonly]').value")
        await owner.click("Close")
        guest = await place.tab("pavel", link.removeprefix(place.url))
        await guest.wait(f"{HEAD} === 'Join'")
        await guest.write("Name", "pavel")
        await guest.write("Password", PASSWORD)
        await guest.click("Create account")
        await guest.wait(SIGNED_IN)
        await guest.click("New conversation")
        await guest.wait(
            "[...document.querySelectorAll('dialog .person')].some((one) => one.textContent.includes('olga'))"
        )
        await guest.evaluate(
            "[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('olga')).click()"
        )
        await send(guest, "Here I am")
        await owner.wait(f"{LISTED}.includes('Here I am')")
        await open_conversation(owner, "pavel")
        await send(owner, "Good to see you")
        await guest.wait(f"{SAID}.join() === 'Here I am,Good to see you'")
        await owner.wait(f"{SAID}.join() === 'Here I am,Good to see you'")

        await owner.go(f"{place.url}/admin#/audit")
        await owner.wait(f"{ACTS}.includes('invited') && {ACTS}.includes('removed the sample data')")
        entries = await owner.evaluate(ACTS)
        assert (
            entries.index("invited")
            < entries.index("removed the sample data")
            < entries.index("added sample data")
        )
        assert "olga" in entries


async def test_somebody_with_an_address_of_the_domain_joins_by_the_link_of_a_mail(
    chromium: str, tmp_path: Path
) -> None:
    with postbox() as box:
        settings = {
            **SETTINGS,
            "accounts": {"registration": "domain", "mail_domains": ["example.org"]},
            "mail": {
                "smtp_host": "127.0.0.1",
                "smtp_port": box.port,
                "security": "none",
                "from_address": "relay@example.org",
            },
            "server": {"public_url": "https://chat.example.org"},
        }
        async with open_place(chromium, tmp_path, "alice", settings=settings) as place:
            page = await place.tab("dora")
            await page.wait("named('Sign in')")
            await page.click("Create an account")
            await page.write("Mail address", "dora@example.com")
            await page.click("Send a link")
            await page.wait("document.querySelector('.card .wrong')?.textContent.includes('example.org')")
            await page.evaluate("document.querySelector('.card [name=address]').value = ''")
            await page.write("Mail address", "dora@example.org")
            await page.click("Send a link")
            await page.wait(f"{TOLD}.includes('on its way')")
            await sound(page, tmp_path, "by-domain")
            await trio.to_thread.run_sync(box.wait, 1)
            await follow(place, page, link_in(box.mails[0]))
            await page.wait(f"{HEAD} === 'Join'")
            await page.write("Name", "dora")
            await page.write("Password", PASSWORD)
            await page.click("Create account")
            await page.wait("document.querySelector('.me strong')?.textContent === 'dora'")
            await account(page, "Settings")
            await page.wait("document.querySelector('.mail-address')?.textContent.includes('dora@example.org')")
