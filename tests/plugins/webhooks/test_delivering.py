"""Delivering, on virtual time: what arrives, in which order, under which id, and what a receiver can do to it."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from typing import Any

import pytest
import trio

from relay.plugin import StorageFailed
from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted, Reply, accept, answering, failing, hang


async def test_a_message_is_delivered_as_history_shows_it(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        await world.say(alice, "bob", "hello")
        await trio.sleep(1)
        (posted,) = receiver.posted
        (shown,) = await world.world.history("alice", "user", "bob")
        place = {"kind": "user", "target_id": "bob", "user_ids": ["alice", "bob"]}
        assert posted.json == shown | {"conversation": place}
        assert posted.path == "/in"
        assert posted.headers["content-type"] == "application/json"


async def test_a_new_webhook_begins_with_what_is_said_from_then_on(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        await world.say(alice, "bob", "before")
        _, receiver = await world.hook()
        await world.say(alice, "bob", "after")
        await trio.sleep(1)
        assert receiver.contents() == ["after"]


async def test_attempts_follow_the_schedule_under_one_id_and_the_conversation_keeps_its_order(
    webhooks: Run,
) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5, 30, 120]) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = failing(3)
        first, _ = await world.say(alice, "bob", "one", "two")
        await trio.sleep(400)
        assert receiver.contents() == ["one", "two"]
        tries = [posted for posted in receiver.posted if posted.content == "one"]
        assert len({posted.id for posted in tries}) == 1
        assert tries[0].id == f"msg_{world.world.engine.epoch}_{hook_id}_{first}"
        pauses = [later.at - earlier.at for earlier, later in pairwise(tries)]
        for pause, expected in zip(pauses, (5, 30, 120), strict=True):
            assert expected <= pause <= 1.1 * expected + 0.1
        assert [posted.content for posted in receiver.posted] == ["one"] * 4 + ["two"] * 4


async def test_retry_after_is_honoured(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5, 5]) as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.behaviour = answering(429, retry_after="600")
        await world.say(alice, "bob", "slowly")
        await trio.sleep(590)
        assert len(receiver.posted) == 1
        receiver.behaviour = accept
        await trio.sleep(20)
        assert receiver.contents() == ["slowly"]


@pytest.mark.parametrize(
    "behaviour", [answering(302, location="http://elsewhere/"), answering(404), answering(500)]
)
async def test_what_is_no_success_is_tried_again(webhooks: Run, behaviour: Any) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.behaviour = behaviour
        await world.say(alice, "bob", "hello")
        await trio.sleep(3)
        receiver.behaviour = accept
        await trio.sleep(10)
        assert receiver.contents() == ["hello"]
        assert set(world.receivers.hosts) == {"receiver"}  # nobody was sent elsewhere


async def test_a_receiver_that_hangs_holds_up_its_own_conversation_only(webhooks: Run) -> None:
    async with webhooks("alice", "bob", "carol", timeout_seconds=10) as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        _, other = await world.hook("other")

        async def hang_for_bob(posted: Posted) -> Reply:
            return await (hang if "bob" in posted.json["conversation"]["user_ids"] else accept)(posted)

        receiver.behaviour = hang_for_bob
        await world.say(alice, "bob", "stuck")
        await world.say(alice, "carol", "one", "two", "three")
        await trio.sleep(5)
        assert receiver.contents() == ["one", "two", "three"]
        assert sorted(other.contents()) == ["one", "stuck", "three", "two"]
        assert receiver.at_once == 1
        await trio.sleep(6)
        assert receiver.at_once == 0  # its time was over
        receiver.behaviour = accept
        await trio.sleep(10)
        assert receiver.contents()[-1] == "stuck"


@pytest.mark.parametrize(("in_all", "of_one"), [(4, 2), (100, 3)])
async def test_no_more_conversations_are_served_at_once_than_set(webhooks: Run, in_all: int, of_one: int) -> None:
    people = [f"user{number}" for number in range(8)]
    async with webhooks("alice", *people, conversations_at_once=3, at_once=in_all) as world:
        alice = await world.world.connect("alice")

        async def slow(_posted: Posted) -> Reply:
            await trio.sleep(1)
            return Reply()

        receivers = [(await world.hook(host))[1] for host in ("one", "two")]
        for receiver in receivers:
            receiver.behaviour = slow
        for name in people:
            await world.say(alice, name, "hello")
        busiest = 0
        for _ in range(60):
            await trio.sleep(0.1)
            busiest = max(busiest, sum(receiver.at_once for receiver in receivers))
        assert [len(receiver.taken) for receiver in receivers] == [8, 8]
        assert [receiver.most_at_once for receiver in receivers] == [of_one, of_one]
        assert busiest == 2 * of_one


async def test_a_receiver_that_takes_nothing_is_tried_by_one_conversation_at_a_time(webhooks: Run) -> None:
    people = [f"user{number}" for number in range(20)]
    async with webhooks("alice", *people, conversations_at_once=2, timeout_seconds=1) as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.behaviour = hang
        for name in people:
            await world.say(alice, name, "hello")
        await trio.sleep(10)
        receiver.most_at_once = 0
        await trio.sleep(10)
        assert receiver.most_at_once == 1
        receiver.behaviour = accept
        await trio.sleep(60)
        assert len(receiver.taken) == 20


async def test_attempts_keep_within_their_rate(webhooks: Run) -> None:
    async with webhooks("alice", "bob", attempts_per_second=2) as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        await world.say(alice, "bob", *(f"number {number}" for number in range(10)))
        await trio.sleep(10)
        times = [posted.at for posted in receiver.posted]
        assert len(times) == 10
        assert times[-1] - times[0] == pytest.approx(4.5, abs=0.1)


async def test_edits_and_deletions_are_delivered_and_a_tombstone_as_it_is(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.up = False
        first, second = await world.say(alice, "bob", "mistake", "typo")
        await trio.sleep(1)
        await alice.request("message_edit", {"message_id": second, "content": "right"}, "bob")
        await alice.request("message_delete", {"message_id": first}, "bob")
        receiver.up = True
        await trio.sleep(60)
        bodies = [posted.json for posted in receiver.taken]
        assert [body["type"] for body in bodies] == [
            "chat_message",
            "chat_message",
            "message_edit",
            "message_delete",
        ]
        assert bodies[0]["payload"] == {}
        assert bodies[0]["meta"]["deleted_at"] > 1e9
        assert bodies[1]["payload"] == {"content": "right"}
        assert bodies[3]["payload"] == {"message_id": first}


async def test_a_pause_holds_everything_and_loses_nothing(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        await world.command("pause", hook_id=hook_id)
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(1000)
        assert receiver.posted == []
        assert (await world.command("show", hook_id=hook_id))["state"] == "paused"
        await world.command("resume", hook_id=hook_id)
        await trio.sleep(1)
        assert receiver.contents() == ["one", "two"]


async def test_410_pauses_the_webhook_with_the_reason(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = answering(410)
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(10_000)
        assert len(receiver.posted) == 1
        shown = await world.command("show", hook_id=hook_id)
        assert (shown["state"], shown["reason"]) == ("paused", "the receiver answered 410 Gone")
        receiver.behaviour = accept
        await world.command("resume", hook_id=hook_id)
        await trio.sleep(1)
        assert receiver.contents() == ["one", "two"]
        assert (await world.command("show", hook_id=hook_id))["state"] == "active"


async def test_a_webhook_that_only_fails_is_paused_after_some_days_and_goes_on_where_it_stood(
    webhooks: Run,
) -> None:
    async with webhooks("alice", "bob", pause_after_days=2) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.up = False
        await world.say(alice, "bob", "one", "two", "three")
        await trio.sleep(4 * 86_400)
        shown = await world.command("show", hook_id=hook_id)
        assert shown["state"] == "paused"
        assert shown["reason"].startswith(
            "nothing was delivered for 2 days; the last attempt: ConnectError: receiver"
        )
        assert 1.9 * 86_400 < shown["paused_at"] - shown["failing_since"] < 3 * 86_400
        receiver.up = True
        await world.command("resume", hook_id=hook_id)
        await trio.sleep(1)
        dead = [letter.message_id for letter in await world.command("dead", hook_id=hook_id)]
        assert receiver.contents() == ["one", "two", "three"][len(dead) :]


async def test_answers_are_shown_as_far_as_they_are_read(webhooks: Run) -> None:
    async with webhooks("alice", "bob", answer_bytes=1000) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()

        async def talk(_posted: Posted) -> Reply:
            return Reply(503, b"busy " * 100_000)

        receiver.behaviour = talk
        (message_id,) = await world.say(alice, "bob", "hello")
        await trio.sleep(2)
        (attempt,) = await world.command("deliveries", hook_id=hook_id)
        assert attempt.status == 503
        assert attempt.answer == ("busy " * 100)
        assert (attempt.message_id, attempt.attempt) == (message_id, 1)
        receiver.behaviour = answering(200, {"thanks": True})
        await trio.sleep(10)
        newest, _ = await world.command("deliveries", hook_id=hook_id)
        assert (newest.status, newest.attempt, newest.error, newest.answer) == (200, 2, None, '{"thanks": true}')
        assert newest.delivery_id == attempt.delivery_id


async def test_only_the_newest_attempts_are_kept(webhooks: Run) -> None:
    async with webhooks("alice", "bob", attempts_per_second=0) as world:
        hook_id, receiver = await world.hook()
        await world.world.talk("alice", "bob", 250)
        await trio.sleep(30)
        assert len(receiver.taken) == 250
        kept = await world.command("deliveries", hook_id=hook_id)
        assert [attempt.delivery_id for attempt in kept] == [posted.id for posted in receiver.taken[:149:-1]]


async def test_what_is_removed_is_gone(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = failing(1)
        await world.say(alice, "bob", "one")
        await trio.sleep(1)
        await world.command("remove", hook_id=hook_id)
        await world.say(alice, "bob", "two")
        await trio.sleep(10_000)
        assert len(receiver.posted) == 1
        assert await world.command("list") == []

        def count(connection: sqlite3.Connection) -> int:
            tables = ("webhooks_hooks", "webhooks_backlogs", "webhooks_attempts", "webhooks_dead")
            return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

        assert await world.world.engine.runner.read(count) == 0


async def test_a_disk_that_takes_nothing_costs_no_delivery(webhooks: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        await world.say(alice, "bob", "one", "two", "three")
        engine, fails = world.world.engine, True
        write = engine.runner.write

        async def full(job: Any) -> Any:
            if fails:
                raise StorageFailed("the disk is full")
            return await write(job)

        monkeypatch.setattr(engine.runner, "write", full)
        await trio.sleep(60)
        assert receiver.contents() == ["one", "two", "three"]
        fails = False
        await trio.sleep(10)
        assert (await world.command("show", hook_id=hook_id))["waiting"] == 0
        assert len(await world.command("deliveries", hook_id=hook_id)) == 3
        guard = engine.registry.guard("webhooks")
        assert guard is not None
        assert guard.failures == 0


async def test_a_webhook_far_behind_drains_and_holds_only_so_much_in_memory(
    webhooks: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"user{number}" for number in range(60)]
    async with webhooks("alice", *people, attempts_per_second=0) as world:
        import relay_plugin_webhooks.standing as standing  # type: ignore[import-not-found]

        monkeypatch.setattr(standing, "MOST_BACKLOGS", 10)
        hook_id, receiver = await world.hook()
        receiver.up = False
        for name in people:
            await world.world.talk("alice", name, 50)
        await trio.sleep(100)
        shown = await world.command("show", hook_id=hook_id)
        assert shown["waiting"] == 10
        assert shown["position"] < world.world.engine.router.position
        receiver.up = True
        await trio.sleep(3600)
        assert len(receiver.taken) == 3000
        for name in people:
            said = [posted.content for posted in receiver.taken if posted.json["meta"]["target_id"] == name]
            assert said == [f"message {number}" for number in range(50)]
        assert (await world.command("show", hook_id=hook_id))["waiting"] == 0
