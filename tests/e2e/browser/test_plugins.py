"""Page modules of plugins in a real browser: one that works, from nothing, and those that do everything wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.docs.test_docs import read
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, load_anew, open_conversation, open_place
from tests.e2e.server import ROOT
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.long]

MAX_LINES = 60
CARDS = "[...document.querySelectorAll('.fields .lead')].map((one) => one.textContent)"
WATCH = "document.addEventListener('securitypolicyviolation', (event) => (globalThis.violated = event.violatedDirective))"

PLUGIN = """
from relay.plugin import Kind, MessageType, PageExtension, Payload, hookimpl

class Said(Payload):
    text: str

@hookimpl
def relay_message_types():
    return [MessageType(name={name!r}, payload=Said, kind=Kind.STREAM, unread=True)]

@hookimpl
def relay_page():
    return PageExtension(module={module!r})
"""

WRONG = {
    "raises": 'export const types = { raises: { draw() { throw new Error("drawn wrong"); }, text: () => 5 } };\n',
    "markup": 'export const types = { markup: { draw: () => "<b>bold</b><script>globalThis.ran = true</script>" } };\n',
    "inserts": (
        'export const types = { inserts: { draw() {\n  const box = document.createElement("div");\n'
        '  box.innerHTML = "<img src=x onerror=globalThis.ran=true>";\n  return box;\n} } };\n'
    ),
    "waits": "export const types = { waits: { draw: () => new Promise(() => {}) } };\n",
    "steals": "export const types = { steals: { draw: () => document.body } };\n",
    "broken": "export const types = {;\n",
    "never": "await new Promise(() => {});\nexport const types = {};\n",
    "empty": "export const other = 1;\n",
    "shapes": "export const types = { shapes: { draw: 1, actions: {} }, other: null };\nexport const composer = 5;\n",
    "later": (
        "export const types = { later: { draw() {\n  setTimeout(() => { throw new Error('much later'); });\n"
        '  return document.createElement("p");\n} } };\n'
    ),
}
"""Modules by the name of their plugin, which is that of its message type, too."""

LOOPS = "export const types = { loops: { async draw() { for (;;) await null; } } };\n"


def write_plugins(folder: Path, modules: dict[str, str]) -> None:
    (folder / "plugins.d").mkdir()
    for name, module in modules.items():
        (folder / "plugins.d" / f"{name}.py").write_text(PLUGIN.format(name=name, module=module))


def post(place: Place, sender: str, target: str, type_: str, text: str) -> None:
    body = {"type": type_, "payload": {"text": text}, "meta": {"target_id": target}}
    with place.server.rest(place.tokens[sender]) as rest:
        assert rest.post("/api/messages", json=body).status_code == 201


async def test_from_the_command_to_a_task_ticked_off_by_somebody_else(chromium: str, tmp_path: Path) -> None:
    page = read("docs/plugins/page.md").partition("## Five minutes\n")[2].partition("\n## ")[0]
    new, test, serve = re.findall(r"^    (.+)$", page, re.MULTILINE)
    assert (new, serve) == ("relay plugins new tasks --page", "relay serve")
    for line in (new, test):
        words = [sys.executable, "-m", *line.split()]
        done = subprocess.run(
            words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (mood,) = re.findall(
        r"^```python plugin mood\n(.*?)^```", read("docs/plugins/page.md"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "plugins.d" / "mood.py").write_text(mood)
    written = [tmp_path / "plugins.d" / "tasks" / name for name in ("__init__.py", "page/tasks.js")]
    assert all(len(path.read_text().splitlines()) <= MAX_LINES for path in written)
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        await alice.click("Tasks: write one")
        await alice.write("What is to be done?", "Buy bread")
        await alice.press("Enter")
        await bob.wait("document.querySelector('.sidebar, #relay').textContent.includes('☐ Buy bread')")
        await bob.wait("document.querySelector('.check input')")
        await bob.evaluate("document.querySelector('.check input').click()")
        for one in (alice, bob):
            await one.wait("document.querySelector('.check.done + .note')?.textContent === 'Done by bob'")
        await load_anew(alice)
        await alice.wait("document.querySelector('.check.done input')?.checked")
        await alice.wait("document.querySelector('#relay').textContent.includes('☑ Buy bread')")
        await alice.evaluate(
            "location.hash = ''"
        )  # the list, drawn by what the server's list of conversations tells
        await load_anew(alice)
        await alice.wait("document.querySelector('#relay').textContent.includes('☑ Buy bread')")
        await open_conversation(alice, "bob")
        await share_moods(alice, bob)
        await bob.evaluate("localStorage.setItem('relay.language', 'fr')")
        await load_anew(bob)
        await bob.click("Humeurs")
        await bob.wait("document.querySelector('.panel li')?.textContent === 'alice 😟'")


async def share_moods(alice: Page, bob: Page) -> None:
    """Use the example of the documentation: its form, its button beside a message, its panel."""
    await alice.click("How I feel")
    await alice.click("😟")
    await bob.click("Moods")
    await bob.wait("document.querySelector('.panel li')?.textContent === 'alice 😟'")
    await bob.focus("document.querySelector('.message:has(.mood)')")
    await bob.press("Enter")
    await bob.click("Me too")
    for one in (alice, bob):
        await one.wait(
            "[...document.querySelectorAll('.mood')].map((mood) => mood.textContent).join() === '😟,😟'"
        )
    assert await bob.evaluate("getComputedStyle(document.querySelector('.mood')).fontSize") == "33px"
    await bob.wait("document.querySelectorAll('.panel li').length === 2")


async def test_a_module_that_does_everything_wrong_costs_the_page_nothing(chromium: str, tmp_path: Path) -> None:
    write_plugins(tmp_path, WRONG)
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        for name in WRONG:
            post(place, "bob", "alice", name, f"a {name}")
        place.say("bob", "alice", "still here")
        alice = await place.signed_in("alice")
        await alice.evaluate(WATCH)
        await open_conversation(alice, "bob")
        drawn = [f"a {name}" for name in WRONG if name != "later"]
        await alice.wait(f"JSON.stringify({CARDS}) === {json.dumps(json.dumps(drawn, separators=(',', ':')))}")
        await alice.wait("document.querySelector('.content')?.textContent === 'still here'")
        told = await reported(place, set(WRONG))
        assert "(draw)" in told["raises"]
        assert "it returned a text; make an element with dom.js" in told["markup"]
        assert "it returned a promise" in told["waits"]
        assert "return a new one" in told["steals"]
        assert re.search(r"\(load\).*SyntaxError", told["broken"])
        assert "not there after 10 s" in told["never"]
        assert "none of types, composer and panel" in told["empty"]
        assert "types.shapes.draw is no function" in await logged(place, "draw is no function")
        assert "much later" in told["later"]
        assert await alice.evaluate("[globalThis.ran, globalThis.violated].join()") == ",require-trusted-types-for"
        listed = place.server.relay("plugins", "list")
        assert "raises: its page module failed" in listed
        assert "set aside" not in listed
        alice.errors.clear()


async def reported(place: Place, names: set[str]) -> dict[str, str]:
    """Wait until a fault of each plugin is in the server's log, and return the first line of each."""
    with trio.fail_after(PATIENCE):
        while True:
            lines = re.findall(r"relay\.plugin\.(\w+): (its page module failed .*)", place.server.log.read_text())
            found = dict(reversed(lines))
            if found.keys() >= names:
                return found
            await trio.sleep(0.05)


