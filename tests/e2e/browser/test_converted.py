"""An export of Slack's that is imported into a running server: read by REST, and seen on the page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from relay.engine.sample_picture import draw_png
from tests.app.converting.made import in_zip, said, slack
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, open_conversation, open_place, shows

pytestmark = pytest.mark.e2e

ROOT = "1600000002.000100"
TOOLS = [
    {"name": "tada", "users": ["U2", "U4"], "count": 2},
    {"name": "+1::skin-tone-4", "users": ["U1"], "count": 1},
]
GENERAL = [
    said(1, "<@U4> has joined the channel", "U4", subtype="channel_join", inviter="U2"),
    said(2, "*Lunch* at <https://example.org/menu|the new place>, <@U2>? :ramen:", thread_ts=ROOT, reactions=TOOLS),
    said(3, "Yes!", "U2", thread_ts=ROOT, edited={"user": "U2", "ts": "1600000009.000000"}),
    said(4, "Noon then", thread_ts=ROOT, subtype="thread_broadcast"),
    said(5, "The plan", "U2", files=[{"id": "F111111", "name": "plan.png"}, {"id": "F222222", "name": "b.pdf", "url_private": "https://files.slack.com/b.pdf?t=xoxe-1"}]),
    said(6, "Build *42* failed in `main`:\n&gt; ```exit 1```", None, subtype="bot_message", bot_id="B1", username="ci"),
    said(7, "sighs", "U2", subtype="me_message"),
]  # fmt: skip
LINES = "[...document.querySelectorAll('.conversation .message')].map((one) => one.textContent)"


def exported(folder: Path) -> Path:
    files = slack(general=GENERAL, D1=[said(8, "Between <@U1> and <@U2>", "U2")], secret=[said(9, "hush", "U2")])
    return in_zip(folder / "slack.zip", files | {"__uploads/F111111/plan.png": draw_png()})


def history(place: Place, user: str, kind: str, target: str) -> list[dict[str, Any]]:
    with place.server.rest(place.tokens[user]) as rest:
        answer = rest.get(f"/api/messages/{kind}/{target}")
        assert answer.status_code == 200, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages


def sign_in(place: Place, user: str) -> str:
    """Set a first password by a link, as people who have moved do, and return the token of a login with it."""
    link = place.server.relay("user", "reset-link", user).strip()
    with place.server.rest(None) as rest:
        assert (
            rest.post("/api/password-reset", json={"code": link, "password": f"{user} has moved"}).status_code
            == 200
        )
        answer = rest.post("/api/login", json={"user_id": user, "password": f"{user} has moved"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])


def check_by_rest(place: Place) -> None:
    event, root, reply, shown, plan, *_ = general = history(place, "alice", "group", "general")
    assert [one["meta"]["sender_id"] for one in general] == ["bob", "alice", "bob", "alice", "bob", "ci", "bob"]
    assert [one["meta"]["timestamp"] for one in general] == [1_600_000_000 + n + 0.0001 for n in range(1, 8)]
    assert event["payload"] == {"event": "member_added", "user_id": "guest"}
    assert root["payload"]["content"] == "**Lunch** at [the new place](https://example.org/menu), @bob? 🍜"
    assert reply["payload"]["thread"] == shown["payload"]["thread"] == root["meta"]["message_id"]
    assert reply["meta"]["edited_at"] == 1_600_000_009
    (file,) = plan["payload"]["files"]
    assert (file["name"], file["type"]) == ("plan.png", "image/png")
    with place.server.rest(place.tokens["guest"]) as rest:
        assert rest.get(f"/api/attachments/{file['attachment_id']}").content == draw_png()
        assert rest.get("/api/messages/group/secret").status_code == 404
    (direct,) = history(place, "alice", "user", "bob")
    assert direct["payload"] == {"content": "Between @alice and @bob", "mentions": ["alice", "bob"]}


async def check_on_page(page: Page) -> None:
    await page.wait(f"{LINES}.some((one) => one.includes('Lunch at the new place, @Bobby? 🍜'))")
    await page.wait(
        "[...document.querySelectorAll('.reaction')].map((one) => one.textContent).join() === '🎉 2,👍🏽 1'"
    )
    await page.wait("document.querySelector('.thread-line .replies')?.textContent === '2 replies'")
    await page.wait(
        "[...document.querySelectorAll('.conversation .message img')].some((one) => one.naturalWidth > 100)"
    )
    await page.wait(f"{LINES}.some((one) => one.includes('Build 42 failed in main:'))")
    await page.wait("document.querySelector('.conversation .message strong')?.textContent === 'Lunch'")
    await page.wait("document.querySelectorAll('.conversations .badge').length === 0")  # nothing of it is new
    await shot(page, "converted")
    await page.evaluate("document.querySelector('.thread-line').click()")
    replies = "[...document.querySelectorAll('.thread .message .content')].map((one) => one.textContent).join('|')"
    await page.wait(f"{replies} === 'Lunch at the new place, @Bobby? 🍜|Yes!|Noon then'")
    await shot(page, "converted-thread")


async def shot(page: Page, name: str) -> None:
    """Take a picture for who wants to see how it looks: RELAY_PICTURES names the folder."""
    if folder := os.environ.get("RELAY_PICTURES"):
        await page.screenshot(Path(folder) / f"{name}.png")


async def test_a_channel_of_slack_is_read_and_seen(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path) as place:
        file = exported(tmp_path)
        told = place.server.relay("import", "--from", "slack", str(file))
        assert " 0 refused" in told
        assert place.server.relay("import", "--from", "slack", str(file)).startswith("0 stored, ")
        place.tokens = {name: sign_in(place, name) for name in ("alice", "guest")}
        check_by_rest(place)
        page = await place.signed_in("alice")
        await open_conversation(page, "general")
        await check_on_page(page)
        await open_conversation(page, "bob", "Bobby")
        await shows(page, ["Between @Alice Liddell and @Bobby"])
