"""Ways in besides name and password: a forgotten password by mail, a second factor, an invitation to a group."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
import trio

from relay.services import totp
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look, violations
from tests.e2e.browser.people import PASSWORD, SETTINGS, Place, open_place
from tests.e2e.browser.test_settings import section
from tests.smtp import link_in, postbox

pytestmark = pytest.mark.e2e

FRESH = "battery staple"
TOLD = "document.querySelector('.card .told')?.textContent ?? ''"
HEAD = "document.querySelector('.card h1')?.textContent"
CODES = "[...document.querySelectorAll('.recovery-codes code')].map((one) => one.textContent)"
SIGNED_IN = "document.querySelector('.me strong')"


async def sign_in(page: Page, name: str, password: str) -> None:
    await page.wait("named('Sign in') && document.querySelector('[name=password]')")
    await page.evaluate("for (const one of document.querySelectorAll('.card input')) one.value = ''")
    await page.write("Name", name)
    await page.write("Password", password)
    await page.click("Sign in")


def code(key: str, away: int = 0) -> str:
    secret = base64.b32decode(key.replace(" ", ""))
    return totp.code_of(secret, int(time.time()) // totp.SECONDS + away)


async def sound(page: Page, folder: Path, name: str) -> None:
    """Look at the page on a phone and a desktop, light and dark; axe finds nothing wrong with it."""
    for look in (Look(), Look(dark=True), Look(width=390, height=844)):
        await take_look(page, look)
        await page.screenshot(folder / f"{name}-{look.name}.png")
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await take_look(page, Look())


async def test_a_forgotten_password_is_set_anew_by_the_link_of_a_mail(chromium: str, tmp_path: Path) -> None:
    with postbox() as box:
        mail = {
            "smtp_host": "127.0.0.1",
            "smtp_port": box.port,
            "security": "none",
            "from_address": "relay@example.org",
        }
        settings = {**SETTINGS, "mail": mail, "server": {"public_url": "https://chat.example.org"}}
        async with open_place(chromium, tmp_path, "alice", settings=settings) as place:
            place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
            page = await place.tab("alice")
            await sign_in(page, "ALICE", PASSWORD)
            await page.wait(SIGNED_IN)
            await section(page, "profile")
            await page.click("Add an address")
            await page.write("New address", "alice@example.org")
            await page.write("Your password", "wrong")
            await page.click("Send a link to it")
            await page.wait("document.querySelector('.mail-address .wrong:not(:empty)')")
            await page.evaluate("document.querySelector('[name=current_password]').value = ''")
            await page.write("Your password", PASSWORD)
            await page.click("Send a link to it")
            await page.wait(
                "document.querySelector('.mail-address [role=status]')?.textContent.includes('alice@example.org')"
            )
            await trio.to_thread.run_sync(box.wait, 1)
            await follow(place, page, link_in(box.mails[0]))
            await page.wait(f"{HEAD} === 'Confirm your mail address'")
            await page.click("Confirm")
            await page.wait(f"{TOLD}.includes('alice@example.org')")
            await page.click("Go on")
            await page.wait(SIGNED_IN)

            other = await place.tab("elsewhere")
            await other.click("Forgot the password?")
            await other.wait(f"{HEAD} === 'Forgot the password?'")
            await sound(other, tmp_path, "forgotten")
            await other.write("Name or mail address", "Alice@Example.org")
            await other.click("Send a link")
            await other.wait(f"{TOLD}.includes('on its way')")
            await trio.to_thread.run_sync(box.wait, 2)
            link = link_in(box.mails[1])
            await follow(place, other, link)
            await other.wait(f"{HEAD} === 'Choose a new password'")
            await other.write("New password", "short")
            await other.click("Set the password")
            await other.wait("document.querySelector('.card .wrong')?.textContent.includes('8 to')")
            await other.write("New password", FRESH.removeprefix("short"))
            await other.evaluate(f"document.querySelector('[name=password]').value = {json.dumps(FRESH)}")
            await other.click("Set the password")
            await other.wait(f"{TOLD}.includes('new password')")
            await other.click("Sign in")
            await sign_in(other, "alice", FRESH)
            await other.wait(SIGNED_IN)
            await page.wait("named('Sign in')")  # the session of before was ended
            await follow(place, page, link)
            await page.write("New password", FRESH)
            await page.click("Set the password")
            await page.wait(
                "document.querySelector('.card .failure')?.textContent.includes('wrong, used or expired')"
            )


async def follow(place: Place, page: Page, link: str) -> None:
    """Open a link at the address where the test has the page, in a tab that may show it already."""
    await page.evaluate(f"location.hash = {json.dumps('#' + link.partition('#')[2])}")


async def test_a_second_factor_is_set_up_and_asked_for(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        page = await place.tab("alice")
        await sign_in(page, "alice", PASSWORD)
        await page.wait(SIGNED_IN)
        await section(page, "second-factor")
        await page.click("Set up")
        await page.write("Your password", PASSWORD)
        await page.click("Continue")
        await page.wait("document.querySelector('.second-factor .qr svg')")
        key = await page.evaluate("document.querySelector('.secret-key code').textContent")
        await sound(page, tmp_path, "set-up")
        await page.write("Code", "000000")
        await page.click("Turn on")
        await page.wait("document.querySelector('.second-factor .wrong:not(:empty)')")
        await page.evaluate("document.querySelector('[name=code]').value = ''")
        used = code(key, -1)
        await page.write("Code", used)
        await page.click("Turn on")
        await page.wait(f"{CODES}.length === 10")
        codes = await page.evaluate(CODES)
        await sound(page, tmp_path, "codes")
        await page.click("I have kept them")
        await page.wait("document.querySelector('.second-factor')?.textContent.includes('10 recovery codes')")

        other = await place.tab("elsewhere")
        await sign_in(other, "alice", PASSWORD)
        await other.wait(f"{HEAD} === 'One more step'")
        await sound(other, tmp_path, "second-step")
        await other.write("Code", used)
        await other.click("Sign in")
        await other.wait("document.querySelector('.card .wrong')?.textContent.includes('wrong, used')")
        await other.evaluate("document.querySelector('[name=code]').value = ''")
        await other.write("Code", code(key))
        await other.click("Sign in")
        await other.wait(SIGNED_IN)

        third = await place.tab("third")
        await sign_in(third, "alice", PASSWORD)
        await third.wait(f"{HEAD} === 'One more step'")
        await third.click("Back to signing in")
        await sign_in(third, "alice", PASSWORD)
        await third.wait(f"{HEAD} === 'One more step'")
        await third.write("Code", codes[3].lower())
        await third.click("Sign in")
        await third.wait(SIGNED_IN)


async def test_where_it_is_demanded_the_way_in_sets_it_up(chromium: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "accounts": {"require_second_factor_for": "everybody"}}
    async with open_place(chromium, tmp_path, "alice", settings=settings) as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        page = await place.tab("alice")
        await sign_in(page, "alice", PASSWORD)
        await page.wait(f"{HEAD} === 'Set up a second factor'")
        await sound(page, tmp_path, "demanded")
        key = await page.evaluate("document.querySelector('.secret-key code').textContent")
        await page.write("Code", code(key))
        await page.click("Sign in")
        await page.wait(f"{CODES}.length === 10")
        await page.click("I have kept them")
        await page.wait(SIGNED_IN)


async def test_an_invitation_to_a_group_leads_into_it(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob") as place:
        place.tokens["alice"] = place.server.relay("user", "add", "alice", "--role", "owner") and (
            place.server.relay("token", "create", "alice").strip()
        )
        place.server.relay("group", "create", "team", "--name", "The team", "--owner", "alice")
        page = await place.signed_in("alice")
        await page.click("New conversation")
        await page.click("Invite people")
        await page.wait("document.querySelector('.joins:not([hidden])')")
        await page.evaluate("document.querySelector('.joins input').click()")
        await page.write("What it is for", "the new class")
        await sound(page, tmp_path, "invite")
        await page.click("Create link")
        await page.wait("document.querySelector('.inviting .qr')")
        link = await page.evaluate("document.querySelector('.inviting input[readonly]').value")
        carol = await place.tab("carol", link.removeprefix(place.url))
        await carol.wait(f"{HEAD} === 'Join'")
        await carol.write("Name", "carol")
        await carol.write("Password", PASSWORD)
        await carol.click("Create account")
        await carol.wait(SIGNED_IN)
        await carol.wait("document.querySelector('.sidebar')?.textContent.includes('The team')")
        await page.click("Create another link")
        await page.wait("document.querySelector('.inviting .loaded input')")
        await page.evaluate("document.querySelector('.inviting .loaded input').click()")
        await page.wait("document.querySelector('.open-ones')?.textContent.includes('Used by')")
        await sound(page, tmp_path, "invitations")
