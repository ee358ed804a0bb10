"""Signing in at a provider: the way out and back, new accounts, and the login that comes of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from oidc_provider_mock import User

from relay.plugin import Actor
from tests.plugins.oidc.people import BASE, ERIN, PUBLIC, Browser, failure_of, opened, query_of
from tests.plugins.oidc.provider import CLIENT_ID, NAME, OLD_WAYS, providing, sign_in_there

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]


async def test_who_signs_in_there_has_an_account_and_an_ordinary_login_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            browser = Browser(world)
            url = await browser.leave()
            assert url.startswith(f"{provider.url}/oauth2/authorize?")
            asked = query_of(url)
            assert asked["redirect_uri"] == f"{PUBLIC}/api/oidc/{NAME}/callback"
            assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
            assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile email", "S256")
            assert {"state", "nonce", "code_challenge"} <= asked.keys()
            cookie = browser.set_cookie
            assert f"Path={urlsplit(PUBLIC).path}{BASE}" in cookie
            assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in cookie.split(";")}
            assert asked["state"] not in cookie
            answer = await browser.finish(await browser.come_back(await sign_in_there(url, "1001")))
            assert answer.status == 200, answer.body
            assert answer.body["user_id"] == "erin"
            (_headers, form), *more = provider.exchanged
            assert not more
            assert form["code_verifier"]
            me = await world.rest("GET", "/api/users/me", answer.body["token"])
            assert (me.body["display_name"], me.body["admin"]) == ("Erin Example", False)
            assert me.body["token_expires_at"] == answer.body["expires_at"]
            devices = await world.rest("POST", "/api/logout", answer.body["token"])
            assert devices.status == 204
            assert (await world.rest("GET", "/api/users/me", answer.body["token"])).status == 401
            again = await Browser(world).sign_in()
            assert again.body["user_id"] == "erin"


async def test_the_secret_goes_as_the_provider_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            assert (await Browser(world).sign_in()).status == 200
            headers, form = provider.exchanged[-1]
            assert headers["Authorization"].startswith("Basic ")
            assert "client_secret" not in form
        provider.told = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        async with opened(tmp_path / "..", provider) as world:
            assert (await Browser(world).sign_in()).status == 200
            headers, form = provider.exchanged[-1]
            assert "Authorization" not in headers
            assert form["client_secret"]


async def test_the_page_is_told_of_the_way_and_a_name_that_is_here_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "Erin") as world:
            told = await world.rest("GET", "/api/registration", None)
            assert told.body["ways"] == [{"name": NAME, "title": "There", "path": BASE, "linkable": True}]
            assert told.body["password_login"] is True
            answer = await Browser(world).sign_in()
            assert (answer.status, answer.body["details"]["reason"]) == (409, "sso_name_taken")


async def test_nobody_comes_in_who_may_not_or_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = User(sub="1002", claims={"preferred_username": "auth0|5f", "name": "Nobody"})
    with providing(monkeypatch, ERIN, nobody) as provider:
        async with opened(tmp_path, provider) as world:
            answer = await Browser(world).sign_in("1002")
            assert (answer.status, answer.body["details"]["reason"]) == (403, "sso_no_name")
            assert "auth0|5f" in answer.body["detail"]
        (tmp_path / "closed").mkdir()
        async with opened(tmp_path / "closed", provider, allow_registration=False) as world:
            answer = await Browser(world).sign_in()
            assert (answer.status, answer.body["details"]["reason"]) == (403, "sso_not_registered")


async def test_a_disabled_account_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            assert (await Browser(world).sign_in()).status == 200
            await world.engine.administration.set_disabled(Actor.plugin("test"), "erin", True)
            answer = await Browser(world).sign_in()
            assert (answer.status, answer.body["details"]["reason"]) == (403, "account_disabled")


async def test_claims_that_the_token_lacks_come_from_the_provider_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        provider.change = lambda header, claims: (claims.pop("preferred_username"), None)[1]
        async with opened(tmp_path, provider) as world:
            assert (await Browser(world).sign_in()).body["user_id"] == "erin"
            assert "/userinfo" in provider.asked


async def test_who_says_no_there_and_who_cannot_be_sent_back_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            browser = Browser(world)
            url = await browser.leave()
            back = f"{BASE}/callback?error=access_denied&state={query_of(url)['state']}"
            assert failure_of(await browser.come_back(back)) == "sso_denied"
        (tmp_path / "nowhere").mkdir()
        async with opened(tmp_path / "nowhere", provider, public="") as world:
            assert failure_of(await Browser(world).leave()) == "sso_no_address"


async def test_many_attempts_from_one_address_are_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        few = {"RELAY_LIMITS__LOGINS_PER_MINUTE": "3"}
        async with opened(tmp_path, provider, environ=few) as world:
            answers = [(await world.rest("GET", f"{BASE}/start", None)).status for _ in range(5)]
            assert answers == [303, 303, 303, 429, 429]
