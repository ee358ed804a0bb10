"""Random votes, changes, withdrawals, closings, deletions and crashes, held against a recount."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import Device, RelayWorld, World
from tests.plugins.polls.test_polls import ON, asked, vote

PEOPLE = [f"user{number}" for number in range(6)]


class Recount:
    """What the votes that were acked come to."""

    def __init__(self) -> None:
        self.size: dict[int, int] = {}
        self.votes: dict[int, dict[str, tuple[int, ...]]] = {}
        self.closed: set[int] = set()
        self.deleted: set[int] = set()

    def counts(self, poll: int) -> list[int]:
        return [
            sum(choice in choices for choices in self.votes[poll].values()) for choice in range(self.size[poll])
        ]

    def voters(self, poll: int) -> int:
        return sum(bool(choices) for choices in self.votes[poll].values())


async def agree(world: World, recount: Recount) -> None:
    """Check every poll's counts, by REST and in the tables, and the last result that was told of it."""
    told: dict[int, dict[str, Any]] = {}
    watcher = await world.connect("watcher", "late", cursor=0, epoch=world.engine.epoch)
    for frame in watcher.replayed:
        if frame["type"] == "poll_result":
            told[frame["payload"]["poll"]] = frame["payload"]
    for poll in recount.size:
        answer = await world.rest("GET", f"/api/polls/{poll}", "watcher")
        if poll in recount.deleted:
            assert answer.status == 404
            assert poll not in told
            continue
        assert [option["votes"] for option in answer.body["options"]] == recount.counts(poll)
        assert answer.body["voters"] == recount.voters(poll)
        assert ("closed_at" in answer.body) is (poll in recount.closed)
        if any(recount.votes[poll].values()) or poll in recount.closed:
            last = (told[poll]["votes"], told[poll]["voters"], "closed_at" in told[poll])
            assert last == (recount.counts(poll), recount.voters(poll), poll in recount.closed)
    await watcher.cut()


async def act(rng: random.Random, devices: dict[str, Device], recount: Recount) -> None:
    """Do one thing that somebody might, with a retry now and then."""
    polls = [poll for poll in recount.size if poll not in recount.deleted]
    who = rng.choice(PEOPLE)
    what = rng.random()
    if not polls or what < 0.06:
        options = [f"option {number}" for number in range(rng.randint(2, 5))]
        multiple, anonymous = rng.random() < 0.5, rng.random() < 0.3
        poll = await asked(devices[who], options=options, multiple=multiple, anonymous=anonymous)
        recount.size[poll], recount.votes[poll] = len(options), {}
    elif what < 0.1:
        poll = rng.choice(polls)
        answer = await devices["watcher"].request("poll_close", {"poll": poll}, "team", copies=rng.choice((1, 2)))
        assert answer["type"] == "ack"
        recount.closed.add(poll)
    elif what < 0.12:
        poll = rng.choice(polls)
        answer = await devices["watcher"].request("message_delete", {"message_id": poll}, "team")
        assert answer["type"] == "ack"
        recount.deleted.add(poll)
    else:
        poll = rng.choice(list(recount.size))
        choices = tuple(rng.sample(range(6), rng.randint(0, 3)))
        said = await vote(devices[who], poll, *choices, copies=rng.choice((1, 1, 3)))
        if said == "ack":
            assert poll not in recount.closed | recount.deleted
            assert all(choice < recount.size[poll] for choice in choices)
            recount.votes[poll][who] = choices


@pytest.mark.parametrize("seed", range(4))
async def test_the_counts_are_a_recount_whatever_happens(
    relay_world: RelayWorld, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with relay_world(None, "watcher", *PEOPLE, **ON) as world:
        await world.engine.groups.create("watcher", "Team", PEOPLE, "team")
        devices = {name: await world.connect(name) for name in ("watcher", *PEOPLE)}
        recount = Recount()
        for step in range(250):
            await act(rng, devices, recount)
            for device in devices.values():
                device.waiting.clear()
            if rng.random() < 0.1:
                await trio.sleep(rng.choice((0.2, 3.0)))
                for device in devices.values():
                    await device.event("heartbeat")
            if step % 50 == 49:
                async with world.after_crash(tmp_path / f"crash-{step}") as again:
                    await trio.sleep(3)
                    await agree(again, recount)
                    guard = again.engine.registry.guard("polls")
                    assert guard is not None
                    assert guard.failures == 0, guard.last
        await trio.sleep(3)
        await agree(world, recount)
