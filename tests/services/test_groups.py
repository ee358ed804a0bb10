"""Groups: every operation by every role, the events it leaves, and two changes at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.services.group_view import describe
from relay.services.groups import Groups
from relay.services.submission import Submission
from relay.storage import messages
from relay.storage.accounts import update_user
from relay.testing import World
from relay.testing import world as open_world
from tests.services.recorder import attach, submission, submit_to

OK, NO, GONE = None, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND
PEOPLE = ("olga", "adam", "anna", "mia", "max", "eve", "newt")
ROLES = {
    "olga": Role.OWNER, "adam": Role.ADMIN, "anna": Role.ADMIN, "mia": Role.MEMBER, "max": Role.MEMBER,
}  # fmt: skip
Operation = Callable[[Groups, str], Awaitable[Any]]


@asynccontextmanager
async def team(folder: Path, **environ: str) -> AsyncIterator[World]:
    """Run a server with one group of people of every role; eve is in none."""
    async with open_world(folder, *PEOPLE, **environ) as world:
        groups = world.engine.groups
        await groups.create("olga", "Team", ["adam", "anna", "mia", "max"], "team")
        for admin in ("adam", "anna"):
            await groups.put_member("olga", "team", admin, Role.ADMIN)
        yield world


async def events(server: World) -> list[dict[str, Any]]:
    """Return the payloads of every event in the log, oldest first."""
    rows = await server.engine.runner.read(
        lambda c: c.execute("SELECT payload FROM log WHERE type = 'group_event' ORDER BY message_id").fetchall()
    )
    return [json.loads(row[0]) for row in rows]


async def roles_kept(server: World) -> dict[str, str]:
    """Return the present members' roles as they are in the database."""
    rows = await server.engine.runner.read(
        lambda c: c.execute(
            "SELECT user_id, role FROM members JOIN channels USING (channel_id)"
            " WHERE address = 'group:team' AND visible_until IS NULL"
        ).fetchall()
    )
    return dict(rows)


def put(member: str, role: Role) -> Operation:
    return lambda groups, actor: groups.put_member(actor, "team", member, role)


def remove(member: str) -> Operation:
    return lambda groups, actor: groups.remove_member(actor, "team", member)


TABLE: list[tuple[str, Operation, tuple[Any, Any, Any, Any], dict[str, Any] | None]] = [
    # what, how, (owner, admin, member, stranger), the event it leaves
    ("get", lambda groups, actor: groups.get(actor, "team"), (OK, OK, OK, GONE), None),
    ("rename", lambda g, a: g.rename(a, "team", "New"), (OK, OK, NO, GONE), {"event": "renamed", "name": "New"}),
    ("delete", lambda g, a: g.delete(a, "team"), (OK, NO, NO, GONE), {"event": "deleted"}),
    (
        "add", put("newt", Role.MEMBER), (OK, OK, NO, GONE),
        {"event": "member_added", "user_id": "newt", "role": "member"},
    ),
    (
        "add an admin", put("newt", Role.ADMIN), (OK, OK, NO, GONE),
        {"event": "member_added", "user_id": "newt", "role": "admin"},
    ),
    (
        "add an owner", put("newt", Role.OWNER), (OK, NO, NO, GONE),
        {"event": "member_added", "user_id": "newt", "role": "owner"},
    ),
    (
        "promote", put("max", Role.ADMIN), (OK, OK, NO, GONE),
        {"event": "role_changed", "user_id": "max", "role": "admin"},
    ),
    (
        "demote", put("anna", Role.MEMBER), (OK, OK, NO, GONE),
        {"event": "role_changed", "user_id": "anna", "role": "member"},
    ),
    (
        "hand on", put("max", Role.OWNER), (OK, NO, NO, GONE),
        {"event": "role_changed", "user_id": "max", "role": "owner"},
    ),
    ("demote the owner", put("olga", Role.ADMIN), (NO, NO, NO, GONE), None),
    ("add nobody", put("nobody", Role.MEMBER), (GONE, GONE, NO, GONE), None),
    ("remove", remove("max"), (OK, OK, NO, GONE), {"event": "member_removed", "user_id": "max"}),
    ("remove an admin", remove("anna"), (OK, OK, NO, GONE), {"event": "member_removed", "user_id": "anna"}),
    ("remove the owner", remove("olga"), (NO, NO, NO, GONE), None),
    ("remove one who is none", remove("newt"), (GONE, GONE, GONE, GONE), None),
]  # fmt: skip
CASES = [
    pytest.param(how, actor, code, event, id=f"{what} by {actor}")
    for what, how, codes, event in TABLE
    for actor, code in zip(("olga", "adam", "mia", "eve"), codes, strict=True)
]


