"""Statuses on their way to the followers who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay.services.blocks import Blocks
from relay.services.connections import WebSocketManager
from relay.services.presence_fanout import StatusFanout
from relay.services.presence_state import Choice, PresenceState
from relay.services.statuses import Status
from relay.services.visibility import Recheck
from relay.storage import accounts
from relay.storage.conversations import acquaint, ensure_user_channel
from tests.services.recorder import Recorder, attach
from tests.storage.opening import opened

USERS = ("alice", "bob", "carol")


class Town:
    """Alice, online, and two connected followers of hers; she has said something to Bob."""

    def __init__(self, fanout: StatusFanout, connections: WebSocketManager, alice: PresenceState) -> None:
        self.fanout = fanout
        self.connections = connections
        self.alice = alice
        self.devices = {user: attach(connections, user) for user in USERS}
        for follower in ("bob", "carol"):
            fanout.followers.add(follower, ["alice"])

    def told(self) -> dict[str, list[str]]:
        """Return the statuses of hers that her followers were sent since the last time."""
        self.connections.flush()
        return {user: statuses(self.devices[user][1]) for user in ("bob", "carol")}


def statuses(recorder: Recorder) -> list[str]:
    return [frame["payload"]["status"] for frame in recorder.take()]


@asynccontextmanager
async def town(folder: Path, visible_to: str) -> AsyncIterator[Town]:
    async with opened(folder, inline=True) as runner:
        for name in USERS:
            await runner.write(lambda connection, name=name: accounts.create_user(connection, name, 1.0))
        pair = await runner.write(lambda connection: ensure_user_channel(connection, "alice", "bob", 1.0))
        await runner.write(lambda connection: acquaint(connection, pair.channel_id, ["alice"]))
        alice = PresenceState(Choice(), visible_to, None)
        alice.published = Status("online")
        connections = WebSocketManager()
        blocks = Blocks(runner, lambda: 1.0)
        yield Town(StatusFanout(runner, connections, {"alice": alice}, lambda: 1.0, blocks), connections, alice)


async def test_a_status_is_for_the_followers_who_may_see_it(tmp_path: Path) -> None:
    async with town(tmp_path, "everyone") as here:
        await here.fanout.publish("alice", here.alice)
        assert here.told() == {"bob": ["online"], "carol": ["online"]}
        here.alice.visible_to = "shared"
        await here.fanout.publish("alice", here.alice)
        assert here.told() == {"bob": ["online"], "carol": []}
        here.alice.visible_to = "nobody"
        await here.fanout.publish("alice", here.alice)
        assert here.told() == {"bob": [], "carol": []}


async def test_who_may_see_a_user_no_longer_is_told_that_they_are_unknown(tmp_path: Path) -> None:
    async with town(tmp_path, "shared") as here:
        await here.fanout.recheck(Recheck({"alice"}, None))
        assert here.told() == {"bob": ["online"], "carol": ["unknown"]}


async def test_a_shared_conversation_changes_nothing_for_who_is_visible_to_everyone(tmp_path: Path) -> None:
    async with town(tmp_path, "everyone") as here:
        await here.fanout.recheck(Recheck({"alice"}, {"bob"}))
        assert here.told() == {"bob": [], "carol": []}
        here.alice.visible_to = "shared"
        await here.fanout.recheck(Recheck({"alice"}, {"bob"}))
        assert here.told() == {"bob": ["online"], "carol": []}


async def test_a_device_in_the_background_keeps_the_last_one_for_later(tmp_path: Path) -> None:
    async with town(tmp_path, "everyone") as here:
        device, _ = here.devices["bob"]
        device.active = False
        await here.fanout.publish("alice", here.alice)
        here.alice.published = Status("busy")
        await here.fanout.publish("alice", here.alice)
        assert here.told() == {"bob": [], "carol": ["busy"]}
        assert device.missed_statuses == {"alice": Status("busy")}
