"""One tab of a browser, whichever it is: what tests do in it, and waits that end."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import trio

from tests.e2e.wire import PATIENCE

POLL_SECONDS = 0.03

# A notice goes by itself after eight seconds; here it waits until a busy machine has looked at it.
HELPERS = """
{
    const timer = globalThis.setTimeout;
    globalThis.setTimeout = (call, milliseconds, ...more) => timer(call, milliseconds === 8000 ? 80000 : milliseconds, ...more);
}
globalThis.told = (value) => (value instanceof Node ? true : value);
globalThis.named = (label, root = document) => [...root.querySelectorAll("button, a, input, textarea, select")].find(
    (one) => (one.getAttribute("aria-label") ?? one.textContent.trim()) === label && one.checkVisibility());
globalThis.field = (label) => [...document.querySelectorAll("label")].find(
    (one) => (one.querySelector("span") ?? one).innerText.trim() === label && one.control?.checkVisibility())?.control ?? named(label);
"""


class Failed(Exception):
    """What a page was asked for raised there, or did not come."""


class Tab(ABC):
    """One tab.

    Attributes:
        errors: what its console had to complain of.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []

    @abstractmethod
    async def go(self, url: str) -> None:
        """Load an address."""

    @abstractmethod
    async def reload(self) -> None:
        """Load the page anew."""

    @abstractmethod
    async def evaluate(self, expression: str) -> Any:
        """Return what an expression is, its promise awaited."""

    @abstractmethod
    async def insert(self, text: str) -> None:
        """Write where the focus is."""

    @abstractmethod
    async def press(self, key: str) -> None:
        """Press a key where the focus is."""

    @abstractmethod
    async def choose_files(self, label: str, *files: Path) -> None:
        """Choose files in the file field of that name."""

    @abstractmethod
    async def screenshot(self, path: Path) -> None:
        """Take a picture of what is in sight."""

    @abstractmethod
    async def close(self) -> None:
        """Close the tab."""

    async def wait(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Wait until an expression is true, and return it."""
        last: Any = None
        with trio.move_on_after(seconds):
            while True:
                try:
                    last = await self.evaluate(f"(async () => told({expression}))()")
                except Failed as failure:  # the document may be just changing
                    last = failure
                if last and not isinstance(last, Failed):
                    return last
                await trio.sleep(POLL_SECONDS)
        shown = await self.evaluate("document.body.innerText")
        raise Failed(f"after {seconds} s still {last!r}: {expression}\nerrors: {self.errors}\nthe page:\n{shown}")

    async def click(self, label: str) -> None:
        """Click the button or link of that name, once it is there."""
        found = f"named({json.dumps(label)})"
        await self.wait(f"{found} && !{found}.disabled")
        await self.evaluate(f"{found}.click()")

    async def focus(self, found: str) -> None:
        """Give what an expression finds the focus, once it can have it: no line of a conversation can that is just opening."""
        await self.wait(f"({found})?.focus() || document.activeElement === ({found})")

    async def write(self, label: str, text: str) -> None:
        """Write into the field of that name, as a keyboard does."""
        await self.focus(f"field({json.dumps(label)})")
        await self.insert(text)
