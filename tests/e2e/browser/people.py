"""People at relay's page, in a real browser, before the real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.browser.bidi import open_firefox
from tests.e2e.browser.cdp import Browser, Page, open_browser
from tests.e2e.browser.network import Network, open_network
from tests.e2e.browser.tab import Tab
from tests.e2e.server import Server, Tables
from tests.e2e.world import Envelope, history

PASSWORD = "correct horse"
SEARCH = "Search people, groups and messages"
SETTINGS: Tables = {"heartbeat": {"interval_seconds": 10}, "presence": {"grace_seconds": 0.5}}
"""A browser that a busy machine keeps waiting is silent for seconds, and is to stay connected all the same."""
ARRIVED = ["sent", "delivered", "read"]
SAID = "[...document.querySelectorAll('.message .content')].map((one) => one.textContent)"


class Place:
    """A server, the network before it, a browser, and who is at it."""

    def __init__(self, server: Server, network: Network, browser: Browser) -> None:
        self.server = server
        self.network = network
        self.browser = browser
        self.url = network.url
        self.tokens: dict[str, str] = {}
        self.contexts: dict[str, str] = {}

    async def tab(self, name: str, path: str = "/", **options: Any) -> Page:
        """Open another tab in somebody's browser; see `Browser.page`."""
        if name not in self.contexts:
            self.contexts[name] = await self.browser.context()
        return await self.browser.page(self.url + path, self.contexts[name], **options)

    async def signed_in(self, name: str, conversation: str = "", title: str = "") -> Page:
        """Open the first tab of somebody who signed in before, at a conversation (see `open_conversation`)."""
        page = await self.tab(name, before=signed_in_as(name, self.tokens[name]))
        await page.wait("document.querySelector('.me strong')")
        if conversation:
            await open_conversation(page, conversation, title)
        return page

    def say(self, name: str, target: str, content: str) -> None:
        """Have somebody say something by REST."""
        body = {"type": "chat_message", "payload": {"content": content}, "meta": {"target_id": target}}
        with self.server.rest(self.tokens[name]) as rest:
            assert rest.post("/api/messages", json=body).status_code == 201

    def history(self, name: str, peer: str) -> list[Envelope]:
        """Return a conversation as the server has it."""
        with self.server.rest(self.tokens[name]) as rest:
            return history(rest, f"/api/messages/user/{peer}")

    def said(self, name: str, peer: str) -> list[str]:
        """Return what was said in a conversation, as the server has it."""
        return [one["payload"]["content"] for one in self.history(name, peer) if one["type"] == "chat_message"]

    def connected(self, name: str) -> int:
        """Return how many devices of somebody's are connected, as the server sees it."""
        with self.server.rest(self.tokens[name]) as rest:
            devices: list[dict[str, Any]] = rest.get("/api/devices").json()["devices"]
            return sum(one["connected"] for one in devices)


def signed_in_as(name: str, token: str) -> str:
    """Return a script that makes the page's next start that of somebody who signed in before."""
    session = json.dumps({"token": token, "userId": name})
    return f"localStorage.setItem('relay.session', {json.dumps(session)})"


def elsewhere(server: Server) -> str:
    """Return an origin that is not the server's own, where pages of the server are all the same."""
    return f"http://localhost:{server.port}"


@asynccontextmanager
async def open_place(
    address: str, folder: Path, *names: str, settings: Tables = SETTINGS, service_worker: bool = False
) -> AsyncIterator[Place]:
    """Run a server with these users, and a network before it, for the browser at `address`.

    In Firefox a tab has what `Tab` says, and not more.
    """
    server = Server(folder, settings)
    toml = server.config.read_text()
    server.config.write_text(toml.replace("[server]\n", f'[server]\nallowed_origins = ["{elsewhere(server)}"]\n'))
    server.start()
    try:
        is_firefox = address.endswith("/session")
        opening: Any = (
            open_firefox(address) if is_firefox else open_browser(address, service_worker=service_worker)
        )
        async with open_network(server.port) as network, opening as browser:
            place = Place(server, network, browser)
            if names:
                place.tokens = server.import_users(names)
            yield place
            assert [page.errors for page in browser.pages.values() if page.errors] == []
    finally:
        if server.alive:
            server.kill()
        print(server.diagnosis())  # shown by pytest with a failure, and only then


