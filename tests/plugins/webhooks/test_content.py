"""Answers of receivers, which are posted into the conversation; a webhook does not talk to itself."""

from __future__ import annotations

import trio

from tests.actors import OPERATOR
from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted, Reply, answering


async def test_an_answer_is_posted_as_the_webhooks_user_and_is_not_delivered_to_it(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        await world.world.engine.groups.create("alice", "Team", ["bob"], "team")
        _, receiver = await world.hook(group=["team"], reply_as="helper")
        await world.world.engine.groups.put_member("alice", "team", "helper", "member")  # type: ignore[arg-type]
        _, other = await world.hook("other", group=["team"])
        alice = await world.world.connect("alice")
        receiver.behaviour = answering(200, {"content": "you are welcome"})
        await world.say(alice, "team", "thanks", type="group_message")
        said = await alice.next("group_message")
        assert said["payload"] == {"content": "you are welcome"}
        assert said["meta"]["sender_id"] == "helper"
        await trio.sleep(10)
        assert [posted.json["type"] for posted in receiver.posted] == ["group_event", "group_message"]
        assert other.contents() == ["thanks", "you are welcome"]


async def test_an_answer_to_a_delivery_that_is_made_again_is_posted_once(webhooks: Run) -> None:
    async with webhooks("alice", "helper") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook(user=["helper"], reply_as="helper")
        receiver.behaviour = answering(200, {"text": "yes"})
        (message_id,) = await world.say(alice, "helper", "are you there?")
        await trio.sleep(1)
        await world.world.engine.runner.write(
            lambda connection: connection.execute(
                "INSERT INTO webhooks_dead VALUES (?, ?, (SELECT channel_id FROM log WHERE message_id = ?), 1, 500, '', 0, 0)",
                (hook_id, message_id, message_id),
            )
        )
        await world.command("replay", hook_id=hook_id)
        await trio.sleep(1)
        assert len(receiver.taken) == 2
        said = await world.world.history("alice", "user", "helper")
        assert [one["payload"]["content"] for one in said] == ["are you there?", "yes"]
        assert said[1]["meta"]["sender_id"] == "helper"
        assert said[1]["meta"]["target_id"] == "alice"


async def test_an_answer_where_the_user_has_no_place_is_told_and_the_delivery_counts(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook(reply_as="helper")
        receiver.behaviour = answering(200, {"content": "me too"})
        await world.say(alice, "bob", "hello")
        await trio.sleep(60)
        assert len(receiver.posted) == 1
        (attempt,) = await world.command("deliveries", hook_id=hook_id)
        assert attempt.status == 200
        assert attempt.error == "its answer was not posted: helper is not in this conversation"


async def test_what_is_no_answer_is_not_posted(webhooks: Run) -> None:
    async with webhooks("alice", "helper", attempts_per_second=0) as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook(reply_as="helper")
        replies = iter(
            [
                Reply(200, b'{"content": "not called JSON"}', (("content-type", "text/plain"),)),
                Reply(200, b'{"content": "cut', (("content-type", "application/json"),)),
                Reply(200, b'{"ok": true}', (("content-type", "application/json"),)),
                Reply(200, b'{"content": 5}', (("content-type", "application/json"),)),
                Reply(200, b'["content"]', (("content-type", "application/json"),)),
                Reply(202, b'{"content": "later"}', (("content-type", "application/json"),)),
                Reply(200, b'{"content": ""}', (("content-type", "application/json"),)),
            ]
        )

        async def reply(_posted: Posted) -> Reply:
            return next(replies)

        receiver.behaviour = reply
        await world.say(alice, "helper", *("abcdefg"))
        await trio.sleep(5)
        assert len(receiver.taken) == 7
        said = await world.world.history("alice", "user", "helper")
        assert [one["payload"]["content"] for one in said] == list("abcdefg")


async def test_without_a_user_nothing_is_posted(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.behaviour = answering(200, {"content": "hello"})
        await world.say(alice, "bob", "hello")
        await trio.sleep(5)
        assert len(await world.world.history("alice", "user", "bob")) == 1


async def test_two_webhooks_that_answer_each_other_come_to_an_end(webhooks: Run) -> None:
    async with webhooks("alice", "one", "two", attempts_per_second=0) as world:
        await world.world.engine.groups.create("alice", "Team", ["one", "two"], "team")
        alice = await world.world.connect("alice")
        hooks = {}
        for name in ("one", "two"):
            hooks[name], receiver = await world.hook(name, group=["team"], type=["group_message"], reply_as=name)
            receiver.behaviour = answering(200, {"content": f"{name} answers"})
        await world.say(alice, "team", "hello", type="group_message")
        await trio.sleep(15)
        said = [one for one in await world.world.history("alice", "group", "team") if "content" in one["payload"]]
        depths = [one["meta"].get("depth") for one in said]
        assert depths == [None, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
        newest, *_ = await world.command("deliveries", hook_id=hooks["one"])
        errors = [attempt.error for attempt in await world.command("deliveries", hook_id=hooks["one"])]
        assert "its answer was not posted: programs have answered each other 8 times in a row here" in str(errors)
        assert newest.status == 200
        live = [one for one in await alice.drain() if one["type"] == "group_message"]
        assert [one["meta"]["depth"] for one in live] == depths[1:]
        await world.say(alice, "team", "once more", type="group_message")
        await trio.sleep(15)
        said = await world.world.history("alice", "group", "team")
        assert len([one for one in said if "content" in one["payload"]]) == 2 * 17


async def test_nothing_is_said_in_the_name_of_who_is_banned(webhooks: Run) -> None:
    async with webhooks("alice", "helper") as world:
        engine = world.world.engine
        await engine.groups.create("alice", "Team", ["helper"], "team")
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook(group=["team"], type=["group_message"], reply_as="helper")
        receiver.behaviour = answering(200, {"content": "at your service"})

        async def said() -> list[str]:
            await trio.sleep(10)
            found = await world.world.history("alice", "group", "team")
            return [one["payload"]["content"] for one in found if one["type"] == "group_message"]

        await world.say(alice, "team", "one", type="group_message")
        assert await said() == ["one", "at your service"]
        await engine.moderation.restrict(OPERATOR, "ban", "helper", reason="spam")
        await world.say(alice, "team", "two", type="group_message")
        assert await said() == ["one", "at your service", "two"]
        newest = (await world.command("deliveries", hook_id=hook_id))[0]
        assert newest.status == 200
        assert "helper" in newest.error
        await engine.moderation.lift(OPERATOR, "ban", "helper")
        await engine.moderation.restrict(OPERATOR, "ban", "helper", group_id="team")
        await world.say(alice, "team", "three", type="group_message")
        assert await said() == ["one", "at your service", "two", "three"]


async def test_an_answer_that_slow_mode_holds_back_delays_no_delivery(webhooks: Run) -> None:
    async with webhooks("alice", "helper") as world:
        engine = world.world.engine
        await engine.groups.create("alice", "Team", ["helper"], "team")
        await engine.slow_mode.set(OPERATOR, "team", 3600)
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook(group=["team"], type=["group_message"], reply_as="helper")
        receiver.behaviour = answering(200, {"content": "at your service"})
        await world.say(alice, "team", "one", "two", "three", type="group_message")
        await trio.sleep(30)
        assert [text for text in receiver.contents() if text in ("one", "two", "three")] == ["one", "two", "three"]
        errors = {attempt.error for attempt in await world.command("deliveries", hook_id=hook_id)}
        assert len(errors) == 2
        assert any("slow mode" in (error or "") for error in errors)
