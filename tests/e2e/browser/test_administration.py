"""The administration at `/admin`: what each view shows, what an act does, and whom it is refused to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look, violations
from tests.e2e.browser.people import Place, open_place

pytestmark = pytest.mark.e2e

VIEWS = (
    "overview",
    "users",
    "users/bob",
    "invitations",
    "tokens",
    "connections",
    "connections?view=devices",
    "groups",
    "groups/team",
    "reports",
    "sending",
    "audit",
    "plugins",
    "plugins/pin",
    "queues",
    "storage",
    "backups",
    "trace",
    "rights",
    "plugin-bots",
    "plugin-webhooks",
)
SETTINGS = {"plugins": {"also": ["bots", "webhooks"]}}
LOOKS = (Look(), Look(width=390, height=844, dark=True, language="fr", scale=2))
WIDE = "document.documentElement.scrollWidth > innerWidth"
AT_REST = "!document.querySelector('.admin-main .told')?.textContent.includes('…') && document.querySelector('.admin-main h2')"


async def open_administration(place: Place, name: str) -> Page:
    page = await place.tab(name)
    await page.wait("named('Sign in')")
    session = json.dumps({"token": place.tokens[name], "userId": name})
    await page.evaluate(f"localStorage.setItem('relay.session', {json.dumps(session)})")
    await page.evaluate("location.href = new URL('admin', location.href).href")
    await page.wait("document.querySelector('.admin-head')")
    return page


async def go(page: Page, where: str) -> None:
    """Open a view, and wait until it has what it shows."""
    await page.evaluate(f"location.hash = {json.dumps('#/' + where)}")
    section = re.split("[/?]", where)[0]
    await page.wait(f"document.querySelector('.admin-main')?.dataset.section === {json.dumps(section)}")
    await page.wait(AT_REST)


async def test_owners_see_all_views_and_do_what_they_say(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol", settings=SETTINGS) as place:
        _fill(place)
        page = await open_administration(place, "alice")
        wrong: list[str] = []
        for look in LOOKS:
            await take_look(page, look)
            for view in VIEWS:
                await go(page, view)
                wrong += [f"{look.name} {view}: {one}" for one in await violations(page)]
                if await page.evaluate(WIDE):
                    wrong.append(f"{look.name} {view} is wider than the window")
        assert wrong == [], "\n".join(wrong)
        await take_look(page, LOOKS[0])
        await _disable_bob(place, page)
        await _trace_a_message(place, page)


def _fill(place: Place) -> None:
    """Have something to see in every view."""
    place.server.relay("user", "role", "alice", "owner")
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/api/admin/groups", {"group_id": "team", "name": "The team", "owner": "bob", "members": ["carol"]}),
        ("/api/admin/bots", {"user_id": "dice", "owner": "alice"}),
        ("/api/webhooks", {"url": "http://127.0.0.1:9/in", "messages": {"types": ["chat_message"]}}),
        ("/api/webhooks/incoming", {"name": "builds", "user_id": "ci", "target_id": "team"}),
    )
    with place.server.rest(place.tokens["alice"]) as rest:
        for path, body in calls:
            assert rest.post(path, json=body).status_code == 201, path
    place.say("bob", "carol", "Something to trace")


async def _disable_bob(place: Place, page: Page) -> None:
    """An act on the page: asked for first, done, and in the audit log with its reason."""
    await go(page, "users")
    await page.wait("document.querySelectorAll('.admin-table tbody tr').length === 5")
    await page.evaluate("document.querySelector('.admin-table a[href$=bob]').click()")
    await page.click("Disable")
    await page.write("Reason (it is kept in the audit log)", "away")
    await page.evaluate("document.querySelector('dialog .danger').click()")
    await page.wait("named('Enable')")
    with place.server.rest(place.tokens["alice"]) as rest:
        assert rest.get("/api/admin/users/bob").json()["disabled"] is True
        newest = rest.get("/api/admin/audit", params={"limit": 1}).json()["entries"][0]
    assert (newest["act"], newest["by"], newest["about"]) == (
        "user.disabled",
        "alice",
        {"kind": "user", "id": "bob"},
    )
    assert newest["details"]["reason"] == "away"
    await go(page, "audit")
    await page.wait("document.querySelector('.admin-table tbody').textContent.includes('away')")


async def _trace_a_message(place: Place, page: Page) -> None:
    message = place.history("carol", "bob")[-1]["meta"]["message_id"]
    await go(page, f"trace/{message}")
    await page.wait("document.querySelector('.admin-table a[href$=carol]')")
    assert "Something to trace" not in await page.evaluate("document.body.textContent")


BUTTONS = "[...document.querySelectorAll('.admin-main button')].map((one) => one.textContent)"
OPTIONS = "[...{}.options].map((one) => one.value)"


async def test_an_admin_is_offered_what_the_server_lets_an_admin_do(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol") as place:
        place.server.relay("user", "role", "alice", "owner")
        place.server.relay("user", "role", "carol", "admin")
        with place.server.rest(place.tokens["alice"]) as rest:
            invite = rest.post("/api/admin/invites", json={"uses": 2}).json()["code"]
            body = {"user_id": "dave", "password": "a good password", "invite": invite}
            assert rest.post("/api/register", json=body).status_code == 201
        page = await open_administration(place, "carol")
        await go(page, "invitations")
        await page.click("Invite people")
        await page.wait("document.querySelector('dialog .open-ones')?.textContent.includes('dave')")
        role = "[...document.querySelectorAll('dialog select')].at(-1)"
        assert await page.evaluate(OPTIONS.format(role)) == ["user", "guest", "moderator"]
        await page.evaluate("document.querySelector('dialog').close()")
        await go(page, "users/bob")
        role = "document.querySelector('.admin-main select[aria-label=Role]')"
        await page.wait(role)
        assert await page.evaluate(OPTIONS.format(role)) == ["moderator", "member", "guest"]
        for view, why in (
            ("users/alice", "Only an owner of this server changes this account."),
            ("users/carol", "This is your own account"),
        ):
            await go(page, view)
            await page.wait(f"document.querySelector('.admin-main').textContent.includes({json.dumps(why)})")
            await page.wait("document.querySelector('.admin-main .admin-table')")
            offered = await page.evaluate(BUTTONS)
            assert not {"Disable", "Erase", "Set a password", "Change", "Ban"} & set(offered), (view, offered)
        await go(page, "sending")
        await page.wait("document.querySelector('.admin-form')")
        assert await page.evaluate("document.querySelector('input[type=file]')") is None


BROKEN = """
\'\'\'A section of the administration that cannot be drawn.\'\'\'
from relay.plugin import PageExtension, hookimpl

