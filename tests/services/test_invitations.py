"""Invitations: for which groups, and that whoever registers is in them, also after a restart that came between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role, ServerRole
from relay.services.audit import Actor
from relay.storage import accounts, invites
from relay.testing import World
from tests.services.test_accounts import PASSWORD, people
from tests.services.test_audit import entries

ALICE = Actor("alice", ServerRole.OWNER, "rest", "192.0.2.9", "laptop")
OPERATOR = Actor.operator(0)


async def register(world: World, name: str, invite: str) -> None:
    await world.engine.registration.register(name, PASSWORD, invite=invite, display_name=None, client_id=None)


async def members(world: World, group_id: str) -> set[str]:
    group = await world.engine.channels.group(group_id)
    assert group is not None
    return set(group.members)


async def test_whoever_registers_joins_the_groups_of_the_invite(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", "bob") as world:
        for group_id in ("team", "choir"):
            await world.engine.groups.create("alice", group_id, [], group_id)
        code, made = await world.engine.invitations.make(ALICE, uses=2, group_ids=["team", "choir", "team"])
        assert made.group_ids == ("team", "choir")
        by_operator, _ = await world.engine.invitations.make(OPERATOR, group_ids=["team"])
        await register(world, "carol", code)
        await register(world, "dave", f"https://chat.example.org/#invite={by_operator}")
        assert await members(world, "team") == {"alice", "carol", "dave"}
        assert await members(world, "choir") == {"alice", "carol"}
        assert await world.engine.runner.read(invites.joins) == []
        used = await world.engine.runner.read(lambda c: invites.uses_of(c, made.invite_id))
        assert [one.user_id for one in used] == ["carol"]


async def test_only_who_may_add_members_invites_to_a_group(tmp_path: Path) -> None:
    async with people(tmp_path, "alice", "bob", "carol") as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        await world.engine.invitations.make(OPERATOR, group_ids=["team"])
        for name, code in (("bob", ErrorCode.FORBIDDEN), ("carol", ErrorCode.NOT_FOUND)):
            by = ALICE._replace(by=name)
            with pytest.raises(RelayError) as refused:
                await world.engine.invitations.make(by, group_ids=["team"])
            assert refused.value.code is code
        with pytest.raises(RelayError, match="'nothing'"):
            await world.engine.invitations.make(OPERATOR, group_ids=["nothing"])


async def test_an_account_stays_where_a_group_cannot_be_joined_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with people(tmp_path, "alice", "bob", RELAY_LIMITS__GROUP_MEMBERS="2") as world:
        groups = world.engine.groups
        for group_id in ("gone", "full", "left"):
            await groups.create("alice", group_id, [], group_id)
        code, _ = await world.engine.invitations.make(ALICE, group_ids=["gone", "full", "left"])
        await groups.delete("alice", "gone")
        await groups.put_member("alice", "full", "bob", Role.MEMBER)
        await groups.put_member("alice", "left", "bob", Role.OWNER)
        await groups.put_member("bob", "left", "alice", Role.MEMBER)
        await register(world, "carol", code)
        assert await members(world, "full") == {"alice", "bob"}
        assert await members(world, "left") == {"alice", "bob"}
        told = sorted(one.getMessage()[:38] for one in caplog.records if "did not join" in one.getMessage())
        assert told == [
            "carol was invited to the group full, a",
            "carol was invited to the group gone, a",
            "carol was invited to the group left, a",
        ]
        assert await world.engine.runner.read(invites.joins) == []


async def test_who_registered_before_a_crash_joins_after_it(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        await world.engine.groups.create("alice", "Team", [], "team")
        code, _ = await world.engine.invitations.make(ALICE, group_ids=["team"])
        now = world.engine.now()

        def as_far_as_the_commit(connection: sqlite3.Connection) -> None:
            invites.use_invite(connection, code, now, "carol")
            accounts.create_user(connection, "carol", now)

        await world.engine.runner.write(as_far_as_the_commit)
        async with world.after_crash(tmp_path / "again") as again:
            await trio.sleep(1)
            assert await members(again, "team") == {"alice", "carol"}


async def test_an_invite_that_was_taken_back_is_good_for_nothing_and_stays_in_the_list(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        for named in ("{id}", "{code}", "https://chat.example.org/x/#invite={code}"):
            code, made = await world.engine.invitations.make(ALICE, label="for Carol")
            await world.engine.invitations.revoke(OPERATOR, named.format(id=made.invite_id, code=code))
            with pytest.raises(RelayError, match="wrong, used up"):
                await register(world, "carol", code)
            with pytest.raises(RelayError, match="no invite"):
                await world.engine.invitations.revoke(OPERATOR, made.invite_id)
        now = world.engine.now()
        listed = await world.engine.runner.read(lambda c: invites.listed(c, now, after="", limit=9))
        ended = await world.engine.runner.read(lambda c: invites.listed(c, now, after="", limit=9, ended=True))
        assert (listed, [one.label for one in ended]) == ([], ["for Carol"] * 3)


async def test_invitations_are_in_the_audit_log_and_make_no_role_above_their_makers(tmp_path: Path) -> None:
    async with people(tmp_path, "alice") as world:
        code, made = await world.engine.invitations.make(ALICE, role="admin", label="for Carol")
        await world.engine.invitations.revoke(OPERATOR, code)
        found = await entries(world)
        assert [(one["act"], one["by"], one["about"]["id"]) for one in found] == [
            ("invite.revoked", None, made.invite_id),
            ("invite.created", "alice", made.invite_id),
        ]
        assert found[1]["details"]["label"] == "for Carol"
        assert code not in str(found)
        with pytest.raises(RelayError) as refused:
            await world.engine.invitations.make(ALICE._replace(role=ServerRole.ADMIN), role="admin")
        assert refused.value.code is ErrorCode.FORBIDDEN