async def logged(place: Place, text: str) -> str:
    """Wait until a text is in the server's log, and return the log."""
    with trio.fail_after(PATIENCE):
        while text not in (log := place.server.log.read_text()):
            await trio.sleep(0.05)
        return log


async def test_a_module_that_hangs_the_page_is_set_aside_by_the_next_one(chromium: str, tmp_path: Path) -> None:
    write_plugins(tmp_path, {"loops": LOOPS})
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice = await place.signed_in("alice", "bob")
        await alice.wait("performance.getEntriesByName(location.origin + '/plugins/loops/page.js').length === 1")
        post(place, "bob", "alice", "loops", "round and round")
        assert await hangs(alice)
        await alice.crash()
        await trio.sleep(3.1)  # the browser's own clock: a younger mark may be that of a tab which runs
        again = await place.tab("alice", "/#/bob")
        await again.wait(f"JSON.stringify({CARDS}) === '[\"round and round\"]'")
        await again.wait(
            "document.querySelector('.notice strong')?.textContent === 'The plugin loops is set aside on this page'"
        )
        assert "(hang), as the browser of alice tells: the page hung while it ran" in await logged(place, "(hang)")
        again.errors.clear()
        await again.click("Try again")
        assert await hangs(again)
        again.browser.pages.pop(again.session)  # it goes with its profile


async def hangs(page: Page) -> bool:
    """Tell whether a page no longer does anything."""
    with trio.move_on_after(20):
        while True:
            with trio.move_on_after(1) as waited:
                await page.evaluate("new Promise((resolve) => setTimeout(resolve))")
            if waited.cancelled_caught:
                return True
            await trio.sleep(0.05)
    return False
