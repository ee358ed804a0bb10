"""What `retention` tells of a message that it erased, or that a hold keeps."""

from __future__ import annotations

from typing import Any

import trio

from relay.testing import RelayWorld, World
from tests.plugins.retention.test_retention import DAY, QUIET, ruled, run, say


async def told(world: World, message_id: int) -> list[Any]:
    found = await world.engine.tracing.trace(message_id, world.engine.router.position)
    return [event.what for event in found.events if event.what != "stored"]


async def test_the_run_that_erased_it_and_the_hold_that_keeps_it(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **QUIET, **ruled(old={"days": 30})) as world:
        alice = await world.connect("alice")
        carol = await world.connect("carol")
        (gone,) = await say(alice, "bob", "old")
        (kept,) = await say(carol, "alice", "kept")
        await run(world, "hold add", kind="user", name="carol", who="root", why="a case")
        assert await told(world, kept) == ["on_hold"]
        await trio.sleep(31 * DAY)
        assert set(await told(world, gone)) == {"retention_run", "erased"}
        assert await told(world, kept) == ["on_hold"]
