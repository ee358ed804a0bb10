"""Files in a real browser: room that is kept, the lightbox, sound, films, a PDF, and the gallery."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e.browser import media
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, load_anew, open_place
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

COLOURS = [(200, 80, 60), (60, 140, 200), (90, 180, 90), (220, 180, 60)]
LOADED = "[...document.querySelectorAll('.tile img')].filter((one) => one.naturalWidth > 0).length"
FROM_THE_END = "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.messages'))"
SHOWN = "document.querySelector('.lightbox h2')?.textContent"
# What moves among the messages, as by a picture that grows. That the list as a whole is put in its place is not counted.
WATCH = """
    globalThis.moved = [];
    const place = ({ node }) => node?.parentElement?.closest(".messages ol") && `${node.nodeName}.${node.className}: ${node.textContent}`;
    new PerformanceObserver((list) => {
        for (const { value, sources, hadRecentInput } of list.getEntries()) {
            const among = hadRecentInput ? [] : sources.map(place).filter(Boolean);
            if (among.length > 0) moved.push([value, ...among]);
        }
    }).observe({ type: "layout-shift", buffered: true });
    globalThis.heights = new Map();
    const noteHeights = () => {
        for (const tile of document.querySelectorAll(".messages .tile")) {
            const known = heights.get(tile.getAttribute("aria-label")) ?? new Set();
            heights.set(tile.getAttribute("aria-label"), known.add(tile.offsetHeight));
        }
        requestAnimationFrame(noteHeights);
    };
    requestAnimationFrame(noteHeights);
