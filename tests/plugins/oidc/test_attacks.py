"""What is wrong, forged, stolen or used twice lets nobody in, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plugins.oidc.people import BASE, ERIN, Browser, failure_of, opened, query_of
from tests.plugins.oidc.provider import OLD_WAYS, RealProvider, providing, sign_in_there

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]


def changed(**claims: Any) -> Any:
    """Return a change of an ID token's claims; None takes one out."""

    def change(_header: dict[str, Any], told: dict[str, Any]) -> None:
        told.update(claims)
        for name in [name for name, value in told.items() if value is None]:
            del told[name]

    return change


def later(**seconds: int) -> Any:
    """Return a change of an ID token's times, from when it was issued."""

    def change(_header: dict[str, Any], told: dict[str, Any]) -> None:
        issued = told["iat"]
        told.update({name: issued + more for name, more in seconds.items()})

    return change


WRONG: dict[str, tuple[Any, str]] = {
    "another nonce": (changed(nonce="theirs"), "sso_bad_answer"),
    "no nonce": (changed(nonce=None), "sso_bad_answer"),
    "another audience": (changed(aud="shop"), "sso_bad_answer"),
    "audiences and no authorized party": (changed(aud=["relay", "shop"]), "sso_bad_answer"),
    "another issuer": (changed(iss="https://id.example.org"), "sso_bad_answer"),
    "no subject": (changed(sub=None), "sso_bad_answer"),
    "a subject that is no text": (changed(sub=7), "sso_bad_answer"),
    "another access token": (changed(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), "sso_bad_answer"),
    "an end that is no number": (changed(exp="later"), "sso_clock"),
    "expired": (later(exp=-3600), "sso_clock"),
    "from the future": (later(iat=3600), "sso_clock"),
    "not good yet": (later(nbf=3600), "sso_clock"),
    "no end": (changed(exp=None), "sso_bad_answer"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_id_token_that_is_wrong_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        provider.change, reason = WRONG[wrong]
        async with opened(tmp_path, provider) as world:
            assert failure_of(await Browser(world).visit()) == reason
            assert world.engine.registry.guard("oidc").failures == 0  # type: ignore[union-attr]


def unsigned(provider: RealProvider) -> None:
    provider.unsigned = True


def of_a_key_that_is_not_told(provider: RealProvider) -> None:
    provider.signing = "two"


def of_a_key_of_that_name(provider: RealProvider) -> None:
    provider.signing = "two"
    provider.change = lambda header, claims: header.update(kid="one")


@pytest.mark.parametrize("forge", [unsigned, of_a_key_that_is_not_told, of_a_key_of_that_name])
async def test_a_signature_that_is_not_the_providers_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forge: Any
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        forge(provider)
        async with opened(tmp_path, provider) as world:
            assert failure_of(await Browser(world).visit()) == "sso_bad_answer"


async def test_keys_may_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            assert (await Browser(world).sign_in()).status == 200
            fetched = provider.asked.count("/jwks")
            assert (await Browser(world).sign_in()).status == 200
            assert provider.asked.count("/jwks") == fetched
            provider.published, provider.signing = ["one", "two"], "two"
            assert (await Browser(world).sign_in()).status == 200
            assert provider.asked.count("/jwks") == fetched + 1


async def test_a_state_is_one_browsers_and_is_used_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            browser, other = Browser(world), Browser(world)
            back = await sign_in_there(await browser.leave(), "1001")
            assert failure_of(await Browser(world).come_back(back)) == "sso_expired"
            await other.leave()
            assert failure_of(await other.come_back(back)) == "sso_expired"
            state = query_of(back)["state"]
            assert failure_of(await browser.come_back(back.replace(state, state[:-1] + "%C3%A9"))) == "sso_expired"
            assert provider.exchanged == []
            first = await browser.come_back(back)
            assert failure_of(await browser.come_back(back)) == "sso_used"
            assert len(provider.exchanged) == 1
            # The page's code is this browser's as well, and is used once.
            stolen = await other.finish(first)
            assert (stolen.status, stolen.body["details"]["reason"]) == (403, "sso_expired")
            assert (await browser.finish(first)).status == 200
            assert (await browser.finish(first)).body["details"]["reason"] == "sso_expired"


async def test_a_code_that_was_used_elsewhere_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            victim, thief = Browser(world), Browser(world)
            stolen = query_of(await sign_in_there(await victim.leave(), "1001"))["code"]
            state = query_of(await thief.leave())["state"]
            # PKCE: the code belongs to the victim's verifier.
            back = f"{BASE}/callback?code={stolen}&state={state}"
            assert failure_of(await thief.come_back(back)) == "sso_used"


async def test_a_sign_in_that_took_too_long_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            flows = sys.modules["relay_plugin_oidc.flows"]
            browser = Browser(world)
            monkeypatch.setattr(flows, "SECONDS", -1.0)
            assert failure_of(await browser.visit()) == "sso_expired"
            monkeypatch.setattr(flows, "SECONDS", 600.0)
            back = await sign_in_there(await browser.leave(), "1001")
            monkeypatch.setattr(flows, "SECONDS", -1.0)
            late = await browser.finish(await browser.come_back(back))
            assert late.body["details"]["reason"] == "sso_expired"


async def test_another_issuer_is_nobodys_and_an_answer_names_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            browser = Browser(world)
            back = await sign_in_there(await browser.leave(), "1001")
            assert failure_of(await browser.come_back(f"{back}&iss=https://evil.example")) == "sso_wrong_issuer"
        provider.told = {"issuer": "https://evil.example"}
        (tmp_path / "other").mkdir()
        async with opened(tmp_path / "other", provider) as world:
            assert failure_of(await Browser(world).leave()) == "sso_wrong_issuer"
            assert "https://evil.example" in caplog.text


async def test_a_provider_that_is_down_broken_or_slow_is_no_failure_of_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        quick = {"RELAY_TIMEOUTS__HANDLER_SECONDS": "1"}
        async with opened(tmp_path, provider, environ=quick) as world:
            browser = Browser(world)
            back = await sign_in_there(await browser.leave(), "1001")
            provider.delay = 1.5
            assert failure_of(await browser.come_back(back)) == "sso_unreachable"
            provider.delay, provider.status = 0.0, 502
            back = await sign_in_there(await _leave_at(provider, browser), "1001")
            provider.status = 502
            assert failure_of(await browser.come_back(back)) == "sso_unreachable"
            assert world.engine.registry.guard("oidc").failures == 0  # type: ignore[union-attr]
    async with opened(tmp_path / "..", provider) as world:  # it is not there any more
        assert failure_of(await Browser(world).leave()) == "sso_unreachable"


async def _leave_at(provider: RealProvider, browser: Browser) -> str:
    provider.status = 200
    return await browser.leave()


async def test_addresses_that_nobody_named_are_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        elsewhere = {"RELAY_PLUGINS__OIDC__ALLOW_NETWORKS": '["10.0.0.0/8"]'}
        async with opened(tmp_path, provider, environ=elsewhere) as world:
            assert failure_of(await Browser(world).leave()) == "sso_unreachable"
            assert provider.asked == []
