"""A streamed message on relay's page, in two browsers: it grows, and ends as one message."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import relay.client
from tests.e2e.browser.people import SAID, open_place

pytestmark = pytest.mark.e2e

LAST = "[...document.querySelectorAll('.message')].at(-1)"
SHOWN = f"{LAST}?.querySelector('.content')?.textContent"
COUNT_SPOKEN = """
    globalThis.spoken = 0;
    new MutationObserver(() => (globalThis.spoken += 1)).observe(document.querySelector('.spoken[role=log]'), { childList: true });
"""


async def test_a_streamed_message_grows_in_two_browsers_and_ends_as_one(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "robot") as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            body = {"name": "Team", "members": ["bob", "robot"], "group_id": "team"}
            assert rest.post("/api/groups", json=body).status_code == 201
        alice = await place.signed_in("alice")
        await alice.evaluate("location.hash = '#/team'")
        await alice.wait("document.querySelector('.conversation h2')?.textContent === 'Team'")
        connecting = relay.client.connect(f"http://127.0.0.1:{place.server.port}", place.tokens["robot"])
        async with connecting as robot, robot.stream("team") as stream:
            await stream.write("# The answer\n")
            await alice.wait(f"{LAST}?.dataset.state === 'streaming'")
            await alice.wait(
                f"{LAST}.querySelector('.sender')?.textContent === 'robot'"
            )  # with its name a line is drawn anew
            await alice.evaluate(f"globalThis.line = {LAST}")
            bob = await place.signed_in("bob")
            await bob.evaluate("location.hash = '#/team'")
            await bob.wait(f"{SHOWN} === '# The answer\\n'")
            await bob.evaluate(COUNT_SPOKEN)
            for number in range(30):
                await stream.write(f"Line {number}\n")
                await trio.sleep(0.02)
            for page in (alice, bob):
                await page.wait(f"{SHOWN}?.endsWith('Line 29\\n')")
                await page.wait("(({scrollHeight: whole, scrollTop: top, clientHeight: seen}) =>"
                                " whole - top - seen < 2)(document.querySelector('.messages'))")  # fmt: skip
            assert await alice.evaluate(f"globalThis.line === {LAST}")  # it was not drawn anew
            await bob.evaluate("document.querySelector('.messages').scrollTop = 0")
            await trio.sleep(0.1)
            await stream.write("The end of it\n" * 30)
            await bob.wait(f"{SHOWN}?.endsWith('end of it\\n')")
            assert await bob.evaluate("document.querySelector('.messages').scrollTop") == 0
            assert await alice.evaluate("document.title") == "relay"  # nothing is unread yet
            await alice.evaluate("location.hash = ''")
        await alice.wait("document.title === '(1) relay'")
        await bob.wait(f"{LAST}?.dataset.state === 'sent' && {SHOWN}?.endsWith('end of it')")
        for page in (alice, bob):
            await page.evaluate("location.hash = '#/team'")
            await page.wait(f"document.querySelectorAll('.is-sent').length >= 1 && {SAID}.length === 1")
        assert await bob.evaluate("globalThis.spoken") == 1
        assert "edited" not in await bob.evaluate(f"{LAST}.textContent")
