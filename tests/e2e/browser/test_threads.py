"""Threads and pinned messages in a real browser, between two people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import (
    SEARCH,
    SETTINGS,
    Place,
    load_anew,
    on_message,
    open_conversation,
    open_place,
    send,
    shows,
    stored,
)

pytestmark = pytest.mark.e2e

REPLIES = "[...document.querySelectorAll('.thread .message .content')].map((one) => one.textContent)"
LINE = "document.querySelector('.thread-line')"
MARKUP = "<img src=x onerror=alert(1)>"


async def replies(page: Page, contents: list[str]) -> None:
    """Wait until a thread shows exactly this, its root first."""
    await page.wait(f"JSON.stringify({REPLIES}) === {json.dumps(json.dumps(contents, separators=(',', ':')))}")


async def reply(page: Page, content: str) -> None:
    """Write a reply in the thread that is open, and press Enter."""
    await page.write("Reply", content)
    await page.press("Enter")
    await page.wait(f"{REPLIES}.includes({json.dumps(content)})")


async def goes_on(place: Place, alice: Page, bob: Page) -> None:
    """Have a reply come in while the thread is shut, and one be written without a network."""
    await bob.press("Escape")
    await bob.wait("!document.querySelector('.thread') && location.hash === '#/alice'")
    await reply(alice, "Still hungry?")
    await bob.wait(
        f"{LINE}?.querySelector('.replies').textContent === '3 replies' && {LINE}.querySelector('.count')"
    )
    assert await bob.evaluate("document.querySelector('.conversations .badge') === null")  # it is read by itself
    await bob.evaluate(f"{LINE}.click()")
    await replies(bob, ["Lunch?", "Yes " + MARKUP, "At noon", "Still hungry?"])
    await bob.wait(f"!{LINE}.querySelector('.count')")
    place.network.cut()
    await bob.write("Reply", "Offline")
    await bob.press("Enter")
    await bob.wait(f"{REPLIES}.includes('Offline')")
    await stored(bob, "Offline")
    place.network.restore()
    await replies(alice, ["Lunch?", "Yes " + MARKUP, "At noon", "Still hungry?", "Offline"])


async def leads_to_its_thread(place: Place, alice: Page) -> None:
    """Have links, search results and the list of threads lead to what only a thread shows."""
    found = "document.querySelector('.thread .message.found .content')?.textContent"
    (seq,) = [
        one["meta"]["seq"]
        for one in place.history("alice", "bob")
        if one["payload"].get("content", "").startswith("Yes")
    ]
    await alice.click("Close the thread")
    await alice.wait("!document.querySelector('.thread') && location.hash === '#/bob'")
    await alice.evaluate(f"location.hash = '#/bob/{seq}'")
    await alice.wait(f"{found} === {json.dumps('Yes ' + MARKUP)} && location.hash.endsWith('/{seq}')")
    await alice.evaluate("history.back()")
    await alice.wait("!document.querySelector('.thread') && location.hash === '#/bob'")
    await alice.write(SEARCH, "hungry")
    await alice.wait("document.querySelector('.found .snippet')?.textContent === 'Still hungry?'")
    await alice.evaluate("document.querySelector('button.found').click()")
    await alice.wait(f"{found} === 'Still hungry?'")
    await load_anew(alice)  # the address has the reply
    await alice.wait(f"{found} === 'Still hungry?'")
    await alice.click("Close the thread")
    await alice.evaluate("document.querySelector('.places button').click()")
    await alice.wait("document.querySelector('dialog .threads li')?.textContent.includes('Lunch?')")
    assert await alice.evaluate("document.querySelectorAll('dialog .threads li').length") == 1
    assert "4 replies" in str(await alice.evaluate("document.querySelector('dialog .threads').textContent"))
    await alice.evaluate("document.querySelector('dialog .threads a').click()")
    await alice.wait(f"!document.querySelector('dialog') && {REPLIES}.includes('Offline')")


async def test_two_people_talk_in_a_thread_beside_their_conversation(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice = await place.signed_in("alice", "bob")
        bob = await place.signed_in("bob", "alice")
        await send(alice, "Lunch?")
        await shows(bob, ["Lunch?"])
        await on_message(bob, "Lunch?", "Reply in thread")
        await bob.wait(
            "location.hash.startsWith('#/alice/thread/') && document.querySelector('.thread .count-line')"
        )
        await reply(bob, "Yes " + MARKUP)
        await alice.wait(f"{LINE}?.querySelector('.replies').textContent === '1 reply'")
        await shows(alice, ["Lunch?"])
        await send(alice, "Something else")
        await alice.evaluate(f"{LINE}.click()")
        await replies(alice, ["Lunch?", "Yes " + MARKUP])
        await alice.evaluate("document.querySelector('.thread .also input').click()")
        await reply(alice, "At noon")
        assert await alice.evaluate("!document.querySelector('.thread .also input').checked")
        await bob.wait("document.querySelector('.in-thread')")
        await replies(bob, ["Lunch?", "Yes " + MARKUP, "At noon"])
        await alice.write("Reply", "A draft of its own")
        await stored(alice, "A draft of its own")
        await load_anew(alice)
        await alice.wait("field('Reply')?.value === 'A draft of its own' && field('Message').value === ''")
        await replies(alice, ["Lunch?", "Yes " + MARKUP, "At noon"])
        await alice.evaluate("(field('Reply').select(), document.execCommand('delete'))")
        await goes_on(place, alice, bob)
        await leads_to_its_thread(place, alice)
        said = [one["payload"] for one in place.history("alice", "bob") if one["type"] == "chat_message"]
        assert [(one["content"], one.get("thread_shown", False)) for one in said if "thread" in one] == [
            ("Yes " + MARKUP, False), ("At noon", True), ("Still hungry?", False), ("Offline", False),
        ]  # fmt: skip


COIN = '''
"""`/coin`: heads or tails, for everybody there."""
from relay.plugin import SlashAnswer, SlashCommand, hookimpl

async def coin(server, invocation):
    return SlashAnswer("Heads", private=False)

@hookimpl
def relay_slash_commands(options):
    return [SlashCommand(name="coin", description="Flip a coin", run=coin)]
'''


async def test_a_command_in_a_thread_is_answered_in_the_thread(chromium: str, tmp_path: Path) -> None:
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "coin.py").write_text(COIN)
    settings = {**SETTINGS, "plugins": {"also": ["bots"]}}
    async with open_place(chromium, tmp_path, "alice", "bob", settings=settings) as place:
        place.say("alice", "bob", "Who pays?")
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        await shows(alice, ["Who pays?"])
        await on_message(alice, "Who pays?", "Reply in thread")
        await alice.wait("document.querySelector('.thread .count-line')")
        await alice.write("Reply", "/coi")
        await alice.wait("document.querySelector('.thread [role=option]')")
        await alice.press("Enter")
        await alice.wait("field('Reply').value === '/coin '")
        await alice.press("Enter")
        await replies(alice, ["Who pays?", "Heads"])
        await bob.wait(f"{LINE}?.querySelector('.replies').textContent === '1 reply'")
        for one in (alice, bob):
            assert "Heads" not in str(await one.evaluate("document.querySelector('.messages').textContent"))


async def test_what_is_pinned_is_at_hand_for_everybody(chromium: str, tmp_path: Path) -> None:
    bar = "document.querySelector('.pin-bar:not([hidden]) .said')"
    said = "line.querySelector('p').firstChild.textContent.replace(/[\\u2066-\\u2069]/g, '')"
    events = f"[...document.querySelectorAll('.message.event')].map((line) => {said})"
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        place.say("alice", "bob", "The rules")
        for number in range(80):
            place.say("alice", "bob", str(number))
        alice = await place.signed_in("alice")
        bob = await place.signed_in("bob")
        message_id = place.history("alice", "bob")[0]["meta"]["message_id"]
        body = {"type": "pin", "payload": {"message_id": message_id, "on": True}, "meta": {"target_id": "bob"}}
        await open_conversation(alice, "bob")
        await open_conversation(bob, "alice")
        with place.server.rest(place.tokens["alice"]) as rest:
            assert rest.post("/api/messages", json=body).status_code == 201
        await bob.wait(f"{bar}?.textContent === 'alice: The rules'")
        await bob.evaluate(
            "document.querySelector('.jumps .jump:last-child').click()"
        )  # it began at the first unread one
        await bob.wait(f"{events}.join() === 'alice pinned a message'")
        await on_message(bob, "79", "Pin")
        await alice.wait(f"{bar}?.textContent === 'alice: 79' && named('All 2')")
        await alice.wait(f"{events}.join() === 'alice pinned a message,bob pinned a message'")
        await alice.evaluate("document.querySelector('.message.event .link').click()")
        await alice.wait("document.querySelectorAll('dialog .pins li').length === 2")
        await alice.press("Escape")
        await alice.wait("!document.querySelector('dialog')")
        await alice.click("All 2")
        await alice.wait("document.querySelectorAll('dialog .pins li').length === 2")
        await alice.evaluate("document.querySelector('dialog .pins li .quiet').click()")
        await bob.wait(f"{bar}?.textContent === 'alice: The rules'")
        await bob.evaluate("document.querySelector('.pin-bar .go').click()")
        await bob.wait(
            "[...document.querySelectorAll('.message .content')].some((one) => one.textContent === 'The rules')"
        )
