"""The sidebar in a real browser: the list and its marks, search, the switcher, the dialogs that begin, and the keyboard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import (
    PASSWORD,
    SEARCH,
    Place,
    account,
    load_anew,
    on_message,
    open_conversation,
    open_place,
    shows,
)

pytestmark = pytest.mark.e2e

PEOPLE = {"alice": "Alice Martin", "bob": "Bob Nguyen", "zoe": "Zoé Laurent", "marguerite": "Marguerite Dupont"}
LINES = "[...document.querySelectorAll('.line a')].map((one) => one.getAttribute('href').slice(2)).join()"
OPEN = "decodeURIComponent(location.hash.slice(2))"
OPTIONS = "[...document.querySelectorAll('.switcher [role=option]')].map((one) => one.querySelector('.name, .snippet, strong')?.textContent)"
CTRL, ALT, SHIFT = 2, 1, 8


@asynccontextmanager
async def team(chromium: str, folder: Path) -> AsyncIterator[Place]:
    """Run a server where bob, zoe and marguerite have written to alice, and to a group."""
    async with open_place(chromium, folder, *PEOPLE) as place:
        for user_id, name in PEOPLE.items():
            with place.server.rest(place.tokens[user_id]) as rest:
                assert rest.patch("/api/users/me", json={"display_name": name}).status_code == 200
        with place.server.rest(place.tokens["bob"]) as rest:
            group = {"group_id": "team", "name": "Design review", "members": ["alice", "zoe"]}
            assert rest.post("/api/groups", json=group).status_code == 201
        place.say("zoe", "alice", "The menu of the canteen")
        place.say("marguerite", "alice", "One\nof two lines")
        say_in_group(place, "zoe", "@alice, the second page?", mentions=["alice"])
        place.say("bob", "alice", "Newest of all")
        yield place


def say_in_group(place: Place, sender: str, content: str, **more: Any) -> None:
    body = {"type": "group_message", "payload": {"content": content, **more}, "meta": {"target_id": "team"}}
    with place.server.rest(place.tokens[sender]) as rest:
        assert rest.post("/api/messages", json=body).status_code == 201


def line(target: str, within: str = "") -> str:
    """Return an expression for the line of a conversation, or for something in it."""
    return f"document.querySelector('.line:has(a[href=\"#/{target}\"]) {within}')"


async def keys(page: Page, key: str, modifiers: int = 0) -> None:
    """Press a key with others held down."""
    code = {"ArrowUp": 38, "ArrowDown": 40, "k": 75, "/": 191, "?": 191}.get(key, 0)
    base = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
    await page.send("Input.dispatchKeyEvent", type="rawKeyDown", **base)
    await page.send("Input.dispatchKeyEvent", type="keyUp", **base)


async def choose(page: Page, target: str, entry: str) -> None:
    """Choose from a line's menu, as a right click opens it."""
    await page.wait(line(target, "a"))
    await page.evaluate(
        f"{line(target, 'a')}.dispatchEvent(new MouseEvent('contextmenu',"
        " {bubbles: true, cancelable: true, button: 2, clientX: 120, clientY: 200}))"
    )
    found = (
        f"[...document.querySelectorAll('.float button')].find((one) => one.textContent === {json.dumps(entry)})"
    )
    await page.wait(found)
    await page.evaluate(f"{found}.click()")


