"""Single sign-on in a real browser: the button, the provider's page, and back in relay."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from oidc_provider_mock import User

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import PASSWORD, Place, account, open_place
from tests.plugins.oidc.provider import OLD_WAYS, SECRET, RealProvider, providing

pytestmark = [pytest.mark.e2e, OLD_WAYS]

ERIN = User(
    sub="erin-1001", claims={"preferred_username": "erin", "name": "Erin Example", "email": "e@example.org"}
)
SIGNED_IN = "document.querySelector('.me strong')?.textContent === {}"
ASKED = "[...document.querySelectorAll('button')].find((one) => one.textContent === {})"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealProvider]:
    with providing(monkeypatch, ERIN) as running:
        yield running


@asynccontextmanager
async def opened(
    chromium: str,
    folder: Path,
    provider: RealProvider,
    *users: str,
    by_password: bool = True,
    logout: bool = False,
) -> AsyncIterator[Place]:
    """Run a server whose people sign in there, at the address that the browser opens."""
    secret = folder / "client_secret"
    secret.write_text(SECRET)
    provided = {
        "issuer": provider.url,
        "client_id": "relay",
        "client_secret_file": str(secret),
        "title": "Example Inc.",
        "logout": logout,
    }
    tables: Any = {
        "plugins": {"also": ["oidc"]},
        "plugins.oidc": {"allow_networks": ["127.0.0.0/8"]},
        "plugins.oidc.providers.there": provided,
        "accounts": {"password_login": by_password},
    }
    async with open_place(chromium, folder, *users, settings=tables) as place:
        toml = place.server.config.read_text()
        place.server.config.write_text(toml.replace("[server]\n", f'[server]\npublic_url = "{place.url}"\n'))
        place.server.stop()
        place.server.start()
        yield place


async def sign_in_there(page: Page, sub: str = "erin-1001") -> None:
    """Press somebody's button on the provider's page."""
    found = ASKED.format(json.dumps(sub))
    await page.wait(found)
    await page.evaluate(f"{found}.click()")


async def test_a_button_a_page_elsewhere_and_one_is_in(
    chromium: str, tmp_path: Path, provider: RealProvider
) -> None:
    async with opened(chromium, tmp_path, provider, "bob", by_password=False) as place:
        page = await place.tab("new")
        await page.wait("named('Sign in with Example Inc.')")
        # Nobody signs in by a password here: there is nothing but the button.
        await page.wait("![...document.querySelectorAll('.card input')].some((one) => one.checkVisibility())")
        await page.screenshot(tmp_path / "alone.png")
        await page.click("Sign in with Example Inc.")
        await sign_in_there(page)
        await page.wait(SIGNED_IN.format("'Erin Example'"))
        assert await page.evaluate("location.hash") == ""
        assert "rly_" in await page.evaluate("localStorage.getItem('relay.session')")
        kept = await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")
        assert "id_token" not in kept
        assert "relay_oidc" not in kept  # no script reads the cookie


async def test_an_account_that_has_the_name_is_connected_by_its_password(
    chromium: str, tmp_path: Path, provider: RealProvider
) -> None:
    async with opened(chromium, tmp_path, provider, "erin") as place:
        place.server.relay("user", "passwd", "erin", "--password-stdin", stdin=f"{PASSWORD}\n")
        page = await place.tab("new")
        await page.wait("named('Sign in with Example Inc.')")
        await page.screenshot(tmp_path / "beside.png")
        await page.click("Sign in with Example Inc.")
        await sign_in_there(page)
        await page.wait("document.querySelector('.card .told')?.textContent.includes('Example Inc.')")
        await page.screenshot(tmp_path / "connect.png")
        assert await page.evaluate("document.querySelector('[name=user_id]').value") == "erin"
        await page.write("Password", PASSWORD)
        await page.click("Sign in")
        await page.wait(SIGNED_IN.format("'erin'"))
        other = await place.tab("other")
        await other.click("Sign in with Example Inc.")
        await sign_in_there(other)
        await other.wait(SIGNED_IN.format("'erin'"))


async def test_a_signed_in_user_connects_their_account_in_the_settings(
    chromium: str, tmp_path: Path, provider: RealProvider
) -> None:
    async with opened(chromium, tmp_path, provider, "alice") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        page = await place.signed_in("alice")
        await account(page, "Settings")
        await page.click("Sign-in services")
        await page.click("Connect")
        await sign_in_there(page)
        await page.wait("document.body.textContent.includes('You can sign in with Example Inc. from now on.')")
        await account(page, "Settings")
        await page.click("Sign-in services")
        await page.wait(
            "document.querySelector('.settings .page')?.textContent.includes('Connected as e@example.org')"
        )
        await page.screenshot(tmp_path / "connected.png")
        # A link that somebody else made connects nothing, and the page stays as it is.
        await page.go(f"{place.url}/#way=there:{'x' * 43}")
        await page.reload()
        await page.wait(SIGNED_IN.format("'alice'"))
        await page.wait("location.hash === ''")


async def test_what_went_wrong_is_told_in_peoples_words(
    chromium: str, tmp_path: Path, provider: RealProvider
) -> None:
    async with opened(chromium, tmp_path, provider, "bob") as place:
        page = await place.tab("new")
        await page.wait("named('Sign in with Example Inc.')")
        provider.status = 503
        await page.click("Sign in with Example Inc.")
        await page.wait("document.querySelector('.card .failure')?.textContent.includes('does not answer')")
        assert await page.evaluate("location.hash") == ""
        provider.status = 200
        await page.click("Sign in with Example Inc.")
        await page.wait(ASKED.format("'Deny'"))
        await page.evaluate(f"{ASKED.format(json.dumps('Deny'))}.click()")
        await page.wait("document.querySelector('.card .failure')?.textContent.length > 0")
        await page.evaluate("history.replaceState(null, '', '#way-failed=constructor')")
        await page.reload()
        await page.wait("document.querySelector('.card .failure')?.textContent.includes('That did not work')")


async def test_who_signs_out_here_signs_out_there_and_comes_back_to_the_form(
    chromium: str, tmp_path: Path, provider: RealProvider
) -> None:
    async with opened(chromium, tmp_path, provider, "bob", logout=True) as place:
        page = await place.tab("new")
        await page.click("Sign in with Example Inc.")
        await sign_in_there(page)
        await page.wait(SIGNED_IN.format("'Erin Example'"))
        await account(page, "Sign out")
        end = ASKED.format("'End session'")
        await page.wait(end)
        # With the token of the sign-in; without it the provider says that it is not set.
        assert await page.evaluate("document.body.textContent.includes('id_token_hint')")
        assert not await page.evaluate("document.body.textContent.includes('not set')")
        await page.evaluate(f"{end}.click()")
        await page.wait("named('Sign in with Example Inc.')")
        assert await page.evaluate("localStorage.getItem('relay.session')") is None
