"""Every act by REST and by the command line: one entry in the audit log each time, and the same state after it.

The list of acts is the enumeration itself: an act without a scenario fails. How the page does them is played in
tests/e2e/browser/test_acts.py.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.app.admin import OPERATIONS, perform
from relay.protocol.kinds import Role, ServerRole
from relay.services.acts import Act
from relay.services.audit import Actor
from relay.storage import accounts
from relay.testing import world as open_world
from tests.app.acts import (
    INVITE,
    SCENARIOS,
    UID,
    USERS,
    Scenario,
    Subjects,
    Way,
    about,
    entries,
    make_team,
    same,
    server_with_plugins,
    state,
)


async def play(folder: Path, scenario: Scenario, way: Way) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Do an act on a server of its own, and return the state after it and the entries that it left."""
    async with server_with_plugins(folder, "alice", "bob") as world:
        if scenario.prepare is not None:
            await scenario.prepare(world, Subjects())
        assert await entries(world) == []
        await way(world, Subjects())
        return await state(world), await entries(world)


def test_every_act_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(Act)


@pytest.mark.parametrize("act", list(Act), ids=str)
async def test_an_act_leaves_one_entry_by_each_way_and_the_same_state(act: Act, tmp_path: Path) -> None:
    scenario, outcomes = SCENARIOS[act], []
    for name, way in (("rest", scenario.rest), ("command line", scenario.operation)):
        if way is None:
            continue
        after, (entry,) = await play(tmp_path / name, scenario, way)
        assert (entry["act"], entry["way"]) == (act, name)
        if name == "rest":
            assert (entry["by"], entry["role"]) == ("root", "owner")
        else:
            assert (entry["by"], entry["client"]) == (None, f"command line, uid {UID}")
        said = msgspec.json.encode(entry).decode()
        assert "password" not in said.replace("user.password_set", "")
        assert "rly_" not in said
        assert INVITE not in said
        outcomes.append((after, about(entry), same(entry["details"])))
    assert outcomes
    assert outcomes[0] == outcomes[-1]


def test_an_operation_that_changes_something_takes_an_actor() -> None:
    looking = {
        name
        for name in OPERATIONS
        if name.rpartition(".")[2] in ("list", "show", "devices", "jobs", "may", "options")
    }
    without = {
        name
        for name, run in OPERATIONS.items()
        if "actor" not in run.__code__.co_varnames[: run.__code__.co_argcount]
    }
    looking |= {name for name in OPERATIONS if name.startswith("user.export_")}
    assert without == looking | {
        "status",
        "storage",
        "cluster.status",
        "mail.test",
        "sample.show",
        "probe.begin",
    }  # they look, and change nothing


async def test_a_change_of_nothing_leaves_no_entry(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await perform(world.engine, "user.enable", {"user_id": "bob"})
        await perform(world.engine, "user.role", {"user_id": "bob", "role": "member"})
        await perform(world.engine, "user.erase", {"user_id": "bob"})
        await perform(world.engine, "user.erase", {"user_id": "bob"})
        assert [one["act"] for one in await entries(world)] == ["user.erased"]


async def test_a_refused_act_leaves_no_entry_and_changes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        for name, role in (("root", ServerRole.OWNER), ("alice", ServerRole.ADMIN)):
            await world.engine.runner.write(partial(accounts.update_user, user_id=name, role=role))
        world.engine.accounts.forget()
        before = await state(world)
        for method, path, body, reason in (
            ("PATCH", f"{USERS}/root", {"disabled": True}, "role_too_high"),
            ("PATCH", f"{USERS}/root", {"role": "member"}, "role_too_high"),
            ("PATCH", f"{USERS}/alice", {"role": "owner"}, "own_account"),
            ("PATCH", f"{USERS}/bob", {"display_name": "Robert", "role": "admin"}, "role_too_high"),
            ("PUT", f"{USERS}/root/password", {"password": "a good password"}, "role_too_high"),
            ("POST", f"{USERS}/root/erase", None, "role_too_high"),
            ("POST", f"{USERS}/root/tokens", {}, "role_too_high"),
            ("POST", USERS, {"user_id": "eve", "role": "admin"}, "role_too_high"),
            ("POST", "/api/admin/invites", {"role": "admin"}, "role_too_high"),
        ):
            given = {} if body is None else {"json_body": body}
            answer = await world.rest(method, path, "alice", **given)
            assert (answer.status, answer.body["details"]["reason"]) == (403, reason), path
        assert (await state(world), await entries(world)) == (before, [])


async def test_the_last_owner_stays(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "root") as world:
        await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=ServerRole.OWNER))
        for op, arguments in (
            ("user.role", {"role": "admin"}),
            ("user.disable", {}),
            ("user.erase", {}),
        ):
            with pytest.raises(Exception, match="last owner") as refused:
                await perform(world.engine, op, {"user_id": "root", **arguments})
            assert refused.value.details == {"reason": "last_owner"}
        await perform(world.engine, "user.role", {"user_id": "alice", "role": "owner"})
        await perform(world.engine, "user.role", {"user_id": "root", "role": "member"})


async def test_a_new_role_holds_for_connections_that_are_open(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await world.connect("bob", "phone")
        await perform(world.engine, "user.role", {"user_id": "bob", "role": "admin"})
        (connection,) = world.engine.connections.of("bob").values()
        assert connection.identity.admin
        assert (await world.rest("GET", "/api/admin/users", "bob")).status == 200


async def test_an_operator_hands_a_group_on(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await make_team(world, Subjects())
        group = await world.engine.group_administration.put_member(Actor.operator(0), "team", "bob", Role.OWNER)
        assert group.members == {"alice": Role.ADMIN, "bob": Role.OWNER}
