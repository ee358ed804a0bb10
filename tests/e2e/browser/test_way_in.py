"""The way in: what is seen before the scripts, what the form says, and how little the first view takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio

import relay
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import PASSWORD, open_place
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

WEB = Path(relay.__file__).parent / "web"

MAX_REQUESTS, MAX_BYTES = 15, 100_000
FIELD = "[...document.querySelectorAll('.card .field')].find((one) => one.querySelector('input')?.name === '{}')"
ENTRIES = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"


async def tells(page: Page, field: str, text: str) -> None:
    """Wait until a field says what is wrong with it."""
    await page.wait(f"{FIELD.format(field)}?.querySelector('.wrong').textContent.includes({json.dumps(text)})")


async def test_the_form_is_there_before_the_scripts_and_keeps_what_was_typed(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        page = await place.tab("alice", "/app/icon.svg")
        await page.send("Fetch.enable", patterns=[{"urlPattern": "*/app/*main*.js"}])
        await page.go(place.url)
        await page.wait("document.querySelector('.early input')?.checkVisibility()")
        with trio.fail_after(PATIENCE):
            while not page.paused:
                await trio.sleep(0.02)
        assert await page.evaluate("document.querySelector('.early button').disabled")
        await page.write("Name", "ali")
        await page.proceed()
        await page.wait("!document.querySelector('.early') && document.querySelector('.card')")
        await page.insert("ce")  # who is just typing goes on where they were
        await page.wait("document.querySelector('[name=user_id]').value === 'alice'")
        await page.write("Password", PASSWORD)
        await page.click("Sign in")
        await page.wait("document.querySelector('.me strong')?.textContent === 'alice'")


async def test_a_first_view_is_few_requests_and_few_bytes_and_a_second_one_hardly_any(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", service_worker=True) as place:
        page = await place.tab("new")
        await page.wait("document.querySelector('.card') && !document.querySelector('.early')")
        await page.wait("document.readyState === 'complete'")
        taken = await page.evaluate(f"{ENTRIES}.map(({{name, encodedBodySize}}) => [name, encodedBodySize])")
        assert len(taken) <= MAX_REQUESTS, taken
        assert sum(size for _, size in taken) <= MAX_BYTES, taken


async def test_the_form_says_how_one_gets_an_account_and_what_is_wrong_next_to_the_field(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path) as place:
        page = await place.tab("new")
        await page.wait("document.querySelector('.card .told')?.textContent.includes('printed a link')")
        await page.click("I have an invitation")
        await page.write("Password", "short")
        await page.click("Create account")
        await tells(page, "user_id", "Name is missing")
        await tells(page, "password", "At least 8 characters")
        await tells(page, "invite", "Paste the link")
        code = place.server.relay("user", "invite").strip().split("=")[-1]
        place.server.import_users(["erin"])
        await page.write("Name", "Erin")
        await page.write("Password", " and longer")
        await page.write("Invitation", f"https://chat.example.org/#invite={code}")
        await page.click("Create account")
        await tells(page, "user_id", "taken")
        await page.evaluate("document.querySelector('[name=user_id]').select()")
        await page.write("Name", "dora")
        await page.click("Show the password")
        await page.wait("document.querySelector('[name=password]').type === 'text'")
        await page.click("Create account")
        await page.wait("document.querySelector('.me strong')?.textContent === 'dora'")


async def test_the_page_is_french_by_the_browser_or_by_choice(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice") as place:
        page = await place.tab("new")
        await page.click("Français")
        await page.wait(
            "document.querySelector('h1')?.textContent === 'Connexion' && document.documentElement.lang === 'fr'"
        )
        await page.click("Se connecter")
        await tells(page, "user_id", "Champ à remplir")
        await page.click("English")
        await page.wait("document.querySelector('h1')?.textContent === 'Sign in'")
        await page.evaluate("localStorage.clear()")
        await page.send("Emulation.setUserAgentOverride", userAgent="relay", acceptLanguage="fr-CH,fr,en")
        await page.reload()
        await page.wait("document.querySelector('h1')?.textContent === 'Connexion'")


def test_the_form_of_the_document_says_what_that_of_the_scripts_does() -> None:
    page = (WEB / "app" / "index.html").read_text(encoding="utf-8")
    for language in ("en", "fr"):
        known = (WEB / "app" / "words" / f"{language}.js").read_text(encoding="utf-8")
        shown = re.findall(rf'<span lang="{language}">([^<]+)</span>', page)
        assert len(shown) == 4
        for text in shown:
            assert f'"{text}"' in known
