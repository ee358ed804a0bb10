"""Roles on the server by a provider's groups, at each sign-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from oidc_provider_mock import User

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import World
from tests.plugins.oidc.people import Browser, opened
from tests.plugins.oidc.provider import OLD_WAYS, RealProvider, providing

pytestmark = [pytest.mark.trio, pytest.mark.real_time, OLD_WAYS]

ERIN = User(sub="1001", claims={"preferred_username": "erin"})
ROLES = {"chat admins": "admin", "helpdesk": "moderator", "outside": "guest"}
BY_GROUPS: dict[str, Any] = {"groups_claim": "realm.groups", "roles": ROLES}


def be_in(provider: RealProvider, groups: Any) -> None:
    """Have the provider say that everybody is in these groups."""
    provider.change = lambda header, claims: claims.update(realm={"groups": groups})


async def role(world: World, token: str) -> str:
    return str((await world.rest("GET", "/api/users/me", token)).body["role"])


async def test_the_highest_of_ones_groups_counts_anew_at_each_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = {"RELAY_LIMITS__LOGINS_PER_MINUTE": "0"}
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, environ=often, **BY_GROUPS) as world:
            first = None
            for groups, expected in (
                (["helpdesk", "staff", "chat admins"], "admin"),
                (["outside", "helpdesk"], "moderator"),
                ("outside", "guest"),
                (["staff"], "member"),
                (["chat admins"], "admin"),
                ({"chat admins": True}, "member"),
                ([["chat admins"], 7], "member"),
            ):
                be_in(provider, groups)
                signed_in = (await Browser(world).sign_in()).body
                first = first or signed_in["token"]
                assert await role(world, signed_in["token"]) == expected, groups
                assert await role(world, first) == expected  # on every device, at once


async def test_an_owner_stays_one_and_without_roles_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, **BY_GROUPS) as world:
            be_in(provider, [])
            assert (await Browser(world).sign_in()).status == 200
            await _make(world, ServerRole.OWNER)
            signed_in = (await Browser(world).sign_in()).body
            assert await role(world, signed_in["token"]) == "owner"
        (tmp_path / "plain").mkdir()
        async with opened(tmp_path / "plain", provider) as world:
            be_in(provider, ["chat admins"])
            assert (await Browser(world).sign_in()).status == 200
            await _make(world, ServerRole.MODERATOR)
            signed_in = (await Browser(world).sign_in()).body
            assert await role(world, signed_in["token"]) == "moderator"


async def test_a_change_of_a_role_and_of_a_link_is_in_the_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with providing(monkeypatch, ERIN) as provider:
        async with opened(tmp_path, provider, "root", "alice", **BY_GROUPS) as world:
            await _make(world, ServerRole.OWNER, "root")
            be_in(provider, ["helpdesk"])
            alice = world.tokens["alice"]
            assert (await Browser(world).link(alice)).status == 200
            assert (await Browser(world).sign_in()).body["user_id"] == "alice"
            told = (await world.rest("GET", "/api/admin/audit?about=user:alice", world.tokens["root"])).body[
                "entries"
            ]
            [connected] = [one for one in told if one["act"] == "user.connected"]
            assert (connected["by"], connected["details"]) == ("alice", {"provider": "there", "subject": "1001"})
            [changed] = [one for one in told if one["act"] == "user.role_changed"]
            assert changed["by"] is None
            assert changed["client"] == "plugin oidc, there"
            assert changed["details"] == {"before": "member", "after": "moderator", "reason": "groups at there"}


async def _make(world: World, given: ServerRole, user_id: str = "erin") -> None:
    await world.engine.runner.write(lambda connection: accounts.update_user(connection, user_id, role=given))
    world.engine.accounts.forget()
