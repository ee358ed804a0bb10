"""A tour of views: what is wrong to see, hear or read in each."""

from __future__ import annotations

from collections.abc import Sequence

from tests.e2e.browser import views
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look, violations
from tests.e2e.browser.people import Place
from tests.e2e.browser.tab import Failed
from tests.e2e.browser.views import View

PHONE = {"width": 390, "height": 844}
COLOURS = ["color-contrast"]
SIZES = ["target-size", "scrollable-region-focusable", "button-name", "aria-dialog-name"]
# All views in the first two, the main ones once more, where French texts meet the width of a desktop; and by which rules: what
# no colour, no size and no language changes is looked at once.
DESKTOP: tuple[Look, list[str]] = (Look(), [])
FRENCH_PHONE: tuple[Look, list[str]] = (Look(**PHONE, dark=True, language="fr"), COLOURS + SIZES)
FRENCH_DESKTOP: tuple[Look, list[str]] = (Look(dark=True, language="fr"), COLOURS)

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


async def tour_everything(place: Place, *looks: tuple[Look, list[str]]) -> list[str]:
    """Have a stranger, an admin and a member of a team look at all views, or at the main ones, and return what is wrong."""
    stranger, admin = await place.tab("stranger"), await place.signed_in("dora")
    alice = await place.signed_in("alice")
    anew = "history.replaceState(null, '', location.pathname); dispatchEvent(new Event('hashchange'))"
    await stranger.wait("document.querySelector('.card:not(.early .card)')")
    found = []
    for look, rules in looks:
        for page, shown, first in (
            (stranger, views.STRANGER, anew),
            (admin, views.ADMIN, ""),
            (alice, views.MEMBER + views.with_others(place), ""),
        ):
            wanted = [view for view in shown if view.main or (look, rules) != FRENCH_DESKTOP]
            found += await tour(page, wanted, look, first, rules)
    return found