async def test_the_list_tells_what_is_new_and_its_marks_follow_to_other_devices(
    chromium: str, tmp_path: Path
) -> None:
    async with team(chromium, tmp_path) as place:
        alice = await place.signed_in("alice")
        await alice.wait(f"{LINES} === 'bob,team,marguerite,zoe'")
        assert await alice.evaluate(f"{line('team', '.badge.at')}.textContent") == "@"
        assert await alice.evaluate(f"{line('bob', '.badge.at')}") is None
        assert "mentions you" in await alice.evaluate(f"{line('team', 'a')}.textContent")
        weight = "Number(getComputedStyle({}).fontWeight)"
        await open_conversation(alice, "bob", "Bob Nguyen")
        await alice.wait(f"!{line('bob', '.badge')}")
        weights = [await alice.evaluate(weight.format(line(one, "strong"))) for one in ("bob", "zoe")]
        assert weights[0] < weights[1]
        other = await place.tab("phone")
        session = json.dumps({"token": place.tokens["alice"], "userId": "alice"})
        await other.evaluate(f"localStorage.setItem('relay.session', {json.dumps(session)})")
        await load_anew(other)
        await other.wait(f"{LINES} === 'bob,team,marguerite,zoe'")
        await choose(alice, "zoe", "Pin")
        await other.wait(f"{LINES} === 'zoe,bob,team,marguerite'")
        await choose(other, "marguerite", "Archive")
        await alice.wait(f"{LINES} === 'zoe,bob,team'")
        await alice.click("Archived")
        await alice.wait(f"{LINES} === 'marguerite'")
        await alice.click("Groups")
        await alice.wait(f"{LINES} === 'team'")
        await alice.click("People")
        await alice.wait(f"{LINES} === 'zoe,bob'")
        await alice.click("All")
        place.say("marguerite", "alice", "And a third")
        await alice.wait(f"{LINES} === 'zoe,marguerite,bob,team'")
        await choose(alice, "team", "Mark as read")
        await alice.wait(f"!{line('team', '.badge')}")
        await choose(alice, "team", "Mark as unread")
        await other.wait(line("team", ".badge.flag"))
        await load_anew(other)
        await other.wait(f"{LINES} === 'zoe,marguerite,bob,team' && {line('team', '.badge.flag')}")
        await open_conversation(other, "team", "Design review")
        await alice.wait(f"!{line('team', '.badge')}")
        await choose(alice, "zoe", "Unpin")
        await other.wait(f"{LINES} === 'marguerite,bob,team,zoe'")


async def test_saved_messages_are_kept_for_oneself_and_lead_to_their_place(chromium: str, tmp_path: Path) -> None:
    async with team(chromium, tmp_path) as place:
        alice = await place.signed_in("alice")
        await open_conversation(alice, "zoe", "Zoé Laurent")
        await shows(alice, ["The menu of the canteen"])
        await on_message(alice, "The menu of the canteen", "Save")
        await on_message(alice, "The menu of the canteen", "Mark as unread from here")
        await alice.wait(line("zoe", ".badge.flag"))
        await open_conversation(alice, "bob", "Bob Nguyen")
        await account(alice, "Saved messages")
        await alice.wait("document.querySelector('.saved .found')?.textContent.includes('Zoé Laurent')")
        await alice.evaluate("document.querySelector('.saved .found').click()")
        await alice.wait(f"{OPEN} === 'zoe' || location.hash.startsWith('#/zoe/')")
        await alice.wait(f"!{line('zoe', '.badge')}")
        await alice.wait(
            "document.querySelector('.messages li.new + .message')?.textContent.includes('The menu of the canteen')"
        )
        await account(alice, "Saved messages")
        remove = "named('Remove from saved', document.querySelector('dialog'))"
        await alice.wait(remove)
        await alice.evaluate(f"{remove}.click()")
        await alice.wait("document.querySelector('dialog .told').textContent.startsWith('Nothing is saved yet')")
        await alice.press("Escape")
        await alice.wait(  # the page shows it before the server has it
            "(await (await fetch('/api/saved', {headers: {Authorization: 'Bearer ' +"
            " JSON.parse(localStorage.getItem('relay.session')).token}})).json()).saved.length === 0"
        )