async def account(page: Tab, entry: str) -> None:
    """Choose from the menu of somebody's own account."""
    await page.wait("document.querySelector('.account')")
    await page.evaluate("document.querySelector('.account').click()")
    found = f"[...document.querySelectorAll('.float button, .sheet button')].find((one) => one.textContent.startsWith({json.dumps(entry)}))"
    await page.wait(found)
    await page.evaluate(f"{found}.click()")


async def open_conversation(page: Tab, peer: str, name: str = "") -> None:
    """Open a conversation, which is headed by the other's name: their id, where they have no other one."""
    await page.evaluate(f"location.hash = '#/{peer}'")
    await page.wait(f"document.querySelector('.conversation h2')?.textContent === {json.dumps(name or peer)}")
    await page.wait("!document.querySelector('.history.opening')")


async def come_back(page: Tab) -> None:
    """Connect again at once, unless the page has come back by itself."""
    await page.evaluate("named('Try now')?.click()")
    await page.wait("document.querySelector('.me strong') && !named('Try now')")


async def load_anew(page: Tab) -> None:
    """Reload a page, and wait until the document of before is gone."""
    await page.evaluate("globalThis.before = true")
    await page.reload()
    await page.wait("!globalThis.before && document.readyState === 'complete'")


async def send(page: Tab, content: str) -> None:
    """Write a message and press Enter."""
    await page.write("Message", content)
    await page.press("Enter")
    await page.wait(f"{SAID}.includes({json.dumps(content)})")


async def shows(page: Tab, contents: list[str]) -> None:
    """Wait until exactly this is said on a page, in this order."""
    await page.wait(f"JSON.stringify({SAID}) === {json.dumps(json.dumps(contents, separators=(',', ':')))}")


async def stored(page: Tab, text: str) -> None:
    """Wait until a message is in the browser's storage: what is shown before that would not outlive the tab."""
    entries = """await new Promise((resolve) => {
        const opening = indexedDB.open("relay-sdk");
        opening.onsuccess = () => {
            const reading = opening.result.transaction("entries").objectStore("entries").getAll();
            reading.onsuccess = () => { opening.result.close(); resolve(JSON.stringify(reading.result)); };
        };
    })"""
    await page.wait(f"({entries}).includes({json.dumps(text)})")


async def state(page: Tab, content: str, wanted: str) -> None:
    """Wait until a message of one's own has come so far, or farther: one that was sent may be read by then."""
    enough = ARRIVED[ARRIVED.index(wanted) :] if wanted in ARRIVED else [wanted]
    await page.wait(
        f"{json.dumps(enough)}.includes([...document.querySelectorAll('.message')].find((one) =>"
        f" one.querySelector('.content')?.textContent === {json.dumps(content)})?.dataset.state)"
    )


async def on_message(page: Page, content: str, action: str) -> None:
    """Choose what to do with a message, by the toolbar that its line has with the focus, or by its menu."""
    line = f"[...document.querySelectorAll('.message')].find((one) => one.querySelector('.content')?.textContent === {json.dumps(content)})"
    await page.focus(line)
    await page.press("Enter")
    await page.wait("document.activeElement.closest('.toolbar')")
    found = f"named({json.dumps(action)}, document.querySelector('.toolbar'))"
    if not await page.evaluate(f"Boolean({found})"):
        await page.evaluate("named('More', document.querySelector('.toolbar')).click()")
        found = f"[...document.querySelectorAll('.menu button')].find((one) => one.querySelector('.label').textContent === {json.dumps(action)})"
    await page.wait(found)
    await page.evaluate(f"{found}.click()")
