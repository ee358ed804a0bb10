"""A real browser, driven by its own protocol (Chrome DevTools Protocol): contexts, pages, and waits that end."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
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

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SHELL = shutil.which("chromium-headless-shell") or CHROMIUM
"""The same without windows of its own, where it is installed: a tab takes it two thirds of the time."""

MOST_BYTES = 1 << 26

NEEDLESS = ("SpareRendererForSitePerProcess", "WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup")
"""What Chromium does beside a page: a renderer kept for the next one, and one for its own address bar, in each window."""

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", f"--disable-features={','.join(NEEDLESS)}", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--mute-audio", "--hide-scrollbars", "--lang=en-GB", "--remote-debugging-port=0",
]  # fmt: skip

KEYS = {
    "Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35,
    "Delete": 46, "ContextMenu": 93,
}  # fmt: skip

NO_SERVICE_WORKER = "delete Navigator.prototype.serviceWorker;"


class Browser:
    """One browser process.

    Args:
        service_worker: whether pages have service workers, as in any window but a private one. What relay's own caches costs
            as much as a page's start: only tests of what is there without a network have it.
    """

    def __init__(self, connection: WebSocketConnection, *, service_worker: bool) -> None:
        self.connection = connection
        self.helpers = HELPERS if service_worker else HELPERS + NO_SERVICE_WORKER
        self.contexts: list[str] = []
        self.pages: dict[str, Page] = {}
        self._numbers = itertools.count(1)
        self._answers: dict[int, tuple[trio.Event, dict[str, Any]]] = {}

    async def read(self) -> None:
        """Take in answers and events until the browser is gone."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = json.loads(await self.connection.get_message())
                if "id" in frame:
                    event, kept = self._answers.pop(frame["id"])
                    kept.update(frame)
                    event.set()
                elif frame.get("sessionId") in self.pages:
                    self.pages[frame["sessionId"]].note(frame["method"], frame["params"])

    async def send(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        event, answer = self._answers[number] = (trio.Event(), {})
        frame: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            frame["sessionId"] = session
        await self.connection.send_message(json.dumps(frame))
        with trio.move_on_after(PATIENCE):
            await event.wait()
            if "error" in answer:
                raise Failed(f"{method}: {answer['error']['message']}")
            result: dict[str, Any] = answer["result"]
            return result
        raise Failed(f"{method}: no answer in {PATIENCE} s")

    async def context(self) -> str:
        """Open a profile of its own, as another person's browser is one."""
        made = await self.send("Target.createBrowserContext")
        self.contexts.append(made["browserContextId"])
        return self.contexts[-1]

    async def page(self, url: str, context: str, before: str = "") -> Page:
        """Open a tab; in its first document `before` runs before any other script."""
        target = (await self.send("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            await self.send(f"{domain}.enable", session)
        await self.send("Page.addScriptToEvaluateOnNewDocument", session, source=self.helpers)
        once = await self.send("Page.addScriptToEvaluateOnNewDocument", session, source=before)
        await page.go(url)
        await self.send("Page.removeScriptToEvaluateOnNewDocument", session, **once)
        return page


class Page(Tab):
    """One tab.

    Attributes:
        sockets: its open WebSockets.
        paused: the requests that wait for `proceed`, after a `Fetch.enable`.
        workers: the registrations of service workers, after a `ServiceWorker.enable`.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        super().__init__()
        self.browser = browser
        self.session = session
        self.target = target
        self.sockets = 0
        self.paused: list[str] = []
        self.workers: list[str] = []

    def note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.webSocketCreated":
            self.sockets += 1
        elif method == "Network.webSocketClosed":
            self.sockets -= 1
        elif method == "ServiceWorker.workerRegistrationUpdated":
            self.workers += [one["registrationId"] for one in parameters["registrations"] if not one["isDeleted"]]
        elif method == "Fetch.requestPaused":
            self.paused.append(parameters["requestId"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.errors.append(
                " ".join(str(one.get("description", one.get("value"))) for one in parameters["args"])
            )
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            # A server that is away is what some tests are about; the page must not complain of anything else.
            if entry["level"] == "error" and entry["source"] != "network":
                self.errors.append(entry["text"])

    async def send(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        return await self.browser.send(method, self.session, **parameters)

    async def go(self, url: str) -> None:
        await self.send("Page.navigate", url=url)

    async def reload(self) -> None:
        await self.send("Page.reload")

    async def proceed(self) -> None:
        """Let go on what a `Fetch.enable` has paused, and pause nothing more."""
        for request in self.paused:
            await self.send("Fetch.continueRequest", requestId=request)
        await self.send("Fetch.disable")

    async def evaluate(self, expression: str) -> Any:
        """Return what an expression is, its promise awaited."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise Failed(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    async def insert(self, text: str) -> None:
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press a key where the focus is."""
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        code = KEYS.get(key, 0)
        base = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **base)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **base)

    async def choose_files(self, label: str, *files: Path) -> None:
        """Choose files in the file field of that name."""
        found = await self.send(
            "Runtime.evaluate", expression=f"document.querySelector('input[type=file][aria-label=\"{label}\"]')"
        )
        await self.send("DOM.setFileInputFiles", files=list(map(str, files)), objectId=found["result"]["objectId"])

    async def screenshot(self, path: Path) -> None:
        picture = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))

    async def crash(self) -> None:
        """End the tab as a lack of memory would: nothing of it runs any more."""
        self.browser.pages.pop(self.session)
        with contextlib.suppress(Failed), trio.move_on_after(2):
            await self.send("Page.crash")
        with contextlib.suppress(Failed), trio.move_on_after(2):  # its context could not be closed with it
            await self.browser.send("Target.closeTarget", targetId=self.target)

    async def close(self) -> None:
        self.browser.pages.pop(self.session)
        await self.browser.send("Target.closeTarget", targetId=self.target)


@contextmanager
def run_browser(folder: Path, program: str | None = CHROMIUM) -> Iterator[str]:
    """Run a browser whose profile is in `folder`, and give its address."""
    assert program is not None
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, "LANG": "C.UTF-8"},
        )  # fmt: skip
    try:
        yield _address(folder / "profile" / "DevToolsActivePort", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the browser listens; it says so in a file of its profile."""
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "the browser ended while starting"
        assert time.monotonic() < deadline, "the browser does not say where it listens"
        time.sleep(POLL_SECONDS)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


@asynccontextmanager
async def open_browser(address: str, *, service_worker: bool = False) -> AsyncIterator[Browser]:
    """Drive a running browser; what is opened in it goes at the end."""
    async with open_websocket_url(address, max_message_size=MOST_BYTES) as connection:
        browser = Browser(connection, service_worker=service_worker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(browser.read)
            yield browser
            for context in browser.contexts:
                await browser.send("Target.disposeBrowserContext", browserContextId=context)
            nursery.cancel_scope.cancel()