@pytest.mark.parametrize(("how", "actor", "code", "event"), CASES)
async def test_who_may_what(
    tmp_path: Path, how: Operation, actor: str, code: Any, event: dict[str, Any] | None
) -> None:
    async with team(tmp_path) as world:
        before, roles = await events(world), await roles_kept(world)
        group = await world.engine.channels.group("team")
        assert group is not None
        if code is not OK:
            with pytest.raises(RelayError) as refused:
                await how(world.engine.groups, actor)
            assert refused.value.code is code
            assert await events(world) == before
            assert await roles_kept(world) == roles == group.members
        else:
            await how(world.engine.groups, actor)
            left = (await events(world))[len(before) :]
            assert left == ([] if event is None else [event])
            assert await roles_kept(world) == group.members


@pytest.mark.parametrize(("actor", "code"), [("olga", NO), ("adam", OK), ("mia", OK), ("eve", GONE)])
async def test_anybody_but_the_owner_may_leave(tmp_path: Path, actor: str, code: Any) -> None:
    async with team(tmp_path) as world:
        if code is OK:
            await world.engine.groups.remove_member(actor, "team", actor)
            assert actor not in await roles_kept(world)
        else:
            with pytest.raises(RelayError) as refused:
                await world.engine.groups.remove_member(actor, "team", actor)
            assert refused.value.code is code