async def test_search_finds_people_groups_and_messages_by_their_beginnings(chromium: str, tmp_path: Path) -> None:
    async with team(chromium, tmp_path) as place:
        for number in range(35):
            place.say("bob", "alice", f"Lunch number {number}")
        alice = await place.signed_in("alice")
        told = "document.querySelector('.below-search .told').textContent"
        await alice.write(SEARCH, "marg")
        await alice.wait(
            "document.querySelector('.results .person')?.textContent === 'MDMarguerite Dupontmarguerite'"
        )
        await alice.evaluate("document.querySelector('[type=search]').value = ''")
        await alice.write(SEARCH, "cant")
        await alice.wait("document.querySelector('.found mark')?.textContent === 'canteen'")
        assert await alice.evaluate("document.querySelector('.found strong').textContent") == "Zoé Laurent"
        await alice.press("Enter")
        await alice.wait(f"{OPEN}.startsWith('zoe')")
        assert await alice.evaluate("document.querySelector('[type=search]').value") == "cant"
        await alice.click("Clear the search")
        await alice.wait(f"{LINES}.startsWith('bob')")
        await alice.write(SEARCH, "lunch")
        await alice.wait(f"{told} === 'The newest 30 messages'")
        await alice.click("Show more")
        await alice.wait(f"{told} === '35 messages found'")
        await alice.click("Clear the search")
        for odd in ("/", "???", '"', "<b>&amp;"):
            await alice.write(SEARCH, odd)
            await alice.wait(f"{told} === {json.dumps(f'Nothing found for “{odd}”.')}")
            await alice.press("Escape")
        await alice.evaluate("location.hash = '#/team'")
        await alice.wait("document.querySelector('.conversation h2')?.textContent === 'Design review'")
        await alice.evaluate(
            "named('Conversation menu')?.click() ?? document.querySelector('.conversation header [aria-haspopup=menu]').click()"
        )
        await alice.click("Search in this conversation")
        await alice.wait("document.activeElement.placeholder === 'Search in Design review'")
        await alice.write("Search people, groups and messages", "page lunch")
        await alice.wait(f"{told} === {json.dumps('Nothing found for “page lunch”.')}")


async def test_the_switcher_goes_everywhere_without_a_pointer_and_without_a_network(
    chromium: str, tmp_path: Path
) -> None:
    async with team(chromium, tmp_path) as place:
        alice = await place.signed_in("alice")
        await alice.wait(f"{LINES} === 'bob,team,marguerite,zoe'")
        await keys(alice, "k", CTRL)
        await alice.wait("document.querySelector('.switcher input') === document.activeElement")
        places = ["Bob Nguyenbob", "Design reviewGroup", "Marguerite Dupontmarguerite", "Zoé Laurentzoe"]
        await alice.wait(
            f"JSON.stringify({OPTIONS}.slice(0, 4)) === {json.dumps(json.dumps(places, ensure_ascii=False, separators=(',', ':')))}"
        )
        await alice.send("Input.insertText", text="zoe lau")
        await alice.wait("document.querySelector('.switcher [aria-selected=true]')?.textContent.includes('Zoé')")
        await alice.press("Enter")
        await alice.wait(f"{OPEN} === 'zoe' && !document.querySelector('dialog')")
        await keys(alice, "ArrowUp", ALT)
        await alice.wait(f"{OPEN} === 'marguerite'")
        await keys(alice, "ArrowUp", ALT | SHIFT)
        await alice.wait(f"{OPEN} === 'team'")
        await alice.evaluate("document.activeElement.blur()")
        await keys(alice, "?", SHIFT)
        await alice.wait("document.querySelector('dialog .shortcuts')?.textContent.includes('Ctrl+K')")
        keys_told = "[...document.querySelectorAll('dialog .shortcuts kbd')].map((one) => one.textContent)"
        assert await alice.evaluate(f"['+', 'r', 't', 'Delete'].every((key) => {keys_told}.includes(key))")
        await alice.press("Escape")
        place.network.cut()
        await keys(alice, "k", CTRL)
        await alice.send("Input.insertText", text="new gr")
        await alice.wait("document.querySelector('.switcher [aria-selected=true]')?.textContent === 'New group'")
        await alice.press("Enter")
        await alice.wait("document.activeElement === field('Name of the group')")
        await alice.press("Escape")
        place.network.restore()