"""


def say(rest: httpx.Client, target: str, text: str, *files: tuple[str, bytes]) -> None:
    """Send a message with files."""
    ids = []
    for name, data in files:
        kept = rest.post("/api/attachments", params={"name": name}, content=data)
        ids.append(kept.json()["attachment_id"])
    payload = {"content": text, "attachments": ids}
    body = {"type": "chat_message", "payload": payload, "meta": {"target_id": target}}
    assert rest.post("/api/messages", json=body).status_code == 201


async def key(page: Page, name: str, code: int) -> None:
    base = {"key": name, "code": name, "windowsVirtualKeyCode": code}
    await page.send("Input.dispatchKeyEvent", type="keyDown", **base)
    await page.send("Input.dispatchKeyEvent", type="keyUp", **base)


async def touch(page: Page, *points: tuple[float, float]) -> None:
    """Put a finger down, move it and lift it."""
    (x, y), *way = points
    await page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    for x, y in way:
        await page.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
    await page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


async def phone(page: Page, *, on: bool) -> None:
    width, height = (390, 844) if on else (1180, 800)
    await page.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=on
    )
    await page.send("Emulation.setTouchEmulationEnabled", enabled=on)


async def test_pictures_have_their_room_before_they_are_there_and_open_in_a_lightbox(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        with place.server.rest(place.tokens["bob"]) as rest:
            say(rest, "alice", "first", ("red.png", media.png(900, 300, COLOURS[0])))
            for number in range(170):  # more than is loaded when the conversation is opened
                say(rest, "alice", f"line {number}")
            for name, colour, size in zip(("a.png", "b.png", "c.png"), COLOURS, (200, 700, 1500), strict=False):
                say(rest, "alice", name, (name, media.png(600, size, colour)))
        with place.server.rest(place.tokens["alice"]) as rest:  # who answers has read what was before
            say(rest, "bob", "the end", ("d.png", media.png(400, 400, COLOURS[3])))
        alice = await place.signed_in("alice", "bob")
        await phone(alice, on=False)
        await alice.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        asked = "performance.getEntriesByType('resource').filter(({ initiatorType: by, name }) => by === 'fetch' && name.includes('/api/attachments/')).length"
        for _ in range(5):
            await load_anew(alice)
            await alice.wait(
                "document.querySelector('.messages li:last-child .content')?.textContent === 'the end'"
            )
            await alice.wait(f"{LOADED} >= 4")
            assert abs(await alice.evaluate(FROM_THE_END)) <= 1
            heights = await alice.evaluate("[...heights].map(([name, all]) => [name, all.size])")
            assert all(size == 1 for _name, size in heights), heights
            assert await alice.evaluate("moved") == []
            fetched = await alice.evaluate(asked)
            assert 4 <= fetched <= 5, "one fetch a picture, and none to ask what it is"

        await _look_through(alice)
        await _look_by_touch(alice)


async def _look_through(alice: Page) -> None:
    """By keyboard and mouse, to the first picture of the conversation, which no message brought here."""
    await alice.focus("document.querySelector('.tile[aria-label*=\"b.png\"]')")
    await alice.press("Enter")
    await alice.wait(f"{SHOWN} === 'b.png' && document.querySelector('.stage img')?.naturalHeight === 700")
    assert await alice.evaluate("document.querySelector('.lightbox').contains(document.activeElement)")
    assert "bob" in await alice.evaluate("document.querySelector('.lightbox .about').textContent")
    await key(alice, "ArrowRight", 39)
    await alice.wait(f"{SHOWN} === 'c.png'")
    await key(alice, "End", 35)
    await alice.wait(f"{SHOWN} === 'd.png' && named('Next').disabled")
    await key(alice, "Home", 36)
    await alice.wait("document.querySelector('.lightbox .about').textContent.includes('of 5')")
    await key(alice, "Home", 36)
    await alice.wait(f"{SHOWN} === 'red.png' && named('Previous').disabled")
    await alice.click("Next")
    await alice.wait(f"{SHOWN} === 'a.png' && document.querySelector('.stage img')?.naturalHeight === 200")
    await alice.click("Zoom")
    await alice.wait("document.querySelector('.stage img').style.transform.includes('scale(2.5)')")
    await alice.press("Escape")
    await alice.wait("!document.querySelector('.lightbox')")
    focused = await alice.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("Open a.png, picture, ")


async def _look_by_touch(alice: Page) -> None:
    await phone(alice, on=True)
    await alice.evaluate("document.querySelector('.tile[aria-label*=\"c.png\"]').click()")
    await alice.wait(f"{SHOWN} === 'c.png' && document.querySelector('.stage img')?.complete")
    await touch(alice, (300, 400), (200, 405), (100, 410))
    await alice.wait(f"{SHOWN} === 'd.png' && document.querySelector('.stage img')?.complete")
    await touch(alice, (100, 400), (200, 400), (300, 400))
    await alice.wait(f"{SHOWN} === 'c.png' && document.querySelector('.stage img')?.complete")
    twice = {"x": 195, "y": 420, "tapCount": 2, "gestureSourceType": "touch"}
    await alice.send("Input.synthesizeTapGesture", **twice)
    await alice.wait("document.querySelector('.stage.zoomed')")
    await alice.send("Input.synthesizeTapGesture", **twice)
    await alice.wait("!document.querySelector('.stage.zoomed')")
    sizes = "[...document.querySelectorAll('.lightbox button')].filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect()).every(({ width, height, right }) => width >= 44 && height >= 44 && right <= 390)"
    assert await alice.evaluate(sizes)
    await touch(alice, (195, 300), (195, 400), (200, 500))
    await alice.wait("!document.querySelector('.lightbox')")


async def test_sound_and_films_play_a_pdf_opens_and_the_gallery_has_them_all(
    whole_chromium: str, tmp_path: Path
) -> None:
    async with open_place(whole_chromium, tmp_path, "alice", "bob") as place:
        alice = await place.signed_in("alice", "bob")
        await phone(alice, on=False)
        film, voice = await media.record(alice, film=True), await media.record(alice, film=False)
        with place.server.rest(place.tokens["bob"]) as rest:
            say(rest, "alice", "all", ("tone.wav", media.wav(3)), ("voice-1.webm", voice), ("film.webm", film))
            say(
                rest,
                "alice",
                "papers",
                ("plan.pdf", media.pdf()),
                ("page.html", b"<html><script>top.ran = 1</script>"),
            )
            say(
                rest,
                "alice",
                "words",
                ("notes.txt", "Grüße <b>an alle</b>".encode()),
                ("broken.png", b"\x89PNG\r\n\x1a\n"),
            )
            say(rest, "alice", "picture", ("red.png", media.png(300, 200, COLOURS[0])))
        await _listen(alice)
        await alice.evaluate("document.querySelector('.tile.film').click()")
        await alice.wait("document.querySelector('.lightbox video')?.currentTime > 0")
        assert await alice.evaluate("document.querySelector('.lightbox video').videoWidth") == 64
        await alice.press("Escape")
        await alice.wait("!document.querySelector('.lightbox')")
        await _open_papers(alice, place)
        await alice.wait("document.querySelector('.tile.lost')?.textContent === 'This file is broken.'")
        await _find(alice)


async def _listen(alice: Page) -> None:
    """One sound plays at a time, and a recording that does not say how long it is has a length all the same."""
    told = "[...document.querySelectorAll('.sound .about')].map((one) => one.textContent)"
    await alice.wait(f"{told}[1] === '0:01'")
    await alice.click("Play tone.wav")
    await alice.wait(f"{told}[0] === '0:01 / 0:03'")
    await alice.evaluate("(({ style }) => 0)(document.querySelector('.sound input').value = 2)")
    await alice.evaluate("document.querySelector('.sound input').dispatchEvent(new Event('input'))")
    await alice.wait(f"{told}[0] === '0:02 / 0:03'")
    await alice.click("Play Voice message")
    await alice.wait(f"{told}[0] === '0:03' && {told}[1].endsWith(' / 0:01')")
    await alice.wait("named('Play tone.wav')")
    await alice.click("Speed: 1")
    await alice.wait("named('Speed: 1.5')")


async def _open_papers(alice: Page, place: Place) -> None:
    assert await alice.evaluate(
        "Boolean(named('Open plan.pdf')) && !named('Open page.html') && Boolean(named('Download page.html'))"
    )
    await alice.click("Open plan.pdf")
    with trio.fail_after(PATIENCE):
        while not (tabs := await _tabs(place, "blob:")):
            await trio.sleep(0.03)
    await place.browser.send("Target.closeTarget", targetId=tabs[0])
    await alice.send("Page.bringToFront")
    await alice.click("Open notes.txt")
    await alice.wait("document.querySelector('dialog pre')?.textContent === 'Grüße <b>an alle</b>'")
    await alice.press("Escape")


async def _tabs(place: Place, beginning: str) -> list[str]:
    targets = (await place.browser.send("Target.getTargets"))["targetInfos"]
    return [one["targetId"] for one in targets if one["url"].startswith(beginning)]


async def _find(alice: Page) -> None:
    names = "JSON.stringify([...document.querySelectorAll('.gallery bdi')].map((one) => one.textContent).filter((one) => one !== 'bob'))"
    await alice.click("Conversation menu")
    await alice.click("Files and pictures")
    await alice.wait(
        "document.querySelectorAll('.gallery .tile').length === 2 && document.querySelector('.gallery h3')"
    )
    await key(alice, "ArrowRight", 39)
    await alice.wait(f"{names} === JSON.stringify(['tone.wav', 'Voice message', 'film.webm'])")
    await key(alice, "ArrowRight", 39)
    await alice.wait(f"{names} === JSON.stringify(['notes.txt', 'plan.pdf', 'page.html'])")
    assert (
        await alice.evaluate(
            "document.activeElement.getAttribute('aria-selected') + document.activeElement.textContent"
        )
        == "trueFiles"
    )
    await alice.click("Go to the message with plan.pdf")
    await alice.wait(
        "!document.querySelector('dialog') && document.querySelector('.message.found .content')?.textContent === 'papers'"
    )