async def test_a_new_owner_makes_the_old_one_an_admin(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        await world.engine.groups.put_member("olga", "team", "mia", Role.OWNER)
        assert (await roles_kept(world)) == ROLES | {"olga": "admin", "mia": "owner"}
        with pytest.raises(RelayError):
            await world.engine.groups.delete("olga", "team")
        await world.engine.groups.delete("mia", "team")


async def test_the_same_role_again_leaves_no_event(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        before = await events(world)
        await world.engine.groups.put_member("olga", "team", "mia", Role.MEMBER)
        await world.engine.groups.put_member("olga", "team", "olga", Role.OWNER)
        assert await events(world) == before


async def at_once(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run calls at once and return what each came to: None, or the code of its refusal."""
    results: list[Any] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await call()
        except RelayError as error:
            results[index] = error.code

    async with trio.open_nursery() as nursery:
        for index, call in enumerate(calls):
            nursery.start_soon(run, index, call)
    return results


async def test_a_group_handed_on_twice_at_once_still_has_one_owner(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        results = await at_once(
            lambda: groups.put_member("olga", "team", "mia", Role.OWNER),
            lambda: groups.put_member("olga", "team", "max", Role.OWNER),
        )
        assert sorted(results, key=str) == [None, NO]
        kept = await roles_kept(world)
        assert sorted(kept.values()).count("owner") == 1
        group = await world.engine.channels.group("team")
        assert group is not None
        assert group.members == kept


async def test_a_member_removed_and_made_owner_at_once_is_one_of_both(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        results = await at_once(
            lambda: groups.put_member("olga", "team", "mia", Role.OWNER),
            lambda: groups.remove_member("adam", "team", "mia"),
        )
        kept = await roles_kept(world)
        assert results.count(None) in (1, 2)
        assert sorted(kept.values()).count("owner") == 1
        group = await world.engine.channels.group("team")
        assert group is not None
        assert group.members == kept


async def test_one_who_leaves_twice_at_once_leaves_once(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        results = await at_once(*[lambda: groups.remove_member("mia", "team", "mia")] * 3)
        assert sorted(results, key=str) == [None, GONE, GONE]
        assert [event["event"] for event in await events(world)].count("member_removed") == 1


async def test_one_added_twice_at_once_joins_once(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        await at_once(*[lambda: groups.put_member("olga", "team", "newt", Role.MEMBER)] * 3)
        assert [event["event"] for event in await events(world)].count("member_added") == 1


async def test_one_added_in_two_roles_at_once_has_the_first(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        results = await at_once(
            lambda: groups.put_member("olga", "team", "newt", Role.MEMBER),
            lambda: groups.put_member("olga", "team", "newt", Role.ADMIN),
        )
        assert sorted(results, key=str) == [None, ErrorCode.CONFLICT]
        assert [event["event"] for event in await events(world)].count("member_added") == 1


async def test_members_beyond_the_limit_are_refused_also_at_once(tmp_path: Path) -> None:
    async with team(tmp_path, RELAY_LIMITS__GROUP_MEMBERS="6") as world:
        groups = world.engine.groups
        results = await at_once(
            lambda: groups.put_member("olga", "team", "newt", Role.MEMBER),
            lambda: groups.put_member("olga", "team", "eve", Role.MEMBER),
        )
        assert sorted(results, key=str) == [None, NO]
        with pytest.raises(RelayError) as refused:
            await groups.create("olga", "Big", ["adam", "anna", "mia", "max", "eve", "newt"], "big")
        assert refused.value.code is ErrorCode.INVALID_PAYLOAD


async def test_groups_beyond_a_users_limit_are_refused(tmp_path: Path) -> None:
    async with team(tmp_path, RELAY_LIMITS__GROUPS_PER_USER="2") as world:
        groups = world.engine.groups
        results = await at_once(
            *[lambda number=number: groups.create("olga", "X", [], f"g{number}") for number in range(3)]
        )  # type: ignore[misc]
        assert sorted(results, key=str) == [None, NO, NO]


@pytest.mark.parametrize(
    ("group_id", "members", "code"),
    [
        ("mia", [], ErrorCode.CONFLICT),
        ("team", [], ErrorCode.CONFLICT),
        ("no spaces", [], ErrorCode.INVALID_PAYLOAD),
        ("new", ["nobody"], ErrorCode.INVALID_PAYLOAD),
    ],
)
async def test_a_group_that_cannot_be_created_leaves_nothing(
    tmp_path: Path, group_id: str, members: list[str], code: ErrorCode
) -> None:
    async with team(tmp_path) as world:
        before = await events(world)
        with pytest.raises(RelayError) as refused:
            await world.engine.groups.create("olga", "X", members, group_id)
        assert refused.value.code is code
        assert await events(world) == before
        if group_id == "new":
            assert await world.engine.channels.group("new") is None
            await world.engine.groups.create("olga", "X", [], "new")


@pytest.mark.world("olga", "mia")
async def test_a_group_gets_an_id_of_its_own_and_lists_its_creator_once(world: World) -> None:
    made = [await world.engine.groups.create("olga", "X", ["mia", "olga", "mia"]) for _ in range(2)]
    told = [describe(group) for group in made]
    assert told[0]["group_id"] != told[1]["group_id"]
    assert told[0]["members"] == [
        {"user_id": "olga", "role": "owner"}, {"user_id": "mia", "role": "member"},
    ]  # fmt: skip


async def test_events_reach_the_members_before_and_after(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        ends = {name: attach(world.engine.connections, name)[1] for name in ("mia", "newt", "eve")}
        groups = world.engine.groups
        await groups.put_member("olga", "team", "newt", Role.MEMBER)
        await groups.remove_member("olga", "team", "mia")
        await groups.rename("olga", "team", "New")
        await groups.delete("olga", "team")
        seen = {name: [frame["payload"]["event"] for frame in end.take()] for name, end in ends.items()}
        assert seen == {
            "mia": ["member_added", "member_removed"],
            "newt": ["member_added", "member_removed", "renamed", "deleted"],
            "eve": [],
        }


async def test_a_deleted_group_takes_no_message_and_its_members_still_resume_to_its_end(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        group = await world.engine.groups.get("mia", "team")
        connection, mia = attach(world.engine.connections, "mia")
        await world.engine.groups.delete("olga", "team")
        world.engine.router.submit_nowait(submit_to(group, "mia", "team", "late", connection))
        await trio.testing.wait_all_tasks_blocked()
        assert mia.take()[-1]["payload"]["code"] == "not_found"
        resumption = await world.engine.runner.read(
            lambda c: world.engine.offline_queue.plan(c, "mia", 0, None, world.engine.router.position)
        )
        # Nobody reads a deleted group; what is left is the event that says so.
        (last,) = resumption.message_ids
        records = await world.engine.runner.read(lambda c: messages.read_records(c, [last]))
        assert json.loads(records[last].payload or "") == {"event": "deleted"}
        with pytest.raises(RelayError) as refused:
            await world.engine.groups.create("mia", "Again", [], "team")
        assert refused.value.code is ErrorCode.CONFLICT


@pytest.mark.parametrize(("history", "first"), [("join", 5), ("start", 1)])
@pytest.mark.world("olga", "newt")
async def test_a_newcomer_sees_from_joining_on_or_from_the_start(world: World, history: str, first: int) -> None:
    group = await world.engine.groups.create("olga", "X", [], "x", history)
    for _ in range(3):
        await world.engine.router.send(submit_to(group, "olga", "x"))
    await world.engine.groups.put_member("olga", "x", "newt", Role.MEMBER)
    page = await world.history("newt", "group", "x")
    assert [message["meta"]["seq"] for message in page] == list(range(first, 6))


async def choose(server: World, user_id: str, groups_from: str) -> None:
    await server.engine.runner.write(lambda c: update_user(c, user_id, groups_from=groups_from))


async def test_shared_is_who_one_has_written_to_or_is_in_a_group_with(tmp_path: Path) -> None:
    async with team(tmp_path) as world:
        groups = world.engine.groups
        await choose(world, "newt", "shared")

        async def may_add() -> bool:
            (answer,) = await at_once(lambda: groups.create("eve", "X", ["newt"], by_user=True))  # type: ignore[misc]
            assert answer in (OK, NO)
            return answer is OK

        assert not await may_add()
        await world.engine.router.send(await submission(world.engine, "eve", "newt"))
        assert not await may_add(), "what a stranger can do alone opens nothing"
        await world.engine.router.send(await submission(world.engine, "newt", "eve"))
        assert await may_add()
        await choose(world, "newt", "nobody")
        assert not await may_add()
        await groups.put_member("olga", "team", "newt", Role.MEMBER)  # an operator's command, in the owner's name
        with pytest.raises(RelayError, match="does not let you"):
            await groups.create("adam", "X", ["newt"], by_user=True)
        await choose(world, "newt", "shared")
        await groups.create("adam", "X", ["newt"], by_user=True)
        await groups.create("newt", "X", ["adam"], by_user=True)


async def test_nobody_but_oneself_uses_up_how_many_groups_one_may_make(tmp_path: Path) -> None:
    async with open_world(tmp_path, *PEOPLE, RELAY_LIMITS__GROUPS_PER_USER="2") as world:
        groups = world.engine.groups
        for maker in ("olga", "adam"):
            for number in range(2):
                await groups.create(maker, "X", ["eve"], f"{maker}-{number}", by_user=True)
                await groups.put_member(maker, f"{maker}-{number}", "eve", Role.OWNER, by_user=True)
        for _ in range(2):
            await groups.create("eve", "X", [], by_user=True)
        with pytest.raises(RelayError, match="made 2 groups"):
            await groups.create("eve", "X", [], by_user=True)


@pytest.mark.world("eve", RELAY_LIMITS__GROUPS_PER_USER="2")
async def test_a_chosen_id_counts_after_its_group_is_deleted_and_a_made_up_one_does_not(world: World) -> None:
    groups = world.engine.groups
    for _ in range(4):
        made = await groups.create("eve", "X", [])
        await groups.delete("eve", made.address.partition(":")[2])
    for name in ("one", "two"):
        await groups.create("eve", "X", [], name)
        await groups.delete("eve", name)
    with pytest.raises(RelayError, match="made 2 groups"):
        await groups.create("eve", "X", [], "three")


async def test_a_message_right_behind_its_senders_removal_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    router = world.engine.router
    late = await submission(world.engine, "bob", "team")
    honest = router.submit_nowait

    def submit_both(item: Submission) -> None:
        honest(item)
        if item.entry.type == "group_event":
            honest(late)

    monkeypatch.setattr(router, "submit_nowait", submit_both)
    await world.engine.groups.remove_member("alice", "team", "bob")
    await router.wait_idle()
    assert late.entry.error is not None
    assert not late.entry.stored
