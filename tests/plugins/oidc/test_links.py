"""Accounts that are connected with somebody at a provider, and those that are not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from oidc_provider_mock import User

from relay.storage import account_links, accounts
from relay.testing import World
from tests.engine.test_asking import CHEAP, PASSWORD
from tests.plugins.oidc.people import BASE, ERIN, Browser, code_of, opened
from tests.plugins.oidc.provider import OLD_WAYS, providing

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]

OTHER = User(sub="1002", claims={"preferred_username": "erin2", "email": "other@example.org"})


async def give_password(world: World, user_id: str) -> None:
    hashed = CHEAP.hash(PASSWORD)
    await world.engine.runner.write(
        lambda connection: accounts.update_user(connection, user_id, password_hash=hashed)
    )


def reason(answer: Any) -> tuple[int, str]:
    return answer.status, answer.body["details"]["reason"]


async def test_a_signed_in_user_connects_and_disconnects_their_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN, OTHER) as provider:
        async with opened(tmp_path, provider, "alice", "bob") as world:
            alice, bob = world.tokens["alice"], world.tokens["bob"]
            await give_password(world, "alice")
            browser = Browser(world)
            assert (await browser.ask("GET", f"{BASE}/link", alice)).body["linked"] is False
            linked = await browser.link(alice)
            assert linked.status == 200, linked.body
            shown = (await browser.ask("GET", f"{BASE}/link", alice)).body
            assert (shown["linked"], shown["shown"], shown["used_at"]) == (True, "erin@example.org", None)
            assert (await Browser(world).sign_in()).body["user_id"] == "alice"
            assert (await browser.ask("GET", f"{BASE}/link", alice)).body["used_at"] is not None
            # Nobody else is connected with the same, and alice with nobody else there.
            assert reason(await Browser(world).link(bob)) == (409, "sso_linked_elsewhere")
            assert reason(await Browser(world).link(alice, "1002")) == (409, "sso_linked_otherwise")
            assert (await browser.ask("DELETE", f"{BASE}/link", alice)).status == 204
            assert (await browser.ask("DELETE", f"{BASE}/link", alice)).status == 404
            assert (await Browser(world).sign_in()).body["user_id"] == "erin"


async def test_the_only_way_in_cannot_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            signed_in = (await Browser(world).sign_in()).body
            answer = await world.rest("DELETE", f"{BASE}/link", signed_in["token"])
            assert reason(answer) == (409, "sso_last_way")
            await give_password(world, "erin")
            assert (await world.rest("DELETE", f"{BASE}/link", signed_in["token"])).status == 204


async def test_a_code_for_a_link_signs_nobody_in_and_links_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "alice", "bob") as world:
            from tests.plugins.oidc.provider import sign_in_there

            alice, bob = world.tokens["alice"], world.tokens["bob"]
            browser = Browser(world)
            begun = await browser.ask("POST", f"{BASE}/link/start", alice)
            back = await browser.come_back(await sign_in_there(begun.body["url"], "1001"))
            assert reason(await browser.finish(back)) == (403, "sso_expired")
            answer = await browser.ask("POST", f"{BASE}/link", bob, {"code": code_of(back)})
            assert reason(answer) == (403, "sso_other_account")
            # Nor does a code for signing in connect the account of whoever is signed in.
            other = Browser(world)
            back = await other.visit()
            answer = await other.ask("POST", f"{BASE}/link", bob, {"code": code_of(back)})
            assert reason(answer) == (403, "sso_other_account")


async def test_who_has_the_name_of_an_account_connects_it_by_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "Erin", "mallory") as world:
            await give_password(world, "Erin")
            browser = Browser(world)
            back = await browser.visit()
            answer = await browser.finish(back)
            assert reason(answer) == (409, "sso_needs_link")
            assert answer.body["details"]["user_id"] == "Erin"
            link = {"code": code_of(back)}
            assert reason(await browser.ask("POST", f"{BASE}/link", world.tokens["mallory"], link)) == (
                403,
                "sso_other_account",
            )
            login = await world.rest("POST", "/api/login", json_body={"user_id": "Erin", "password": PASSWORD})
            assert (await browser.ask("POST", f"{BASE}/link", login.body["token"], link)).status == 200
            assert (await Browser(world).sign_in()).body["user_id"] == "Erin"
        (tmp_path / "never").mkdir()
        async with opened(tmp_path / "never", provider, "Erin", link="never") as world:
            await give_password(world, "Erin")
            assert reason(await Browser(world).sign_in()) == (409, "sso_name_taken")


async def test_a_name_that_is_taken_in_the_last_moment_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider) as world:
            real = world.engine.registration.ensure

            async def late(user_id: str, *rest: Any) -> bool:
                await real(user_id, None, "operator")
                return await real(user_id, *rest)

            monkeypatch.setattr(world.engine.registration, "ensure", late)
            assert reason(await Browser(world).sign_in()) == (409, "sso_name_taken")
            monkeypatch.undo()
            tokens = await world.engine.runner.read(lambda found: accounts.list_tokens(found, "erin"))
            assert tokens == []


async def test_an_address_that_both_sides_have_verified_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {"preferred_username": "eve", "email": "Alice@Example.org"}
    right = User(sub="1004", claims={**claims, "email_verified": True})
    said = User(sub="1005", claims={**claims, "preferred_username": "adam", "email_verified": "true"})
    unverified = User(sub="1006", claims={**claims, "preferred_username": "kim"})
    with providing(monkeypatch, right, said, unverified) as provider:
        async with opened(tmp_path, provider, "alice", link="email-verified") as world:
            await world.engine.runner.write(
                lambda connection: account_links.set_address(connection, "alice", "alice@example.org", 1.0)
            )
            assert (await Browser(world).sign_in("1005")).body["user_id"] == "adam"
            assert (await Browser(world).sign_in("1006")).body["user_id"] == "kim"
            assert (await Browser(world).sign_in("1004")).body["user_id"] == "alice"
        (tmp_path / "ask").mkdir()
        async with opened(tmp_path / "ask", provider, "alice") as world:
            await world.engine.runner.write(
                lambda connection: account_links.set_address(connection, "alice", "alice@example.org", 1.0)
            )
            assert (await Browser(world).sign_in("1004")).body["user_id"] == "eve"


async def test_an_erased_account_is_forgotten_and_a_mail_address_is_nobodys_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = User(sub="1003", claims={"preferred_username": "zoe", "email": "erin@example.org"})
    with providing(monkeypatch, ERIN, double) as provider:
        async with opened(tmp_path, provider) as world:
            assert (await Browser(world).sign_in()).body["user_id"] == "erin"
            assert (await Browser(world).sign_in("1003")).body["user_id"] == "zoe"
            await world.engine.leaving.erase("erin")

            def count(connection: sqlite3.Connection) -> Any:
                return connection.execute("SELECT user_id FROM oidc_links").fetchall()

            assert [tuple(row) for row in await world.engine.runner.read(count)] == [("zoe",)]


async def test_an_operator_connects_accounts_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "alice") as world:
            commands = {owned.part.name: owned.part.run for owned in world.engine.registry.parts["relay_commands"]}
            server = world.engine.server_of("oidc")
            found = await commands["oidc test"](server, "there")
            assert (found["ok"], found["keys"], found["issuer"]) == (True, 1, provider.url)
            await commands["oidc link"](server, "there", "alice", "1001")
            assert (await Browser(world).sign_in()).body["user_id"] == "alice"
            (line,) = await commands["oidc links"](server)
            assert (line["user"], line["provider"], line["subject"]) == ("alice", "there", "1001")
            await commands["oidc unlink"](server, "there", "alice")
            assert await commands["oidc links"](server, user="alice") == []
            provider.status = 503
            found = await commands["oidc test"](server, "there")
            assert found["ok"] is False
            assert "503" in found["problem"]
