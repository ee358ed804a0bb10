"""Slow mode in a real browser: an admin sets it, the header says so, and a member's field counts down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser.look import Look, take_look, violations
from tests.e2e.browser.people import SAID, open_place, send
from tests.e2e.browser.test_groups import DIALOG, make_group
from tests.e2e.browser.test_rights import choose

pytestmark = pytest.mark.e2e

WAIT = "document.querySelector('.composer .wait').textContent"
ABOUT = "document.querySelector('.conversation .about').textContent"
SHUT = "document.querySelector('.composer .send').disabled"


async def test_a_member_waits_and_sees_for_how_long(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "olga", "mia") as place:
        group = make_group(place, "olga", "News", "mia")
        olga, mia = [await place.signed_in(one) for one in ("olga", "mia")]
        for page in (olga, mia):
            await page.evaluate(f"location.hash = '#/{group}'")
            await page.wait("document.querySelector('.conversation h2')?.textContent === 'News'")
        await olga.click("Members")
        await olga.wait(f"{DIALOG}.querySelector('select[name=slow_mode]')")
        await choose(olga, "Slow mode", "600")
        await mia.wait(f"{ABOUT} === 'Slow mode: 10 minutes'")
        await olga.screenshot(tmp_path / "slow-dialog.png")
        await olga.press("Escape")
        assert await mia.evaluate(WAIT) == ""

        await send(mia, "first")
        await mia.wait(f"{WAIT} === 'You can write again in 10 minutes.' && {SHUT}")
        await mia.write("Message", "second")
        await mia.press("Enter")
        assert await mia.evaluate("field('Message').value") == "second"  # it is kept, and not sent
        await mia.reload()
        await mia.wait(
            f"document.querySelector('.composer .wait') && {WAIT}.startsWith('You can write again in') && {SHUT}"
        )
        for look in (Look(390), Look(1200, dark=True), Look(1200, language="fr")):
            await take_look(mia, look)
            await mia.wait(f"document.querySelector('.composer .wait') && {SHUT}")
            assert await violations(mia) == []
            await mia.screenshot(tmp_path / f"slow-{look.name}.png")
        await take_look(mia, Look(1200))

        await send(olga, "an owner")
        await send(olga, "writes as they like")
        await olga.click("Members")
        await olga.wait(f"{DIALOG}.querySelector('select[name=slow_mode]')")
        await choose(olga, "Slow mode", "0")
        await mia.wait(f"{WAIT} === '' && {ABOUT} === '' && !{SHUT}")
        await mia.focus("field('Message')")
        await mia.press("Enter")
        await olga.wait(f"{SAID}.includes('second')")
