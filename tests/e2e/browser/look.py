"""How a page looks: its size, light or dark, its language; pictures of it, and what axe finds wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.browser.cdp import Page

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
DRAWN = "document.querySelector('.card:not(.early .card), .me strong, .admin-nav a')"
REDRAWN = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What lies over the page is looked at alone: the page below it is another view. Two thousand emoji are each like the others.
WHAT = """(() => {
    const over = [...document.querySelectorAll("dialog[open], :popover-open:not(.notices)")].at(-1);
    return { ...(over && { include: [over] }), exclude: [[".emoji-picker .group:nth-of-type(n+2)"]] };
})()"""


@dataclass(frozen=True)
class Look:
    """A device and the choices of its user; `scale` is how many of its pixels one of the page has."""

    width: int = 1180
    height: int = 800
    dark: bool = False
    language: str = "en"
    scale: int = 1

    @property
    def is_phone(self) -> bool:
        return self.width < 700

    @property
    def name(self) -> str:
        return "-".join(["phone" if self.is_phone else "desktop", "dark" if self.dark else "light", self.language])


async def take_look(page: Page, look: Look) -> None:
    """Show a page as on that device. Another language loads it anew."""
    await page.wait(DRAWN)  # before, the document's language is not yet the user's
    await page.send(
        "Emulation.setDeviceMetricsOverride", width=look.width, height=look.height, deviceScaleFactor=look.scale,
        mobile=look.is_phone,
    )  # fmt: skip
    await page.send("Emulation.setTouchEmulationEnabled", enabled=look.is_phone, maxTouchPoints=1)
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    await page.send("Emulation.setEmulatedMedia", features=features)
    if await page.evaluate("document.documentElement.lang") != look.language:
        await page.evaluate(f"localStorage.setItem('relay.language', {json.dumps(look.language)})")
        await page.reload()
        await page.wait(f"document.documentElement.lang === {json.dumps(look.language)}")
        await page.wait(DRAWN)


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


async def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe finds wrong with what is in sight, by some of its rules or by all: a line a rule and element."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (make test installs it with npm)")
    if not await page.evaluate("Boolean(globalThis.axe)"):
        await page.evaluate(_axe() + "; true")
    chosen = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": RULES}
    options = {"resultTypes": ["violations"], "runOnly": chosen}
    found: list[str] = await page.evaluate(
        f"axe.run({WHAT}, {json.dumps(options)}).then(({{ violations }}) => violations.flatMap(({{ id, nodes }}) =>"
        " nodes.map(({ target, failureSummary }) => `${id} ${target.join(' ')}: ${failureSummary.split('\\n').slice(1).join(' ')}`)))"
    )
    return found