async def test_one_stop_of_the_tab_key_walks_five_hundred_conversations_of_which_few_are_drawn(
    chromium: str, tmp_path: Path
) -> None:
    others = [f"user{number:03}" for number in range(150)]
    async with open_place(chromium, tmp_path, "alice", *others) as place:
        for name in others:
            place.say(name, "alice", f"Hello from {name}")
        alice = await place.signed_in("alice")
        await alice.wait(f"{LINES}.startsWith('user149,')")
        assert await alice.evaluate("document.querySelectorAll('.line').length") < 40
        assert await alice.evaluate("document.querySelectorAll('.line a[tabindex=\"0\"]').length") == 1
        await alice.focus("document.querySelector('.line a[tabindex=\"0\"]')")
        focused = "document.activeElement.getAttribute('href')"
        await alice.press("End")
        await alice.wait(f"{focused} === '#/user000'")
        await alice.press("ArrowUp")
        await alice.wait(f"{focused} === '#/user001'")
        place.say("user000", "alice", "Again")  # its line goes to the top; the focus stays on the other one
        await alice.wait("document.querySelector('.conversations').scrollTop > 1000")
        await alice.press("Enter")
        await alice.wait(f"{OPEN} === 'user001'")
        await alice.press("Home")
        await alice.wait("document.querySelector('.conversations').scrollTop === 0")
        await alice.evaluate("location.hash = '#/user075'")
        await alice.wait("""(() => {
            const line = document.querySelector('.line a[aria-current]')?.getBoundingClientRect();
            const list = document.querySelector('.conversations').getBoundingClientRect();
            return line && line.top >= list.top && line.bottom <= list.bottom + 1;
        })()""")


_HELD = """(() => {
    const ask = window.fetch, wait = window.setTimeout;
    window.setTimeout = (go, ms, ...more) => (ms === 200 ? 0 : wait(go, ms, ...more)); // the pause after typing: no end
    window.fetch = async (url, ...more) => {
        if (!String(url).includes('/api/users?')) return ask(url, ...more);
        await new Promise((go) => (window.answer = go));
        const answer = await ask(url, ...more);
        wait(() => (window.answered = true), 100);
        return answer;
    };
})()"""
"""Holds back the answer to a search for users, and the search for what is typed meanwhile."""


async def test_an_answer_to_what_was_typed_before_is_not_shown(chromium: str, tmp_path: Path) -> None:
    async with team(chromium, tmp_path) as place:
        alice = await place.signed_in("alice")
        await alice.wait(f"!!{line('marguerite')}")
        await alice.evaluate(_HELD)
        await alice.click("New conversation")
        await alice.write("Name", "marg")
        await alice.wait(  # whom the page knows, which may be loading still
            "document.querySelector('dialog input').dispatchEvent(new Event('input'))"
            " && document.querySelectorAll('dialog .person').length === 1 && !!window.answer"
        )
        await alice.evaluate("window.answer()")
        await alice.wait("window.answered")
        await alice.press("Enter")
        await alice.wait(f"{OPEN} === 'marguerite' && !document.querySelector('dialog')")


async def test_beginning_a_conversation_and_a_group_and_what_is_told_at_the_field(
    chromium: str, tmp_path: Path
) -> None:
    async with team(chromium, tmp_path) as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        alice = await place.signed_in("alice")
        await alice.click("New conversation")
        await alice.write("Name", "marg")
        await alice.wait("[...document.querySelectorAll('dialog .person')].length === 1")
        await alice.press("Enter")
        await alice.wait(f"{OPEN} === 'marguerite' && !document.querySelector('dialog')")
        await alice.click("New conversation")
        await alice.write("Name", "nobody like this")
        await alice.wait(
            "document.querySelector('dialog .told').textContent === 'Nobody is called “nobody like this” here.'"
        )
        await alice.evaluate(
            "[...document.querySelectorAll('dialog button')].find((one) => one.textContent === 'New group').click()"
        )
        await alice.wait("document.activeElement === field('Name of the group')")
        await alice.press("Enter")
        await alice.wait("document.querySelector('#group-name-problem').textContent === 'A group needs a name.'")
        await alice.wait("document.querySelectorAll('dialog .people input[type=checkbox]').length === 3")
        await alice.evaluate(
            "[...document.querySelectorAll('dialog .people input[type=checkbox]')].forEach((one) => one.click())"
        )
        await alice.click("Remove Bob Nguyen")
        await alice.write("Name of the group", "Canteen")
        await alice.click("Create group")
        await alice.wait("document.querySelector('.conversation h2')?.textContent === 'Canteen'")
        with place.server.rest(place.tokens["alice"]) as rest:
            group = rest.get(f"/api/groups/{await alice.evaluate(OPEN)}").json()
        assert sorted(one["user_id"] for one in group["members"]) == ["alice", "marguerite", "zoe"]
        target = await alice.evaluate(OPEN)
        await alice.wait(f"getComputedStyle({line(target, '.avatar')}).borderRadius === '50%'")
