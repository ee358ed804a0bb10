"""Messages on relay's page: the toolbar over them by mouse, keyboard and finger, reactions, and what people write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, on_message, open_conversation, open_place, send

pytestmark = pytest.mark.e2e

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1)) [b](data:text/html,<script>alert(1)</script>)",
    '**<script>alert(1)</script>** `<b>x</b>` https://x.org/"onmouseover=alert(1)',
    "```<i>\n<script>alert(1)</script>\n```",
    "[https://good.example](https://evil.example)",
]
WRITTEN = """**Bold** _it_ ~~gone~~ `code` snake_case
1. one
   - two
> quoted

[site](https://x.org/a) www.x.org m@x.org"""
LONG = "A longer message, " * 14 + "which breaks into lines."
BAR = "document.querySelector('.toolbar:not([hidden])')"


def line(content: str) -> str:
    """Return what finds the line of a message in a page."""
    return f"[...document.querySelectorAll('.message')].find((one) => one.querySelector('.content')?.textContent === {json.dumps(content)})"


async def resize(page: Page, width: int, height: int, *, touch: bool = False) -> None:
    await page.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
    )
    await page.send("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=5)
    await page.wait(f"innerWidth === {width}")


async def centre(page: Page, found: str) -> dict[str, float]:
    """Return the middle of an element in the window, scrolled to."""
    at: dict[str, float] = await page.evaluate(
        f"(() => {{ const one = {found}; one.scrollIntoView({{ block: 'center' }}); const box = one.getBoundingClientRect();"
        " return { x: box.left + box.width / 2, y: box.top + box.height / 2 }; })()"
    )
    return at


async def hover(page: Page, found: str) -> None:
    await page.send("Input.dispatchMouseEvent", type="mouseMoved", **await centre(page, found))


async def touch(page: Page, at: dict[str, float]) -> None:
    await page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[at])


async def let_go(page: Page) -> None:
    await page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def say(place: Place, sender: str, content: str, **more: Any) -> int:
    body = {"type": "group_message", "payload": {"content": content, **more}, "meta": {"target_id": "team"}}
    with place.server.rest(place.tokens[sender]) as rest:
        answer = rest.post("/api/messages", json=body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["message_id"])


