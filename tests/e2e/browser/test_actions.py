"""Actions and slash commands at relay's page, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.browser.people import SETTINGS, Place, load_anew, open_place
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.long]

APPROVE = {"type": "button", "id": "approve", "label": "Approve", "style": "primary"}
REJECT = {"type": "button", "id": "reject", "label": "Reject", "style": "danger", "confirm": "Reject it?"}
ORDER = {
    "type": "form", "id": "order", "label": "Order",
    "fields": [
        {"type": "text", "name": "what", "label": "What", "required": True},
        {"type": "number", "name": "pieces", "label": "Pieces", "min": 1, "max": 9},
        {"type": "select", "name": "size", "label": "Size", "options": [{"value": "l", "label": "Large"}]},
        {"type": "checkbox", "name": "sure", "label": "I am sure", "required": True},
        {"type": "date", "name": "day", "label": "Day"},
    ],
}  # fmt: skip
LEVEL = {
    "type": "select",
    "id": "level",
    "label": "Level",
    "options": [{"value": "low"}, {"value": "high", "label": "High"}],
}
OUTCOMES = "[...document.querySelectorAll('.outcome')].map((one) => one.textContent)"
OFF = "[...document.querySelectorAll('.offer button')].filter((one) => one.disabled).map((one) => one.textContent)"


def say(place: Place, name: str, type_: str, payload: dict[str, Any], target: str | None = None) -> Any:
    """Have somebody send a message by REST."""
    meta = {} if target is None else {"target_id": target}
    with place.server.rest(place.tokens[name]) as rest:
        answer = rest.post("/api/messages", json={"type": type_, "payload": payload, "meta": meta})
        assert answer.is_success, answer.text
        return answer.json()


def got(place: Place, name: str, type_: str) -> list[dict[str, Any]]:
    """Return what came into somebody's own channel."""
    with place.server.rest(place.tokens[name]) as rest:
        messages = rest.get("/api/notifications").json()["messages"]
        return [one for one in messages if one["type"] == type_]


async def test_questions_are_answered_in_one_browser_and_seen_closed_in_another(
    chromium: str, tmp_path: Path
) -> None:
    settings = SETTINGS | {"plugins": {"also": ["bots"]}}
    async with open_place(chromium, tmp_path, "alice", "bob", settings=settings) as place:
        place.tokens["helper"] = place.server.relay("bot", "add", "helper").strip()
        with place.server.rest(place.tokens["alice"]) as rest:
            group = {"name": "Team", "members": ["bob", "helper"], "group_id": "team"}
            assert rest.post("/api/groups", json=group).is_success
        roll = {"name": "roll", "description": "Roll dice", "usage": "2d6", "private": True}
        say(place, "helper", "bot_commands", {"commands": [roll]})
        once = {"elements": [APPROVE, REJECT], "once": "message"}
        asked = say(place, "helper", "group_message", {"content": "Deploy?", "actions": once}, "team")[
            "message_id"
        ]
        each = {"elements": [ORDER, LEVEL]}
        say(place, "helper", "group_message", {"content": "Lunch?", "actions": each}, "team")
        alice, bob = await place.signed_in("alice"), await place.signed_in("bob")
        for page in (alice, bob):
            await page.evaluate("location.hash = '#/team'")
            await page.wait("document.querySelectorAll('.offer').length === 2")

        await alice.click("Reject")
        await alice.wait("document.querySelector('dialog h2')?.textContent === 'Reject it?'")
        await alice.press("Escape")
        await alice.click("Approve")
        for page in (alice, bob):
            await page.wait(f"{OUTCOMES}[0]?.startsWith('Answered by alice')")
            assert await page.evaluate(f"{OFF}") == ["Approve", "Reject"]
        say(place, "helper", "action_close", {"message_id": asked, "outcome": "Deployed 🚀"})
        await bob.wait(f"{OUTCOMES}[0] === 'Deployed 🚀'")

        await alice.click("Order …")
        await alice.write("What", "cake")
        await alice.write("Pieces (optional)", "2")
        await alice.evaluate("document.querySelector('dialog select').value = 'l'")
        await alice.press("Enter")
        assert await alice.evaluate("document.querySelector('dialog form').checkValidity()") is False
        await alice.evaluate("document.querySelector('dialog .check input').click()")
        await alice.evaluate("document.querySelector('dialog .choice button').click()")
        await alice.wait("!document.querySelector('dialog') && " + f"{OUTCOMES}[1] === 'You answered: Order'")
        values = {"what": "cake", "pieces": 2, "size": "l", "sure": True}
        assert [one["payload"].get("values") for one in got(place, "helper", "action")] == [None, values]

        await bob.evaluate("document.querySelector('.offer select').value = 'high'")
        await bob.click("Send Level")
        await bob.wait(f"{OUTCOMES}[1] === 'You answered: High · 2 answers'")
        await load_anew(bob)
        await bob.wait(f"{OUTCOMES}.join() === 'Deployed 🚀,You answered: High · 2 answers'")
        assert (
            await bob.evaluate("document.querySelectorAll('.offer :is(button, select):not(:disabled)').length")
            == 0
        )

        await alice.write("Message", "/r")
        await alice.wait(
            "document.querySelector('[role=option][aria-selected=true]')?.textContent.includes('Roll dice')"
        )
        assert await alice.evaluate("field('Message').getAttribute('aria-activedescendant')") == "completion-0"
        await alice.press("Tab")
        await alice.write("Message", "2d6")
        await alice.wait("document.querySelector('.usage').textContent.startsWith('/roll 2d6 · Roll dice')")
        await alice.press("Enter")
        await alice.wait("field('Message').value === ''")
        with trio.fail_after(PATIENCE):
            while not (invoked := got(place, "helper", "slash_command")):
                await trio.sleep(0.05)
        assert [(one["payload"]["command"], one["payload"]["text"]) for one in invoked] == [("roll", "2d6")]
        answer = {"invocation": invoked[0]["meta"]["message_id"], "content": "2d6: 7"}
        say(place, "helper", "slash_response", answer)
        await alice.wait("document.querySelector('.notice')?.textContent.includes('2d6: 7')")
        assert await bob.evaluate("document.body.innerText.includes('2d6: 7')") is False
