"""Restarts, crashes, and times when the plugin was off: nothing is missed, and the order stays."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted, Receiver, Reply


async def test_what_waits_is_delivered_after_a_restart(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        receiver.up = False
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(20)
    async with webhooks() as world:
        receiver.up = True
        await trio.sleep(100)
        assert receiver.contents() == ["one", "two"]


async def test_the_schedule_goes_on_where_it_was(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5, 1000]) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.up = False
        await world.say(alice, "bob", "one")
        await trio.sleep(20)
        due = (await world.command("show", hook_id=hook_id))["next_attempt_at"]
    receiver.up = True
    async with webhooks(retry_seconds=[5, 1000]) as world:
        await trio.sleep(900)
        assert receiver.taken == []
        await trio.sleep(300)
        assert receiver.taken[0].at + 1_700_000_000 == pytest.approx(due, abs=1)
        (attempt,) = (await world.command("deliveries", hook_id=hook_id))[:1]
        assert attempt.attempt == 3


async def test_what_was_said_while_the_plugin_was_off_is_delivered_when_it_is_on(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        _, receiver = await world.hook()
    async with webhooks(on=False) as world:
        alice = await world.world.connect("alice")
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(10)
    assert receiver.posted == []
    async with webhooks():
        await trio.sleep(10)
        assert receiver.contents() == ["one", "two"]


async def test_what_was_said_while_the_plugin_was_set_aside_is_delivered_when_it_is_taken_back(
    webhooks: Run,
) -> None:
    async with webhooks("alice", "bob", "carol") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        guard = world.world.engine.registry.guard("webhooks")
        assert guard is not None
        for _ in range(guard.rules.failures):
            guard.failed("a test", RuntimeError("on purpose"))
        assert guard.aside
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(10)
        assert receiver.posted == []
        guard.resume()
        await trio.sleep(1)
        assert receiver.contents() == ["one", "two"]


async def test_a_crash_has_delivered_messages_delivered_again_under_their_ids(
    webhooks: Run, tmp_path: Path
) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook()
        await trio.sleep(1)

        async def slow(_posted: Posted) -> Reply:
            await trio.sleep(5)
            return Reply()

        receiver.behaviour = slow
        await world.say(alice, "bob", "one", "two", "three")
        await trio.sleep(7)
        assert receiver.contents() == ["one"]
        receiver.up = False
        async with world.world.after_crash(tmp_path / "crashed"):
            receiver.up = True
            await trio.sleep(60)
    by_content: dict[str, set[str]] = {}
    for posted in receiver.taken:
        by_content.setdefault(posted.content, set()).add(posted.id)
    assert set(by_content) == {"one", "two", "three"}
    assert all(len(ids) == 1 for ids in by_content.values())


def firsts(receiver: Receiver, target: str) -> list[str]:
    """Return what was taken of one conversation, each thing once, where it came first."""
    said = [posted.content for posted in receiver.taken if posted.json["meta"]["target_id"] == target]
    return list(dict.fromkeys(said))


@pytest.mark.parametrize("seed", range(6))
async def test_flapping_receivers_over_restarts_get_everything_in_order(webhooks: Run, seed: int) -> None:
    source = random.Random(seed)
    people = ["bob", "carol", "dave"]
    options = {"retry_seconds": [1, 2, 5] + [10] * 20, "timeout_seconds": 2, "conversations_at_once": 2}
    sent: dict[str, list[str]] = {name: [] for name in people}

    async def flap(_posted: Posted) -> Reply:
        chance = source.random()
        await trio.sleep(source.choice((0, 0.1, 1)))
        if chance < 0.1:
            await trio.sleep(100)
        return Reply(source.choice((500, 503, 302, 404)) if chance < 0.5 else 204)

    hosts: dict[str, Receiver] = {}
    for round_ in range(4):
        users = ("alice", *people) if round_ == 0 else ()
        async with webhooks(*users, **options) as world:
            if round_ == 0:
                for host in ("one", "two"):
                    hosts[host] = (await world.hook(host))[1]
                    hosts[host].behaviour = flap
            alice = await world.world.connect("alice", f"device-{round_}")
            for number in range(20):
                name = source.choice(people)
                text = f"{round_}.{number}"
                await world.say(alice, name, text)
                sent[name].append(text)
                for receiver in hosts.values():
                    receiver.up = source.random() < 0.8
                await trio.sleep(source.choice((0, 0.3, 3)))
    for receiver in hosts.values():
        receiver.up = True
    async with webhooks(**options):
        await trio.sleep(2000)
    for receiver in hosts.values():
        for name in people:
            assert firsts(receiver, name) == sent[name]
        assert len({posted.id for posted in receiver.taken}) == 80
