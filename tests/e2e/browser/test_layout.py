"""The page's layout: what one looks at stays where it is, also on a phone; and all of it is mirrored for right-to-left languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser import views
from tests.e2e.browser.look import REDRAWN, Look, take_look
from tests.e2e.browser.people import open_conversation, open_place
from tests.e2e.browser.team import PEOPLE, open_team

pytestmark = pytest.mark.e2e

PHONE = Look(390, 844)
# What moved in the conversation without anybody's doing: from where to where, in pixels. The banner of a slow connection moves
# the whole of it, at any time.
MOVES = """
globalThis.moves = [];
new PerformanceObserver((list) => {
    for (const { sources } of list.getEntries()) {
        if (sources.some(({ node }) => node?.matches?.(".conversation, .sidebar, main"))) continue;
        for (const { node, previousRect, currentRect } of sources)
            moves.push([`${node?.nodeName} ${node?.className ?? ""} ${node?.textContent.slice(0, 30)}`, previousRect.y, currentRect.y]);
    }
}).observe({ type: "layout-shift" });
"""
MIRRORED = [
    "list",
    "two",
    "group",
    "thread",
    "members",
    "new-conversation",
    "own-menu",
    "settings-profile",
    "gallery",
]
OUTSIDE = """[...document.querySelectorAll("dialog[open], .float, .sidebar, .conversation, .bubble, .composer, button")]
    .filter((one) => one.checkVisibility() && !one.closest(".filters, .lightbox"))
    .map((one) => [one.className || one.textContent, one.getBoundingClientRect()])
    .filter(([, { left, right, width }]) => width > 1 && (left < -1 || right > innerWidth + 1)).map(([name]) => name)"""
RECT = "document.querySelector({selector}).getBoundingClientRect().{side}"


async def test_nothing_moves_while_a_conversation_is_opened_and_what_is_new_in_it_found(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        for name in ("bob", "carol"):
            place.say("alice", name, "What is new?")
            for number in range(4 if name == "bob" else 60):
                place.say(name, "alice", f"News {number}")
        alice = await place.signed_in("alice")
        await take_look(alice, Look())
        await alice.wait("document.querySelectorAll('.line').length === 2")
        await alice.evaluate(REDRAWN)  # in its new size
        place.network.delay = 0.05  # so that more than one picture is drawn meanwhile
        await alice.evaluate(MOVES)
        for name in ("bob", "carol", "bob"):
            await open_conversation(alice, name)
            await alice.wait("document.querySelectorAll('.message').length > 3")
            await alice.evaluate("new Promise((late) => setTimeout(late, 600))")
        assert await alice.evaluate("moves") == []
        place.say("bob", "alice", "And more")
        await alice.wait("[...document.querySelectorAll('.message')].at(-1).textContent.includes('And more')")


async def test_one_conversation_is_searched_on_a_phone(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        place.say("bob", "alice", "The quick brown fox")
        alice = await place.signed_in("alice")
        await take_look(alice, PHONE)
        await open_conversation(alice, "bob")
        await alice.click("Conversation menu")
        await alice.wait("document.querySelector('.sheet .menu')")
        await alice.evaluate(
            "[...document.querySelectorAll('.sheet button')].find((one) => one.textContent.startsWith('Search in')).click()"
        )
        await alice.wait("document.activeElement.placeholder === 'Search in bob'")
        await alice.insert("brown")
        await alice.wait("document.querySelector('.results mark')?.textContent === 'brown'")


async def test_the_page_is_mirrored_for_a_language_that_is_written_from_the_right(
    chromium: str, tmp_path: Path
) -> None:
    async with open_team(chromium, tmp_path) as place:
        alice = await place.signed_in("alice")
        shown = {view.name: view for view in views.MEMBER}

        async def at(selector: str, side: str) -> float:
            found: float = await alice.evaluate(RECT.format(selector=json.dumps(selector), side=side))
            return found

        await views.open_view(alice, shown["new-conversation"])
        name = f"[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('{PEOPLE['yusuf']}'))"
        gap = f"{name}.querySelector('bdi').getBoundingClientRect().left - {name}.querySelector('.avatar').getBoundingClientRect().right"
        assert 0 < await alice.evaluate(gap) < 20  # a name from the right stands beside its picture all the same
        await views.calm(alice)
        for look in (Look(), PHONE):
            await take_look(alice, look)
            await alice.evaluate("document.documentElement.dir = 'rtl'")
            for wanted in MIRRORED:
                await views.open_view(alice, shown[wanted])
                assert await alice.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
                    look.name,
                    wanted,
                )
                assert await alice.evaluate(OUTSIDE) == [], (look.name, wanted)
                if wanted == "two":
                    assert await at(".message.mine .bubble", "left") < look.width / 2
                    assert await at(".composer textarea", "left") > await at(
                        ".composer .line > button:last-child", "left"
                    )
                    if look.is_phone:
                        turned = "getComputedStyle(document.querySelector('.conversation .back .icon')).transform"
                        assert await alice.evaluate(turned) == "matrix(-1, 0, 0, 1, 0, 0)"
                    else:
                        assert await at(".sidebar", "right") == look.width
                        assert await at("main", "left") == 0
                await views.leave_view(alice, shown[wanted])
