"""Import, on a server in memory."""

from __future__ import annotations

import json
from typing import Any

from relay.app.admin import perform
from relay.testing import RelayWorld


def lines(count: int) -> list[str]:
    meta = {"sender_id": "alice", "target_id": "bob"}
    return [
        json.dumps({"type": "chat_message", "payload": {"content": f"{n}"}, "meta": meta | {"id": f"{n}"}})
        for n in range(count)
    ]


async def test_devices_get_what_is_imported_as_new_messages(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        bob = await world.connect("bob")
        answer = await perform(world.engine, "import", {"lines": lines(3)})
        assert answer == {"taken": 3, "stored": 3, "duplicates": 0, "problems": [], "busy": None}
        assert [(await bob.next("chat_message"))["meta"]["seq"] for _ in range(3)] == [1, 2, 3]


async def test_a_server_that_is_busy_is_no_fault_of_the_lines(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_LIMITS__PENDING="10") as world:
        left, rounds = lines(25), 0
        while left:
            answer: dict[str, Any] = await perform(world.engine, "import", {"lines": left, "go_on": True})
            assert answer["problems"] == []
            assert answer["taken"] == answer["stored"] == min(10, len(left))
            left = left[answer["taken"] :]
            assert (answer["busy"] is not None) is bool(left)
            rounds += 1
        assert rounds == 3


async def test_the_limits_of_a_sender_do_not_count(relay_world: RelayWorld) -> None:
    limits = {"RELAY_LIMITS__MESSAGES_PER_SECOND": "1", "RELAY_LIMITS__MESSAGES_BURST": "1"}
    async with relay_world(None, "alice", "bob", **limits) as world:
        assert (await perform(world.engine, "import", {"lines": lines(600)}))["stored"] == 600
