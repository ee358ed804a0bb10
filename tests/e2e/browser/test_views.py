"""All views of the page, by phone and desktop, light and dark, in English and French: what is wrong to see, hear or read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.browser import views
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look, violations
from tests.e2e.browser.people import open_place
from tests.e2e.browser.tab import Failed
from tests.e2e.browser.team import open_team
from tests.e2e.browser.views import View

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PHONE = {"width": 390, "height": 844}
COLOURS = ["color-contrast"]
SIZES = ["target-size", "scrollable-region-focusable", "button-name", "aria-dialog-name"]
# All views in the first two, the main ones once more, where French texts meet the width of a desktop; and by which rules: what
# no colour, no size and no language changes is looked at once.
LOOKS: list[tuple[Look, list[str]]] = [
    (Look(), []),
    (Look(**PHONE, dark=True, language="fr"), COLOURS + SIZES),
    (Look(dark=True, language="fr"), COLOURS),
]
EVERYTHING = 2

# Texts in sight and names for screen readers that are those of words/en.js while French has others.
ENGLISH = """(async () => {
    const [en, fr] = (await Promise.all(["en", "fr"].map((one) => import(`${location.pathname}app/words/${one}.js`)))).map((one) => one.default);
    const texts = (at, path = "") => typeof at === "string" ? [[path, at]] : at && typeof at === "object"
        ? Object.entries(at).flatMap(([key, value]) => texts(value, `${path}.${key}`)) : [];
    const french = new Map(texts(fr)), words = new Set(french.values());
    const english = new Set(texts(en).filter(([path, text]) => /[a-z]{2}/i.test(text) && french.get(path) !== text && !words.has(text)).map(([, text]) => text));
    const root = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    const seen = [];
    for (const one of root.querySelectorAll("*")) {
        if (!one.checkVisibility() || one.closest("bdi, [dir=auto], [lang=en], .content, .avatar")) continue;
        for (const name of ["aria-label", "title", "placeholder"]) if (one.hasAttribute(name)) seen.push(one.getAttribute(name));
        for (const node of one.childNodes) if (node.nodeType === Node.TEXT_NODE) seen.push(node.data);
    }
    return seen.map((text) => text.trim()).filter((text) =>
        english.has(text) || english.has(text.replace(/\\d+/, "#")) || /\\b(the|your?|of|and|with|from|this|was|are|is)\\b/i.test(text));
})()"""
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


async def tour(page: Page, shown: Sequence[View], look: Look, first: str, rules: Sequence[str]) -> list[str]:
    """Open one view after the other, and return what is wrong there."""
    found: list[str] = []
    await page.send("Page.bringToFront")
    await take_look(page, look)
    await views.calm(page)
    for view in shown:
        wrong = []
        try:
            await page.evaluate(first)
            await views.open_view(page, view)
            wrong += await violations(page, rules)
            if await page.evaluate(OVERFLOW) > 0:
                wrong.append("the page is wider than the window")
            if look.language == "fr":
                wrong += [f"English: {text}" for text in await page.evaluate(ENGLISH)]
            await views.leave_view(page, view)
        except Failed as failure:
            wrong.append(str(failure)[:1000])
        found += [f"{look.name} {view.name}: {one}" for one in wrong]
    return found


async def test_what_moderators_see_can_be_seen_heard_and_read(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob", "mallory") as place:
        place.server.relay("user", "add", "mona", "--role", "moderator")
        place.tokens["mona"] = place.server.relay("token", "create", "mona").strip()
        place.say("mallory", "bob", "you fool")
        said = place.history("bob", "mallory")[0]["meta"]["message_id"]
        with place.server.rest(place.tokens["bob"]) as rest:
            body = {"reason": "abuse", "text": "he does this all the time"}
            assert rest.post(f"/api/messages/{said}/report", json=body).is_success
        mona = await place.signed_in("mona")
        await mona.wait("document.querySelector('.conversations .line')")
        found = []
        for look, rules in LOOKS[:EVERYTHING]:
            found += await tour(mona, views.MODERATOR, look, "", rules)
        assert found == [], "\n".join(found)


async def test_all_views_can_be_seen_heard_and_read_by_everybody(chromium: str, tmp_path: Path) -> None:
    async with open_team(chromium, tmp_path) as place:
        stranger, admin = await place.tab("stranger"), await place.signed_in("dora")
        alice = await place.signed_in("alice")
        anew = "history.replaceState(null, '', location.pathname); dispatchEvent(new Event('hashchange'))"
        await stranger.wait("document.querySelector('.card:not(.early .card)')")
        found = []
        for number, (look, rules) in enumerate(LOOKS):
            for page, shown, first in (
                (stranger, views.STRANGER, anew),
                (admin, views.ADMIN, ""),
                (alice, views.MEMBER + views.with_others(place), ""),
            ):
                wanted = [view for view in shown if view.main or number < EVERYTHING]
                found += await tour(page, wanted, look, first, rules)
        assert found == [], "\n".join(found)