@hookimpl
def relay_page():
    return PageExtension(
        module=None, admin="export const section = { label: 'Odd', draw() { throw new Error('on purpose'); } };\\n"
    )
"""


async def test_a_section_that_fails_costs_the_others_nothing_and_its_author_is_told(
    chromium: str, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "odd.py").write_text(BROKEN)
    settings = {"plugins": {"directories": [str(tmp_path / "own")]}}
    async with open_place(chromium, tmp_path, "alice", settings=settings) as place:
        place.server.relay("user", "role", "alice", "owner")
        page = await open_administration(place, "alice")
        await page.evaluate("location.hash = '#/plugin-odd'")
        await page.wait(
            "document.querySelector('.failure')?.textContent.startsWith('The plugin odd could not draw this')"
        )
        with place.server.rest(place.tokens["alice"]) as rest:
            while rest.get("/api/admin/plugins/odd").json()["page_faults"] == 0:
                await trio.sleep(0.05)
        await go(page, "queues")
        page.errors.clear()  # the fault that was told in the console


async def test_others_are_told_that_it_is_not_theirs(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "mona") as place:
        place.server.relay("user", "role", "mona", "moderator")
        page = await open_administration(place, "alice")
        await page.wait("document.body.textContent.includes('This is for those who look after the server')")
        await page.close()
        moderator = await open_administration(place, "mona")
        await moderator.wait("document.querySelector('.admin-nav a')")
        sections = await moderator.evaluate(
            "[...document.querySelectorAll('.admin-nav a')].map((one) => one.dataset.section)"
        )
        assert sections == ["reports"]
        await go(moderator, "reports")
        place.server.relay("user", "disable", "mona")
        await moderator.evaluate("location.hash = '#/reports?state=open'")
        await moderator.wait("named('Sign in')")
