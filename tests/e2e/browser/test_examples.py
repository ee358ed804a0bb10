"""Polls, tasks and reminders, bundled plugins with page modules, in the browsers of three people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import SETTINGS, load_anew, open_place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

STANDS = """[...document.querySelectorAll('.poll .option')].map((option) => [
    option.querySelector('.text'), option.querySelector('.count'), option.querySelector('.names')]
    .map((part) => part?.textContent ?? '').concat(option.getAttribute('aria-checked')).join('|')).join(' ')"""
FOOT = "[...document.querySelectorAll('.poll > .note')].at(-1).textContent"
TASKS = """[...document.querySelectorAll('.panel .task')].map((task) =>
    [task.querySelector('input').checked, ...[...task.querySelectorAll('span, p')].map((part) => part.textContent)]
    .join('|')).join(' ')"""


async def stands(page: Page, wanted: str) -> None:
    """Wait until the options of the only poll on a page say this."""
    await page.wait(f"{STANDS} === {json.dumps(wanted)}")


async def into_the_toolbar(page: Page) -> None:
    """Go into the toolbar of the only poll on a page, with the keyboard."""
    await page.focus("document.querySelector('.poll')?.closest('.message')")
    await page.press("Enter")
    await page.wait("document.activeElement.closest('.toolbar')")


async def test_a_poll_is_voted_on_in_three_browsers_and_stands_after_a_reload_and_a_restart(
    chromium: str, tmp_path: Path
) -> None:
    also = ["polls", "tasks", "remind", "bots"]
    on = {**SETTINGS, "plugins": {"also": also}, "plugins.polls": {"result_seconds": 0.1}}
    async with open_place(chromium, tmp_path, "alice", "bob", "carol", settings=on) as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            group = {"group_id": "team", "name": "team", "members": ["bob", "carol"]}
            assert rest.post("/api/groups", json=group).status_code == 201
        alice, bob, carol = [await place.signed_in(name, "team") for name in ("alice", "bob", "carol")]
        await alice.click("Poll")
        await alice.write("Question", "Lunch?")
        await alice.write("Option 1", "pizza")
        await alice.write("Option 2", "soup")
        await alice.write("Option 3", "pizza")
        await alice.click("Ask")
        assert await alice.evaluate("field('Option 3').validationMessage") == "This option is there already."
        await alice.evaluate("field('Option 3').select()")
        await alice.write("Option 3", "cake")
        await alice.click("Ask")
        for one in (bob, carol):
            await one.wait("document.querySelector('.sidebar, #relay').textContent.includes('Poll: Lunch?')")
        await alice.click("pizza")
        await stands(alice, "pizza|1|alice|true soup|0||false cake|0||false")
        await bob.click("soup")
        await carol.click("pizza")
        await carol.wait(f"{FOOT} === '3 voters'")
        await carol.click("pizza")  # takes it back
        await stands(carol, "pizza|1|alice|false soup|1|bob|false cake|0||false")
        await carol.click("soup")
        await stands(alice, "pizza|1|alice|true soup|2|bob and carol|false cake|0||false")
        await load_anew(bob)
        await stands(bob, "pizza|1|alice|false soup|2|bob and carol|true cake|0||false")
        await tick_off_a_task(alice, bob)
        await ask_for_reminders(alice, bob)

        place.server.kill()
        place.server.start()
        await load_anew(carol)
        await stands(carol, "pizza|1|alice|false soup|2|bob and carol|true cake|0||false")
        await bob.click("pizza")
        for one, mine in ((alice, "true"), (bob, "true"), (carol, "false")):
            await one.wait(f"{STANDS}.startsWith('pizza|2|alice and bob|{mine} soup|1|carol|')")
        await into_the_toolbar(bob)
        assert await bob.evaluate("Boolean(named('Reply') && !named('Close the poll'))")
        await into_the_toolbar(alice)
        await alice.click("Close the poll")
        await alice.evaluate("named('Close the poll', document.querySelector('dialog')).click()")
        for one in (alice, bob, carol):
            await one.wait(f"{FOOT} === '3 voters · closed by alice' && named('cake').disabled")
        await carol.click("Tasks")
        await carol.wait(f"{TASKS} === 'true|Wash up|Done by bob'")


async def tick_off_a_task(alice: Page, bob: Page) -> None:
    """Write a task for somebody by the form, and tick it off in that one's panel, with the keyboard."""
    await alice.click("Task")
    await alice.write("What is to be done?", "Wash up")
    await alice.wait("document.querySelector('dialog option[value=bob]')")
    await alice.evaluate("document.querySelector('dialog select').value = 'bob'")
    await alice.press("Enter")
    await bob.click("Tasks")
    await bob.wait(f"{TASKS} === 'false|Wash up|For bob'")
    await bob.focus("document.querySelector('.panel input')")
    await bob.evaluate("document.activeElement.click()")
    await bob.wait(f"{TASKS} === 'true|Wash up|Done by bob'")
    assert await bob.evaluate("document.activeElement === document.querySelector('.panel input')")
    await alice.wait("document.querySelector('.task .check.done')")
    await bob.evaluate("named('Close', document.querySelector('.panel')).click()")


async def ask_for_reminders(alice: Page, bob: Page) -> None:
    """Ask for a reminder for oneself, which the form lists then, and for one for everybody; cancel that one."""
    await alice.click("Remind")
    await alice.write("Remind of", "Stretch")
    await alice.press("Enter")
    await alice.wait("document.querySelector('.remind-waiting .note')?.textContent.includes(', for you')")
    await alice.write("Remind of", "Stand-up")
    await alice.evaluate("field('Everybody here, not only me').click()")
    await alice.press("Enter")
    await bob.wait("document.querySelector('.messages .remind')?.textContent.startsWith('Stand-upcomes ')")
    await alice.click("Cancel")
    await bob.wait("!document.querySelector('.messages .remind') && document.querySelector('.messages .deleted')")