async def test_the_toolbar_floats_over_one_message_by_mouse_keyboard_and_finger(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            made = rest.post("/api/groups", json={"group_id": "team", "name": "team", "members": ["bob", "carol"]})
            assert made.status_code == 201
        for sender, content in (("alice", LONG), ("bob", f"{LONG}!"), ("alice", "Short"), ("bob", "Last")):
            say(place, sender, content)
        page = await place.signed_in("alice", "team")
        # What comes late takes room: "New", and the names, once it is known that it is a group.
        await page.wait(
            f"{line('Last')} && document.querySelector('.messages .new') && document.querySelector('.sender')"
        )
        await by_mouse(page)
        await by_keyboard(page)
        await by_finger(place)
        await who_read(place, page)


async def by_mouse(page: Page) -> None:
    """Nothing moves while the toolbar comes and the picker opens, at any width; it stays within the list."""
    boxes = """JSON.stringify([...document.querySelectorAll('.message, .bubble, .message p, .composer')].map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect(); return [x, y, width, height]; }))"""
    for width in (720, 820, 1024, 1280):
        await resize(page, width, 800)
        for content in (LONG, f"{LONG}!"):
            await page.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
            await page.wait(f"!{BAR}")
            at = await centre(page, f"{line(content)}.querySelector('.bubble')")
            before = await page.evaluate(boxes)
            await page.send("Input.dispatchMouseEvent", type="mouseMoved", **at)
            await page.wait(BAR)
            assert await page.evaluate(
                f"(() => {{ const bar = {BAR}.getBoundingClientRect(), list = document.querySelector('.messages').getBoundingClientRect();"
                " return bar.left >= list.left && bar.right <= list.right && bar.top >= list.top && bar.bottom <= list.bottom; })()"
            )
            await page.click("React")
            await page.wait("named('React 🎉')")
            assert await page.evaluate(boxes) == before
            await page.press("Escape")
            await page.wait("!document.querySelector('.float')")
    await hover(page, f"{line('Last')}.querySelector('.bubble')")
    await page.click("React")
    await page.wait("named('React 🎉')")
    for kind in ("mousePressed", "mouseReleased"):  # elsewhere
        await page.send("Input.dispatchMouseEvent", type=kind, x=600, y=30, button="left", clickCount=1)
    await page.wait("!document.querySelector('.float')")
    await page.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    await page.wait(f"!{BAR}")


async def by_keyboard(page: Page) -> None:
    """From the line into the toolbar and back; letters do the same; the picker finds what one types."""
    await page.focus(line("Short"))
    assert (
        await page.evaluate(
            "document.querySelectorAll('.message .actions, .message button:not([tabindex=\"-1\"])').length"
        )
        == 0
    )
    await page.press("Enter")
    await page.wait("document.activeElement.closest('.toolbar')?.getAttribute('role') === 'toolbar'")
    assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "React"
    await page.press("End")
    assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "More"
    await page.press("ArrowRight")
    assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "React"
    await page.press("Escape")
    assert await page.evaluate(f"document.activeElement === {line('Short')}")
    await page.press("ContextMenu")
    await page.wait("document.activeElement.getAttribute('role') === 'menuitem'")
    await page.press("End")
    assert await page.evaluate("document.activeElement.textContent.startsWith('Delete')")
    await page.press("Escape")
    await page.wait(f"document.activeElement === {line('Short')}")
    await page.press("+")
    await page.wait("document.activeElement.getAttribute('aria-label') === 'React 👍'")
    await page.press("End")
    await page.press("Enter")
    await page.wait("document.querySelector('.emoji-picker [role=gridcell]')")
    await page.wait("document.activeElement.type === 'search'")
    await page.send("Input.insertText", text="party")
    await page.wait("document.querySelectorAll('.emoji-picker [role=gridcell]').length < 20")
    await page.press("ArrowDown")
    assert await page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"
    await page.press("ArrowRight")
    chosen = await page.evaluate("document.activeElement.dataset.emoji")
    await page.press("Enter")
    await page.wait(f"{line('Short')}.querySelector('.reaction')?.textContent === {json.dumps(f'{chosen} 1')}")
    await page.wait(f"document.activeElement === {line('Short')}")
    await page.press("e")
    await page.wait("document.activeElement.tagName === 'TEXTAREA' && document.activeElement.value === 'Short'")
    await page.press("Escape")
    await page.focus(line("Short"))
    await page.press("Delete")
    await page.wait("document.activeElement.textContent === 'Cancel'")
    await page.evaluate("document.querySelector('dialog .danger').click()")
    await page.wait(f"document.activeElement === {line('Last')}")
    await page.wait("document.querySelector('.message .deleted')")


async def by_finger(place: Place) -> None:
    """A tap shows the toolbar, a long press the sheet; what is to be touched is large."""
    page = await place.signed_in("bob")
    await resize(page, 390, 844, touch=True)
    await open_conversation(page, "team")
    await page.wait(f"{line('Last')} && document.querySelector('.sender')")
    await touch(page, await centre(page, f"{line('Last')}.querySelector('.content')"))
    await let_go(page)
    await page.wait(BAR)
    small = "[...document.querySelectorAll('.toolbar button, .sheet button')].filter((one) => one.offsetHeight && (one.offsetHeight < 44 || one.offsetWidth < 44)).map((one) => one.outerHTML)"
    assert await page.evaluate(small) == []
    assert await page.evaluate(
        f"{BAR}.getBoundingClientRect().right <= 390 && {BAR}.getBoundingClientRect().left >= 0"
    )
    await page.evaluate("named('Edit', document.querySelector('.toolbar')).click()")
    await page.wait("document.querySelector('textarea').value === 'Last'")
    await page.press("Escape")
    await touch(page, await centre(page, f"{line(LONG)}.querySelector('.content')"))
    await page.wait("document.querySelector('dialog.sheet')")
    await let_go(page)
    assert await page.evaluate(small) == []
    await page.click("React ❤️")
    await page.wait("document.querySelector('.reaction')?.textContent === '❤️ 1'")
    await page.wait("!document.querySelector('dialog')")
    await touch(page, await centre(page, "document.querySelector('.reaction')"))
    await page.wait("document.querySelector('dialog .person .given')?.textContent === '❤️'")
    await let_go(page)
    assert await page.evaluate("document.querySelector('.reaction').textContent") == "❤️ 1"  # it was no press
    await page.click("Close")
    await page.evaluate("document.querySelector('.jumps .jump:last-child').click()")  # to read what comes


async def who_read(place: Place, alice: Page) -> None:
    """In a group a message is read when all have read it, and one sees who has."""
    await send(alice, "Has everybody read this?")
    state = f"{line('Has everybody read this?')}.dataset.state"
    await alice.wait(f"{state} === 'delivered'")
    await on_message(alice, "Has everybody read this?", "Who read this")
    await alice.wait(
        "document.querySelector('dialog .readers')?.innerText.replace(/\\s+/g, ' ').includes('Not yet received by')"
    )
    await alice.evaluate("document.querySelector('dialog').close()")
    assert await alice.evaluate(state) == "delivered"
    carol = await place.signed_in("carol", "team")
    await carol.wait(f"{line('Has everybody read this?')} && document.querySelector('.messages .new')")
    await carol.evaluate(
        "document.querySelector('.jumps .jump:last-child').click()"
    )  # it began at the first unread one
    await alice.wait(f"{state} === 'read'")
    await on_message(alice, "Has everybody read this?", "Who read this")
    await alice.wait("/^Read by/.test(document.querySelector('dialog .readers')?.innerText ?? '')")
    assert (
        await alice.evaluate(
            "[...document.querySelectorAll('dialog .readers .name')].map((one) => one.textContent).sort().join()"
        )
        == "bob,carol"
    )


async def test_what_people_write_is_shown_as_they_mean_it_and_never_as_markup(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            assert (
                rest.post("/api/groups", json={"group_id": "team", "name": "team", "members": ["bob"]}).status_code
                == 201
            )
        for text in (*HOSTILE, WRITTEN, "👍🏽", "مرحبا! كيف حالك"):
            say(place, "bob", text)
        say(place, "bob", "@alice and @all: see `@alice`, not @carol", mentions=["alice", "*"])
        say(place, "bob", "@bob is me", mentions=["bob"])
        page = await place.signed_in("alice")
        await page.evaluate("globalThis.alert = () => { globalThis.harmed = true; }; location.hash = '#/team'")
        await page.wait("document.querySelectorAll('.message .content').length === 10")
        shown = "[...document.querySelectorAll('.message .content')]"
        texts = await page.evaluate(f"{shown}.slice(0, 3).map((one) => one.textContent)")
        assert texts == [
            HOSTILE[0],
            HOSTILE[1],
            '<script>alert(1)</script> <b>x</b> https://x.org/"onmouseover=alert(1)',
        ]
        assert (
            await page.evaluate(
                "document.querySelectorAll('.content script, .content img, .content iframe, .content [onmouseover]').length"
            )
            == 0
        )
        assert await page.evaluate("globalThis.harmed ?? false") is False
        assert await page.evaluate(f"{shown}.flatMap((one) => [...one.querySelectorAll('a')].map((link) => link.href))") == [
            "https://x.org/", "https://good.example/", "https://evil.example/", "https://x.org/a", "https://www.x.org/", "mailto:m@x.org",
        ]  # fmt: skip
        code = f"{shown}[3].querySelector('pre')"
        assert await page.evaluate(f"{code}.textContent") == "<script>alert(1)</script>"
        tags = "[...new Set([...one.querySelectorAll('*')].map((child) => child.tagName.toLowerCase()))].sort().join(' ')"
        assert await page.evaluate(f"((one) => {tags})({shown}[5])") == "a blockquote code em li ol p s strong ul"
        assert "snake_case" in await page.evaluate(f"{shown}[5].querySelector('p').textContent")
        assert await page.evaluate(f"{shown}[6].matches('.large')")
        assert await page.evaluate(f"getComputedStyle({shown}[7].querySelector('p')).direction") == "rtl"
        # Until a name is known, there is an ellipsis in its place.
        await page.wait(
            f"[...{shown}[8].querySelectorAll('.mention')].map((one) => one.textContent).join() === '@alice,@all'"
        )
        assert await page.evaluate(
            f"[{shown}[8], {shown}[9]].map((one) => one.closest('.message').matches('.calls-me'))"
        ) == [True, False]
        await page.wait("document.querySelector('.conversations, nav')?.textContent.includes('@bob is me')")
        # The time stands beside the last line: a short message is one line high.
        assert await page.evaluate(f"{shown}[9].closest('.bubble').offsetHeight < 64")
        await page.evaluate(f"{shown}[9].querySelector('button.mention').click()")
        await page.wait("document.querySelector('dialog h3')?.textContent === 'bob'")  # who is meant, in a dialog
        await page.evaluate("named('Message', document.querySelector('dialog')).click()")
        await page.wait("location.hash === '#/bob'")


async def test_a_message_is_forwarded_with_its_file_and_the_name_of_who_said_it(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            made = rest.post("/api/groups", json={"group_id": "team", "name": "team", "members": ["bob"]})
            assert made.status_code == 201
        with place.server.rest(place.tokens["bob"]) as rest:
            kept = rest.post("/api/attachments", params={"name": "minutes.txt"}, content=b"minutes").json()
            chat = {"type": "chat_message", "payload": {"content": "Before"}, "meta": {"target_id": "carol"}}
            assert rest.post("/api/messages", json=chat).status_code == 201
        say(place, "bob", "Read *this*", attachments=[kept["attachment_id"]])
        page = await place.signed_in("alice", "team")
        await page.wait(line("Read this"))
        await page.focus(line("Read this"))
        await page.press("f")
        await page.wait("document.querySelector('dialog .people input')")
        await page.write("To people or groups", "carol")
        await page.wait("document.querySelector('dialog .people input[value=carol]')")
        await page.evaluate(
            "{ const box = document.querySelector('dialog .people input[value=carol]'); box.focus(); box.click(); }"
        )
        assert (
            await page.evaluate("document.activeElement.type") == "checkbox"
        )  # where it was, in the list drawn anew
        await page.evaluate("document.querySelector('dialog .primary').click()")
        await page.wait("document.body.textContent.includes('Forwarded to')")
        carol = await place.signed_in("carol", "alice")
        await carol.wait("document.querySelector('.message .forwarded')?.textContent === 'Forwarded, from bob'")
        await carol.wait("document.querySelector('.message').textContent.includes('minutes.txt')")
        sent = place.history("carol", "alice")[-1]["payload"]
        assert sent["content"] == "Read *this*"
        assert sent["extra"] == {"forwarded": {"user_id": "bob"}}
        with place.server.rest(place.tokens["carol"]) as rest:
            assert rest.get(f"/api/attachments/{kept['attachment_id']}").content == b"minutes"
