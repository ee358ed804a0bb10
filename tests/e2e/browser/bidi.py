"""Firefox, driven by WebDriver BiDi, which it speaks itself: the same tabs as those of `cdp.py`."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from tests.e2e.browser.tab import HELPERS, POLL_SECONDS, Failed, Tab
from tests.e2e.wire import PATIENCE

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
MOST_BYTES = 1 << 26
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "ArrowUp": "\ue013", "ArrowDown": "\ue015"}
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False, "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False, "extensions.update.enabled": False, "browser.startup.page": 0,
    "intl.accept_languages": "en-GB,en", "media.volume_scale": "0.0", "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "toolkit.telemetry.enabled": False,
}  # fmt: skip
NETWORK = re.compile(r"can.t establish a connection|was interrupted while|NetworkError|NS_ERROR")
"""What Firefox says in the console of a server that is away, which is what some tests are about."""


class FirefoxBrowser:
    """One browser process."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self.contexts: list[str] = []
        self.pages: dict[str, FirefoxTab] = {}
        self._numbers = itertools.count(1)
        self._answers: dict[int, tuple[trio.Event, dict[str, Any]]] = {}

    async def read(self) -> None:
        """Take in answers and events until the browser is gone."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = json.loads(await self.connection.get_message())
                if frame.get("id") in self._answers:
                    event, kept = self._answers.pop(frame["id"])
                    kept.update(frame)
                    event.set()
                elif frame.get("method") == "log.entryAdded":
                    page = self.pages.get(frame["params"]["source"].get("context"))
                    if page is not None:
                        page.note(frame["params"])

    async def send(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        event, answer = self._answers[number] = (trio.Event(), {})
        await self.connection.send_message(json.dumps({"id": number, "method": method, "params": parameters}))
        with trio.move_on_after(PATIENCE):
            await event.wait()
            if answer["type"] == "error":
                raise Failed(f"{method}: {answer['error']}: {answer['message']}")
            result: dict[str, Any] = answer["result"]
            return result
        raise Failed(f"{method}: no answer in {PATIENCE} s")

    async def context(self) -> str:
        """Open a profile of its own, as another person's browser is one."""
        self.contexts.append((await self.send("browser.createUserContext"))["userContext"])
        return self.contexts[-1]

    async def page(self, url: str, context: str) -> FirefoxTab:
        """Open a tab."""
        opened = (await self.send("browsingContext.create", type="tab", userContext=context))["context"]
        page = self.pages[opened] = FirefoxTab(self, opened)
        script = f"() => {{ {HELPERS} }}"
        await self.send("script.addPreloadScript", functionDeclaration=script, contexts=[opened])
        await page.go(url)
        return page


class FirefoxTab(Tab):
    """One tab."""

    def __init__(self, browser: FirefoxBrowser, context: str) -> None:
        super().__init__()
        self.browser = browser
        self.context = context

    def note(self, entry: dict[str, Any]) -> None:
        text = entry.get("text") or ""
        if entry["level"] == "error" and not NETWORK.search(text):
            self.errors.append(text)

    async def go(self, url: str) -> None:
        await self.browser.send("browsingContext.navigate", context=self.context, url=url, wait="interactive")

    async def reload(self) -> None:
        await self.browser.send("browsingContext.reload", context=self.context, wait="none")

    async def evaluate(self, expression: str) -> Any:
        result = await self._run(f"(async () => JSON.stringify(await ({expression})))()")
        return json.loads(result["value"]) if result["type"] == "string" else None

    async def _run(self, expression: str) -> dict[str, Any]:
        result = await self.browser.send(
            "script.evaluate", expression=expression, target={"context": self.context}, awaitPromise=True,
            userActivation=True,
        )  # fmt: skip
        if result["type"] == "exception":
            raise Failed(result["exceptionDetails"]["text"])
        found: dict[str, Any] = result["result"]
        return found

    async def insert(self, text: str) -> None:
        await self._type(*text)

    async def press(self, key: str) -> None:
        await self._type(KEYS[key])

    async def _type(self, *keys: str) -> None:
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": steps}]
        await self.browser.send("input.performActions", context=self.context, actions=actions)

    async def choose_files(self, label: str, *files: Path) -> None:
        found = await self._run(f"document.querySelector('input[type=file][aria-label=\"{label}\"]')")
        element = {"sharedId": found["sharedId"]}
        await self.browser.send(
            "input.setFiles", context=self.context, element=element, files=list(map(str, files))
        )

    async def screenshot(self, path: Path) -> None:
        picture = await self.browser.send("browsingContext.captureScreenshot", context=self.context)
        path.write_bytes(base64.b64decode(picture["data"]))

    async def close(self) -> None:
        self.browser.pages.pop(self.context)
        await self.browser.send("browsingContext.close", context=self.context)


@contextmanager
def run_firefox(folder: Path) -> Iterator[str]:
    """Run Firefox with a profile in `folder`, and give its address."""
    assert FIREFOX is not None
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    told = folder / "firefox.log"
    with told.open("wb") as log:
        process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, "HOME": str(folder), "LANG": "C.UTF-8"},
        )  # fmt: skip
    try:
        yield _address(told, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(told: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the browser listens; it says so on standard error."""
    deadline = time.monotonic() + PATIENCE
    while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", told.read_text())):
        assert process.poll() is None, f"the browser ended while starting: {told.read_text()}"
        assert time.monotonic() < deadline, "the browser does not say where it listens"
        time.sleep(POLL_SECONDS)
    return found[1] + "/session"


@asynccontextmanager
async def open_firefox(address: str) -> AsyncIterator[FirefoxBrowser]:
    """Drive a running Firefox; what is opened in it goes at the end."""
    async with open_websocket_url(address, max_message_size=MOST_BYTES) as connection:
        browser = FirefoxBrowser(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(browser.read)
            await browser.send("session.new", capabilities={})
            await browser.send("session.subscribe", events=["log.entryAdded"])
            yield browser
            for context in browser.contexts:
                await browser.send("browser.removeUserContext", userContext=context)
            await browser.send("session.end")
            nursery.cancel_scope.cancel()
