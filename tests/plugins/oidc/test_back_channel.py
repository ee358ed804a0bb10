"""Sign-outs that the provider tells relay of: which logins end, and which words are not believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt

from relay.testing import World
from tests.plugins.oidc.people import BASE, ERIN, Browser, opened
from tests.plugins.oidc.provider import CLIENT_ID, KEYS, OLD_WAYS, RealProvider, providing

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def logout_token(provider: RealProvider, key: str = "one", **changed: Any) -> str:
    """Return a logout token as the provider makes it; a claim that is None is left out."""
    now = int(provider.now())
    claims = {"iss": provider.url, "aud": CLIENT_ID, "sub": "1001", "iat": now, "exp": now + 120, "jti": "1"}
    claims |= {"events": {EVENT: {}}, "sid": "a session there"} | changed
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "RS256", "kid": key, "typ": "logout+jwt"}, given, KEYS[key])


async def tell(world: World, **form: str) -> Any:
    """Call relay as the provider does."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await world.rest(
        "POST", f"{BASE}/back-channel-logout", None, data=urlencode(form).encode(), headers=headers
    )


async def test_who_signs_out_there_is_signed_out_here_on_every_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "bob") as world:
            tokens = [(await Browser(world).sign_in()).body["token"] for _ in range(2)]
            assert (await tell(world, logout_token=logout_token(provider, sub="somebody else"))).status == 204
            for token in tokens:
                assert (await world.rest("GET", "/api/users/me", token)).status == 200
            assert (await tell(world, logout_token=logout_token(provider, exp=None))).status == 204
            for token in tokens:
                assert (await world.rest("GET", "/api/users/me", token)).status == 401
            assert (await world.rest("GET", "/api/users/me", "bob")).status == 200
            assert (await tell(world, logout_token=logout_token(provider))).status == 204  # told twice
            assert (await Browser(world).sign_in()).status == 200


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "another client"}, "aud"),
        ({"iss": "https://elsewhere.example"}, "iss"),
        ({"sub": None}, "sub"),
        ({"iat": None}, "iat"),
        ({"events": None}, "events"),
        ({"events": {EVENT: "yes"}}, "events"),
        ({"nonce": "of an ID token"}, "nonce"),
        ({"iat": 1_000_000_000, "exp": None}, "clocks"),
        ({"exp": 1_000_000_000}, "clocks"),
        ({"key": "two"}, "logout token"),
    ],
)
async def test_a_token_that_is_not_one_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], why: str
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            token = (await Browser(world).sign_in()).body["token"]
            answer = await tell(world, logout_token=logout_token(provider, **changed))
            assert (answer.status, answer.body["code"]) == (400, "invalid_payload")
            assert why in answer.body["detail"]
            assert (await world.rest("GET", "/api/users/me", token)).status == 200


async def test_what_is_no_token_at_all_is_refused_and_a_provider_that_is_down_is_asked_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            for form in ({}, {"logout_token": "x"}, {"logout_token": "x" * 20_000}, {"other": "1"}):
                assert (await tell(world, **form)).status == 400
            assert provider.asked.count("/jwks") <= 2
    with providing(monkeypatch, ERIN) as provider:
        provider.status = 503
        async with opened(tmp_path / "..", provider) as world:
            assert (await tell(world, logout_token=logout_token(provider))).status == 503
