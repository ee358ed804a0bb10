"""Steps on the page, in any language: press what a text names, write, press a key, choose files."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import gettempdir

from tests.e2e.browser import media
from tests.e2e.browser.cdp import Page

Step = Callable[[Page], Awaitable[object]]

# The words of the page that is open, so that one tour goes through all languages.
WORDS = """
globalThis.word = async (path) => path.split(".").reduce((at, key) => at[key], (await import(`${location.pathname}app/words.js`)).words);
globalThis.control = (label, roots = document) => [...document.querySelectorAll("button, a, input, textarea, summary, [role=tab]")].findLast((one) =>
    one.checkVisibility() && [one.getAttribute("aria-label"), one.querySelector(".label, .name")?.textContent, one.textContent.trim()].includes(label));
"""


def word(path: str) -> str:
    """Return an expression for a text of the page."""
    return f"await word({json.dumps(path)})"


def press(path: str) -> Step:
    """Press the control that a text of the page names."""

    async def step(page: Page) -> None:
        found = f"control({word(path)})"
        await page.wait(f"{found} && !{found}.disabled")
        await page.evaluate(f"(async () => {found}.click())()")

    return step


def click(selector: str) -> Step:
    """Press what a selector finds, the last one of it."""

    async def step(page: Page) -> None:
        found = f"[...document.querySelectorAll({json.dumps(selector)})].at(-1)"
        await page.wait(f"{found} && !{found}.disabled")
        await page.evaluate(f"{found}.click()")

    return step


def write(selector: str, text: str) -> Step:
    """Write into a field."""

    async def step(page: Page) -> None:
        await page.wait(f"document.querySelector({json.dumps(selector)})")
        await page.focus(f"document.querySelector({json.dumps(selector)})")
        await page.insert(text)

    return step


def key(name: str, **more: object) -> Step:
    """Press a key, maybe with others held down."""

    async def step(page: Page) -> None:
        code = {"k": 75, ",": 188, "?": 191, "ContextMenu": 93, "Enter": 13}[name]
        base = {"key": name, "windowsVirtualKeyCode": code, **more}
        text = {"text": "\r"} if name == "Enter" else {}
        await page.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **text, **base)
        await page.send("Input.dispatchKeyEvent", type="keyUp", **base)

    return step


def run(script: str) -> Step:
    """Do something that no control does."""

    async def step(page: Page) -> None:
        await page.evaluate(script)

    return step


def until(expression: str) -> Step:
    """Wait until an expression is true."""

    async def step(page: Page) -> None:
        await page.wait(expression)

    return step


def at_message(text: str) -> Step:
    """Give the line of a message the focus, as a keyboard does."""

    async def step(page: Page) -> None:
        line = f"[...document.querySelectorAll('.message')].findLast((one) => one.querySelector('.content')?.textContent.includes({json.dumps(text)}))"
        await page.wait(line)
        await page.evaluate(f"{line}.scrollIntoView({{ block: 'center' }})")
        await page.focus(line)

    return step


def choose_picture() -> Step:
    """Choose a picture of oneself."""

    async def step(page: Page) -> None:
        path = Path(gettempdir()) / "me.png"
        path.write_bytes(media.landscape(300, 200, (120, 178, 205), (54, 96, 80)))
        await page.wait("document.querySelector('.portrait input')")
        await page.choose_files(
            await page.evaluate("document.querySelector('.portrait input').getAttribute('aria-label')"), path
        )

    return step


def choose_files() -> Step:
    """Choose two files to be sent."""

    async def step(page: Page) -> None:
        folder = Path(gettempdir())
        paths = [folder / "Figures first quarter, second version.csv", folder / "list.txt"]
        for path in paths:
            path.write_text("1, 2, 3\n")
        await page.choose_files(await page.evaluate(f"(async () => {word('composer.chooseFiles')})()"), *paths)

    return step
