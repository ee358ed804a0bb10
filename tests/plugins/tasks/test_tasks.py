"""Tasks: writing and ticking off, one state for all, who is told, what is listed for whom, what deletions leave."""

from pathlib import Path
from typing import Any

import pytest

from relay.app.plugin_admin import run_command
from relay.testing import Device, RelayWorld, World

ON = {"RELAY_PLUGINS__ALSO": "tasks"}


async def written(device: Device, title: str = "Buy bread", target: str = "team", **more: Any) -> int:
    """Write a task and return its id."""
    answer = await device.request("task", {"title": title} | more, target)
    assert answer["type"] == "ack", answer
    number: int = answer["payload"]["message_id"]
    return number


async def tick(device: Device, task: int, done: bool = True, target: str = "team", **more: Any) -> str:
    """Say whether a task is done, and return "ack", "unchanged" or the code of the refusal."""
    answer = await device.request("task_done", {"task": task, "done": done}, target, **more)
    if answer["type"] == "ack":
        return "ack" if "message_id" in answer["payload"] else "unchanged"
    code: str = answer["payload"]["code"]
    return code


async def listed(world: World, user: str, query: str = "target=team") -> list[dict[str, Any]]:
    answer = await world.rest("GET", f"/api/tasks?{query}", user)
    assert answer.status == 200, answer.body
    tasks: list[dict[str, Any]] = answer.body["tasks"]
    return tasks


async def team(world: World, *members: str) -> None:
    await world.engine.groups.create("alice", "Team", list(members), "team")


async def test_a_task_is_ticked_off_and_opened_again_by_whoever_says_so_last(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob", "carol")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        task = await written(alice, due=2e9)
        assert (await bob.next("task"))["payload"] == {"title": "Buy bread", "due": 2e9}
        assert await tick(bob, task) == "ack"
        told = await alice.next("task_done")
        assert (told["payload"], told["meta"]["sender_id"], told["meta"]["about"]) == (
            {"task": task, "done": True}, "bob", task,
        )  # fmt: skip
        assert await tick(carol, task) == "unchanged"
        (done,) = await listed(world, "alice", "target=team&state=done")
        assert (done["done_by"], done["done_at"]) == ("bob", told["meta"]["timestamp"])
        assert await listed(world, "alice") == []
        assert await tick(carol, task, done=False) == "ack"
        (open_again,) = await listed(world, "alice")
        assert open_again == {
            "message_id": task, "author_id": "alice", "title": "Buy bread", "assignee": None, "due": 2e9,
            "created_at": open_again["created_at"], "done_at": None, "done_by": None,
        }  # fmt: skip
        assert await tick(bob, task) == "ack"
        page = (await world.rest("GET", "/api/messages/group/team", "carol")).body
        last = max(
            (one for one in page["latest"] if one["type"] == "task_done"),
            key=lambda one: one["meta"]["message_id"],
        )
        assert (last["meta"]["sender_id"], last["payload"]["done"]) == ("bob", True)


async def test_a_late_retry_of_a_tick_undoes_nothing(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        task = await written(alice, target="bob")
        assert await tick(alice, task, target="bob", id="t") == "ack"
        assert await tick(bob, task, done=False, target="alice") == "ack"
        assert await tick(alice, task, target="bob", id="t") == "ack"
        assert [one["done_at"] for one in await listed(world, "bob", "target=alice")] == [None]


async def test_whom_a_task_is_for_is_told_as_of_a_mention(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob", "carol")
        alice = await world.connect("alice")
        await written(alice, assignee="bob")
        await written(alice, assignee="alice")
        for user, mentions in (("bob", 1), ("carol", 0)):
            (row,) = (await world.rest("GET", "/api/conversations", user)).body["conversations"]
            assert (row["unread"], row["unread_mentions"]) == (2, mentions)
        first, second = (await world.rest("GET", "/api/messages/group/team?type=task", "bob")).body["messages"]
        assert (first["payload"]["mentions"], second["payload"].get("mentions")) == (["bob"], None)
        found = (await world.rest("GET", "/api/search?q=bread", "bob")).body["results"]
        assert len(found) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"title": ""}, {"title": " "}, {"title": "x" * 301}, {"assignee": "carol"}, {"due": -1}, {"done": True}],
)
async def test_a_task_that_cannot_be_one_is_refused(relay_world: RelayWorld, wrong: dict[str, Any]) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        alice = await world.connect("alice")
        answer = await alice.request("task", {"title": "Buy bread"} | wrong, "bob")
        assert answer["payload"]["code"] == "invalid_payload"


async def test_only_tasks_that_one_sees_are_ticked_off_and_listed(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        before = await written(alice, "Before")
        said = (await alice.request("group_message", {"content": "no task"}, "team"))["payload"]["message_id"]
        assert await tick(bob, said) == "invalid_payload"
        assert await tick(carol, before) == "not_found"
        for target in ("team", "nobody", "group:team"):
            assert (await world.rest("GET", f"/api/tasks?target={target}", "carol")).status == 404
        assert await listed(world, "carol", "target=alice") == []
        assert await listed(world, "carol", "target=carol") == []
        assert (await world.rest("GET", "/api/tasks?target=team&state=some", "bob")).status == 400
        assert (await world.rest("GET", "/api/tasks", "bob")).status == 400
        await world.rest("PUT", "/api/groups/team/members/carol", "alice", json_body={})
        after = await written(alice, "After")
        assert await tick(carol, before) == "not_found"
        assert [one["message_id"] for one in await listed(world, "carol")] == [after]
        assert [one["message_id"] for one in await listed(world, "bob")] == [after, before]


async def test_tasks_are_listed_in_pages(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        tasks = [await written(alice, f"Number {number}", "bob") for number in range(5)]
        await tick(alice, tasks[2], target="bob")
        cursor, seen = "", []
        while True:
            page = (await world.rest("GET", f"/api/tasks?target=alice&limit=2{cursor}", "bob")).body
            seen += [one["message_id"] for one in page["tasks"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [tasks[4], tasks[3], tasks[1], tasks[0]]


async def test_a_deleted_task_is_gone_and_what_an_erased_user_said_of_others_too(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await team(world, "bob")
        alice, bob = await world.connect("alice"), await world.connect("bob")
        gone, kept = [await written(alice, title) for title in ("Gone", "Kept")]
        assert [await tick(bob, task) for task in (gone, kept)] == ["ack", "ack"]
        await alice.request("message_delete", {"message_id": gone}, "team")
        assert await tick(bob, gone, done=False) == "not_found"
        async with world.after_crash(tmp_path / "again") as again:
            assert [one["title"] for one in await listed(again, "alice", "target=team&state=all")] == ["Kept"]
            await again.engine.leaving.erase("bob")
            assert [one["done_by"] for one in await listed(again, "alice")] == [None]
            left = await again.engine.runner.read(
                lambda connection: connection.execute("SELECT count(*) FROM tasks_tasks").fetchone()
            )
            assert (left, again.engine.registry.guard("tasks").failures) == ((1,), 0)


async def test_the_command_lists_the_tasks_of_all_conversations(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        task, done = [await written(alice, title, "bob", assignee="bob") for title in ("Open", "Done")]
        await tick(alice, done, target="bob")
        (row,) = await run_command(world.engine, "tasks list", {})
        assert row == {
            "task": task, "conversation": "user:alice:bob", "author": "alice", "title": "Open", "assignee": "bob",
            "due": "", "done_by": "",
        }  # fmt: skip
        assert [one["done_by"] for one in await run_command(world.engine, "tasks list", {"all": True})] == [
            "alice",
            "",
        ]
