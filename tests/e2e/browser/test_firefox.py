"""The page in Firefox: the way in, two people who talk, and what is written without a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.people import PASSWORD, load_anew, open_conversation, open_place, send, shows, state, stored
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e


async def test_the_first_run_and_what_is_written_offline_in_firefox(firefox: str, tmp_path: Path) -> None:
    async with open_place(firefox, tmp_path) as place:
        with trio.fail_after(PATIENCE):
            while not (links := re.findall(r"http://\S+(/#setup=\S+)", place.server.log.read_text())):
                await trio.sleep(0.02)
        alice = await place.tab("alice", links[0])
        await alice.write("Name", "alice")
        await alice.write("Password", PASSWORD)
        await alice.click("Set up")
        await alice.wait("document.querySelector('.me strong')?.textContent === 'alice'")
        code = place.server.relay("user", "invite").strip().split("=")[-1]
        bob = await place.tab("bob", f"/#invite={code}")
        await bob.write("Name", "bob")
        await bob.write("Password", PASSWORD)
        await bob.click("Create account")
        await bob.wait("document.querySelector('.me strong')?.textContent === 'bob'")
        await open_conversation(alice, "bob")
        await send(alice, "The first message")
        await open_conversation(bob, "alice")
        await shows(bob, ["The first message"])

        place.network.cut()
        await alice.wait("document.querySelector('.banner').textContent !== ''")
        await send(alice, "Written offline")
        await state(alice, "Written offline", "queued")
        await stored(alice, "Written offline")
        place.network.restore()
        await load_anew(alice)
        await state(alice, "Written offline", "delivered")
        await shows(bob, ["The first message", "Written offline"])
