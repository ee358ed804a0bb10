"""Signing out at the provider as well: where the browser is led, with what, and what another site cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from joserfc import jws

from plugins.oidc.flows import Flows
from tests.plugins.oidc.people import BASE, ERIN, PUBLIC, Browser, opened, query_of
from tests.plugins.oidc.provider import CLIENT_ID, OLD_WAYS, RealProvider, providing

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]
PAGE = "../../../"


def ends_sessions(provider: RealProvider, query: str = "") -> str:
    """Have a provider say where people sign out; return the address."""
    url = f"{provider.url}/oauth2/end_session{query}"
    provider.told = {"end_session_endpoint": url}
    return url


async def test_who_signs_out_here_is_led_to_the_provider_with_the_token_of_their_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        url = ends_sessions(provider, "?realm=example")
        async with opened(tmp_path, provider, logout=True) as world:
            browser = Browser(world)
            answer = await browser.sign_in()
            assert answer.body["sign_out"] == f"{BASE}/logout"
            parts = {part.strip() for part in browser.set_cookie.split(";")}
            assert {"HttpOnly", "SameSite=Strict", "Secure", f"Path={urlsplit(PUBLIC).path}{BASE}/logout"} <= parts
            out = await browser.ask("GET", f"{BASE}/logout")
            assert out.status == 303
            to = out.headers["location"]
            assert to.partition("?")[0] == url.partition("?")[0]
            told = query_of(to)
            assert (told["realm"], told["client_id"]) == ("example", CLIENT_ID)
            assert told["post_logout_redirect_uri"] == f"{PUBLIC}/"
            assert json.loads(jws.extract_compact(told["id_token_hint"].encode()).payload)["sub"] == "1001"
            assert told["id_token_hint"] not in browser.cookie
            assert "Max-Age=0" in browser.set_cookie


async def test_a_browser_that_did_not_sign_in_here_is_led_there_without_a_token_so_that_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        ends_sessions(provider)
        async with opened(tmp_path, provider, logout=True) as world:
            await Browser(world).sign_in()
            for cookie in (None, "relay_oidc_out=made-up", f"relay_oidc_out={Flows().sealed('of another start')}"):
                stranger = Browser(world)
                stranger.cookie = cookie
                out = await stranger.ask("GET", f"{BASE}/logout")
                assert query_of(out.headers["location"]).keys() == {"client_id", "post_logout_redirect_uri"}


async def test_without_the_option_nothing_of_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        ends_sessions(provider)
        async with opened(tmp_path, provider) as world:
            browser = Browser(world)
            answer = await browser.sign_in()
            assert answer.body["sign_out"] is None
            assert "relay_oidc_out" not in browser.set_cookie
            assert (await browser.ask("GET", f"{BASE}/logout")).status == 404


async def test_a_provider_that_signs_nobody_out_leaves_them_on_the_page_and_the_operator_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        provider.told = {"end_session_endpoint": None}
        async with opened(tmp_path, provider, logout=True) as world:
            out = await Browser(world).ask("GET", f"{BASE}/logout")
            assert (out.status, out.headers["location"]) == (303, PAGE)
            assert "it has no end_session_endpoint" in caplog.text


async def test_an_address_without_tls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        provider.told = {"end_session_endpoint": "ftp://elsewhere.example/"}
        async with opened(tmp_path, provider, logout=True) as world:
            out = await Browser(world).ask("GET", f"{BASE}/logout")
            assert out.headers["location"] == PAGE


async def test_a_token_that_is_too_long_for_a_cookie_is_left_out() -> None:
    assert Flows().sealed("x" * 5_000) is None
    flows = Flows()
    assert flows.unsealed(flows.sealed("a token")) == "a token"
