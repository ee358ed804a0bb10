"""The list of messages, however long: where it opens, what stays in place, and the ways through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import REDRAWN
from tests.e2e.browser.people import Place, load_anew, open_conversation, open_place, send

pytestmark = [pytest.mark.e2e, pytest.mark.long]

LIST = "document.querySelector('.messages')"
AT_END = f"Math.abs({LIST}.scrollHeight - {LIST}.clientHeight - {LIST}.scrollTop) < 2"
IN_SIGHT = """[...document.querySelectorAll('.messages > ol > li')].filter((line) => {
    const { top, bottom } = line.getBoundingClientRect();
    const place = document.querySelector('.messages').getBoundingClientRect();
    return bottom > place.top + 1 && top < place.bottom - 1;
})"""
SAID_IN_SIGHT = f"{IN_SIGHT}.map((line) => line.querySelector('.content')?.textContent.split('.')[0] ?? '')"


def old_message(number: int, sender: str, target: str, **payload: Any) -> str:
    content = f"message {number}." + " and more words" * (number * 7 % 23)
    meta = {
        "id": f"old-{number}",
        "sender_id": sender,
        "target_id": target,
        "timestamp": 1_700_000_000 + number * 600,
    }
    return json.dumps({"type": "chat_message", "payload": {"content": content, **payload}, "meta": meta})


def import_messages(place: Place, folder: Path, *messages: str) -> None:
    file = folder / "old.ndjson"
    file.write_text("\n".join(messages))
    place.server.relay("import", str(file))


async def in_sight(page: Page, number: int) -> None:
    await page.wait(f"{SAID_IN_SIGHT}.includes('message {number}')")


async def top_of(page: Page, number: int) -> float:
    """Return how far below the upper edge of the list a message begins."""
    found = (
        f"{IN_SIGHT}.find((line) => line.querySelector('.content')?.textContent.startsWith('message {number}.'))"
    )
    top = await page.evaluate(f"{found}.getBoundingClientRect().top - {LIST}.getBoundingClientRect().top")
    return float(top)


async def test_it_opens_at_the_first_unread_message_and_reads_what_was_seen(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        talk = [old_message(n, ("alice", "bob")[n % 2], ("bob", "alice")[n % 2]) for n in range(600)]
        import_messages(place, tmp_path, *talk, *(old_message(n, "bob", "alice") for n in range(600, 1000)))
        alice = await place.signed_in("alice")
        await alice.evaluate("document.hasFocus = () => false")
        await open_conversation(alice, "bob")
        await in_sight(alice, 599)
        await alice.wait("document.querySelector('.new')")
        place_of_new = await alice.evaluate(
            f"(document.querySelector('.new').getBoundingClientRect().top - {LIST}.getBoundingClientRect().top)"
            f" / {LIST}.clientHeight"
        )
        assert 0.05 < place_of_new < 0.4
        said = await alice.evaluate(SAID_IN_SIGHT)
        assert {"message 598", "message 599"} <= set(said), "some of what was read stands above"
        assert await alice.evaluate("document.querySelectorAll('.messages li').length") < 300
        # Nobody looks: nothing is read.
        await alice.wait("document.title === '(401) relay'")
        await alice.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
        await alice.wait("Number(document.title.match(/\\d+/)[0]) < 401")
        left = int(await alice.evaluate("document.title.match(/\\d+/)[0]"))
        assert left > 370, "only what was in sight is read"
        assert await alice.evaluate("document.querySelector('.jump:not([hidden]) .count').textContent") == str(
            left
        )
        place.say("bob", "alice", "message 1000.")
        await alice.wait(f"document.querySelector('.jump:not([hidden]) .count').textContent === '{left + 1}'")
        await in_sight(alice, 599)  # what one reads stays
        await alice.evaluate(
            "named(document.querySelector('.jump:not([hidden])').getAttribute('aria-label')).click()"
        )
        await in_sight(alice, 1000)
        await alice.wait(f"{AT_END} && document.title === 'relay'")
        assert await alice.evaluate("[...document.querySelectorAll('.jump')].every((one) => one.hidden)")
        await send(alice, "An answer.")
        await alice.wait(f"!document.querySelector('.new') && {AT_END}")
        # Where one was, one comes back to.
        await alice.evaluate(f"{LIST}.scrollTop -= 3000")
        await alice.wait("document.querySelector('.jump:not([hidden])')")
        await alice.wait(f"{SAID_IN_SIGHT}.length > 0 && !{SAID_IN_SIGHT}.includes('An answer')")
        before = await alice.evaluate(f"JSON.stringify({SAID_IN_SIGHT})")
        await open_conversation(alice, "carol")
        await open_conversation(alice, "bob")
        await alice.wait(f"JSON.stringify({SAID_IN_SIGHT}) === {json.dumps(before)}")


async def test_what_one_looks_at_stays_while_older_messages_and_pictures_come(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        import_messages(
            place,
            tmp_path,
            *(old_message(n, ("alice", "bob")[n % 2], ("bob", "alice")[n % 2]) for n in range(1200)),
        )
        alice = await place.signed_in("alice")
        picture = tmp_path / "picture.png"
        await alice.screenshot(picture)
        with place.server.rest(place.tokens["alice"]) as rest:
            for number in range(4):
                up = rest.post(
                    "/api/attachments",
                    content=picture.read_bytes(),
                    headers={"Content-Type": "image/png", "Content-Disposition": 'attachment; filename="a.png"'},
                )
                payload = {"content": f"picture {number}.", "attachments": [up.json()["attachment_id"]]}
                body = {"type": "chat_message", "payload": payload, "meta": {"target_id": "bob"}}
                assert rest.post("/api/messages", json=body).status_code == 201
        await open_conversation(alice, "bob")
        pictures = "[...document.querySelectorAll('.messages img')].filter((one) => one.naturalWidth > 0).length"
        await alice.wait(f"{pictures} >= 2 && {AT_END}")
        for _ in range(3):
            await load_anew(alice)
            await alice.wait(f"{pictures} >= 2 && {AT_END} && {SAID_IN_SIGHT}.includes('picture 3')")
        # Up to the beginning, page by page: at each step what was in sight goes down by as much as was scrolled.
        for _ in range(2000):
            moved = await alice.evaluate(f"""(async () => {{
                const list = {LIST};
                const wanted = 300;
                const edge = list.getBoundingClientRect().top;
                const line = {IN_SIGHT}.find((one) => one.querySelector('.content') && one.getBoundingClientRect().top >= edge);
                const frame = () => new Promise(requestAnimationFrame);
                if (list.scrollTop < wanted) {{
                    await frame();
                    return document.querySelector(".gap") ? 0 : null; // the next page is on its way
                }}
                const before = line.getBoundingClientRect().top;
                list.scrollTop -= wanted;
                await frame(); await frame(); await frame();
                const now = document.querySelector(`[data-key="${{CSS.escape(line.dataset.key)}}"]`);
                return now.getBoundingClientRect().top - before - wanted;
            }})()""")
            if moved is None:
                break
            assert abs(moved) < 2
        await alice.evaluate(f"{LIST}.scrollTop = 0")
        await in_sight(alice, 0)
        assert await alice.evaluate("document.querySelectorAll('.messages li').length") < 300
        assert await alice.evaluate("document.querySelector('.gap')") is None
        # A line above that grows moves nothing.
        await alice.evaluate(f"{LIST}.scrollTop += 2000")
        await alice.wait(f"{SAID_IN_SIGHT}.filter(Boolean).length > 2 && !{SAID_IN_SIGHT}.includes('message 0')")
        number = int(str(await alice.evaluate(f"{SAID_IN_SIGHT}.filter(Boolean)[1]")).removeprefix("message "))
        before = await top_of(alice, number)
        await alice.evaluate(
            f"{IN_SIGHT}[0].previousElementSibling.append(document.createElement('progress'), 'more')"
        )
        await alice.evaluate(REDRAWN)
        assert abs(await top_of(alice, number) - before) < 2


async def test_links_quotes_days_and_keys_lead_through_it(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        import_messages(
            place,
            tmp_path,
            *(old_message(n, ("alice", "bob")[n % 2], ("bob", "alice")[n % 2]) for n in range(2000)),
        )
        (first,) = (one for one in place.history("alice", "bob")[:1])
        with place.server.rest(place.tokens["bob"]) as rest:
            payload = {"content": "As you said.", "reply_to": first["meta"]["message_id"] + 300}
            body = {"type": "chat_message", "payload": payload, "meta": {"target_id": "alice"}}
            assert rest.post("/api/messages", json=body).status_code == 201
        alice = await place.signed_in("alice", "bob")
        # A message that is answered is fetched; pressing it goes there, and going back comes back.
        await alice.wait("document.querySelector('blockquote')?.textContent.includes('message 300.')")
        await alice.evaluate("document.querySelector('blockquote button').click()")
        await in_sight(alice, 300)
        await alice.wait(
            "document.activeElement.querySelector('.content')?.textContent.startsWith('message 300.')"
        )
        assert await alice.evaluate("location.hash") == "#/bob/301"
        await alice.evaluate("history.back()")
        await alice.wait(f"{SAID_IN_SIGHT}.includes('As you said') && location.hash === '#/bob'")
        # Gaps fill by scrolling alone, downwards too.
        await alice.evaluate("location.hash = '#/bob/1001'")
        await in_sight(alice, 1000)
        for number in (1060, 1120, 1180):
            for _ in range(100):
                if await alice.evaluate(f"{SAID_IN_SIGHT}.includes('message {number}')"):
                    break
                await alice.evaluate(f"{LIST}.scrollTop += 300")
                await alice.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            await in_sight(alice, number)
        # One tab stop; keys walk from line to line, also to those that are not drawn.
        await alice.evaluate(f"{IN_SIGHT}.findLast((line) => line.matches('.message')).focus()")  # which scrolls
        assert await alice.evaluate("document.querySelectorAll('.messages li[tabindex=\"0\"]').length") == 1
        focused = "document.activeElement.querySelector('.content').textContent.split('.')[0]"
        number = int(str(await alice.evaluate(focused)).removeprefix("message "))
        await alice.press("ArrowUp")
        assert await alice.evaluate(focused) == f"message {number - 1}"
        for _ in range(60):
            await alice.press("ArrowDown")
        assert await alice.evaluate(focused) == f"message {number + 59}"
        await alice.evaluate(f"{LIST}.scrollTop -= 6000")
        await alice.wait(f"document.activeElement === {LIST}")
        await alice.press("ArrowDown")
        await alice.wait(f"{focused} === 'message {number + 60}'")
        await alice.press("End")
        await alice.wait(f"{AT_END} && document.activeElement.textContent.includes('As you said.')")
        # A day.
        await alice.click("Conversation menu")
        await alice.click("Go to a day")
        await alice.wait("field('Day')")
        await alice.evaluate("field('Day').value = '2023-11-20'")
        await alice.click("Go")
        await alice.wait("document.querySelector('dialog') === null")
        await alice.wait(
            f"{IN_SIGHT}.some((line) => line.matches('.day') && line.textContent.includes('November 20'))"
        )
        # What cannot be seen is said.
        await alice.evaluate("location.hash = '#/bob/99999'")
        await alice.wait("document.querySelector('.notice')?.textContent.includes('cannot be shown')")
        # A link opens where it leads.
        other = await place.tab("alice", "/#/bob/701")
        await in_sight(other, 700)
