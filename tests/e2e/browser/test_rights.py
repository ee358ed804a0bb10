"""Rights of a group in a real browser: the owner, an admin and a member see what they may do, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look
from tests.e2e.browser.people import SAID, open_place, send
from tests.e2e.browser.test_groups import DIALOG, END, TITLE, answer, make_group
from tests.e2e.browser.test_messages import line
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

WRITABLE = "document.querySelector('.conversation > .composer, .conversation .composer')?.hidden === false"


async def choose(page: Page, label: str, value: str) -> None:
    """Choose from a list that a label names."""
    await page.evaluate(
        f"(() => {{ const one = field({json.dumps(label)}); one.value = {json.dumps(value)};"
        " one.dispatchEvent(new Event('change')); })()"
    )


async def offered(page: Page, text: str) -> list[str]:
    """Return the actions that a message offers, in its toolbar and in its menu."""
    await page.focus(line(text))
    await page.press("ContextMenu")
    await page.wait("document.activeElement.getAttribute('role') === 'menuitem'")
    found: list[str] = json.loads(
        await page.evaluate(
            "JSON.stringify([...document.querySelectorAll('[role=menuitem]')].map((one) => one.querySelector('.label')?.textContent ?? one.textContent))"
        )
    )
    await page.press("Escape")
    await page.wait("!document.querySelector('[role=menuitem]')")
    return found


async def test_an_announcement_group_is_made_seen_and_closed(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "olga", "adam", "mia") as place:
        group = make_group(place, "olga", "News", "adam", "mia")
        with place.server.rest(place.tokens["olga"]) as rest:
            assert rest.put(f"/api/groups/{group}/members/adam", json={"role": "admin"}).status_code == 200
        olga, adam, mia = [await place.signed_in(one) for one in ("olga", "adam", "mia")]
        for page in (olga, adam, mia):
            await page.evaluate(f"location.hash = '#/{group}'")
            await page.wait(f"document.querySelector('.conversation h2')?.textContent === 'News' && {WRITABLE}")
        await send(mia, "hello all")
        await adam.wait(f"{SAID}.includes('hello all')")
        assert "Pin" in await offered(adam, "hello all")
        assert "Pin" not in await offered(mia, "hello all")

        # The owner makes it an announcement group: words stand in place of the member's field.
        await olga.click("Members")
        await olga.wait(f"{DIALOG}.querySelector('.group-rights')")
        await olga.evaluate(f"{DIALOG}.querySelector('.group-rights summary').click()")
        await choose(olga, "Kind of group", "announcement")
        await mia.wait(f"{END}?.startsWith('In News only those write who have the right to.')")
        assert await mia.evaluate(WRITABLE) is False
        await adam.wait(WRITABLE)
        await olga.wait("field('Write').value === 'admins'")
        await olga.press("Escape")
        await send(adam, "news of today")
        await mia.wait(f"{SAID}.includes('news of today')")
        may = await offered(mia, "news of today")
        assert "Reply in thread" in may
        assert "Reply" not in may
        await olga.wait(
            "document.querySelector('.event, li.message') && document.body.textContent.includes('changed who may do what')"
        )

        # The member reads the rights, and changes none.
        await mia.click("Members")
        await mia.wait(f"{DIALOG}.querySelector('.group-rights li')")
        assert await mia.evaluate(f"{DIALOG}.querySelector('select')") is None
        await mia.press("Escape")

        # One right alone.
        await olga.click("Members")
        await olga.wait(f"{DIALOG}.querySelector('.group-rights')")
        await olga.evaluate(f"{DIALOG}.querySelector('.group-rights summary').click()")
        await choose(olga, "Reply in threads", "admins")
        await mia.wait(f"{END}?.includes('You can read what is said, and react to it.')")
        assert "Reply in thread" not in await offered(mia, "news of today")
        await choose(olga, "Pin messages", "everybody")
        await olga.wait("field('Kind of group').value === 'own'")

        # Closed for all, and opened again.
        await olga.click("Close group")
        await answer(olga, "Close News?", "Cancel")
        await olga.wait(f"{TITLE} === 'Group'")
        await olga.click("Close group")
        await answer(olga, "Close News?", "Close group")
        for page in (olga, adam, mia):
            await page.wait(f"{END}?.startsWith('News is closed.')")
            assert await page.evaluate(WRITABLE) is False
        with trio.fail_after(PATIENCE):
            while "React" in await offered(mia, "news of today"):  # the page asks what one may do there now
                await trio.sleep(0.2)
        await olga.click("Open group again")
        await adam.wait(WRITABLE)
        await mia.wait(f"{END}?.startsWith('In News only')")


async def test_rights_are_seen_on_a_phone_in_the_dark_and_in_french(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "olga", "mia") as place:
        group = make_group(place, "olga", "News", "mia", rights="announcement")
        for name, look in (
            ("olga", Look(390, 844, dark=True, language="fr")),
            ("mia", Look(390, 844)),
            ("olga", Look()),
        ):
            page = await place.signed_in(name) if name not in place.contexts else await place.tab(name)
            await take_look(page, look)
            await page.evaluate(f"location.hash = '#/{group}'")
            await page.wait("document.querySelector('.conversation h2')?.textContent === 'News'")
            if name == "mia":
                await page.wait(f"{END}?.startsWith('In News only')")
            await page.screenshot(tmp_path / f"{look.name}-{name}-conversation.png")
            await page.click("Membres" if look.language == "fr" else "Members")
            await page.wait(f"{DIALOG}.querySelector('.group-rights')")
            await page.evaluate(f"{DIALOG}.querySelector('.group-rights summary').click()")
            await page.evaluate(f"{DIALOG}.querySelector('.group-rights').scrollIntoView()")
            wide = await page.evaluate(f"{DIALOG}.scrollWidth > {DIALOG}.clientWidth")
            assert wide is False
            await page.screenshot(tmp_path / f"{look.name}-{name}-rights.png")
