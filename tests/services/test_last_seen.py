"""The saving of who is present, and of when the others were last seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.services.connections import WebSocketManager
from relay.services.last_seen import LastSeenSaver
from relay.services.presence_state import Choice, Grace, PresenceState
from relay.services.statuses import Status
from relay.storage import accounts, presence
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.testing import World
from tests.services.recorder import attach
from tests.storage.opening import opened

NOW = 1_700_000_000.0


def state(status: Status) -> PresenceState:
    made = PresenceState(Choice(), "everyone", None)
    made.published = status
    return made


async def stored(runner: Runner) -> dict[str, tuple[int, float | None]]:
    rows = await runner.read(lambda connection: presence.read_rows(connection, ["alice", "bob"]))
    return {user_id: (row.present, row.last_seen) for user_id, row in rows.items()}


async def with_users(runner: Runner) -> None:
    for name in ("alice", "bob"):
        await runner.write(lambda connection, name=name: accounts.create_user(connection, name, 1.0))


async def test_who_is_gone_is_saved_and_let_go_and_who_may_come_back_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, inline=True) as runner:
        await with_users(runner)
        states = {"alice": state(Status("offline", last_seen=5.0)), "bob": state(Status("online"))}
        states["bob"].graces["phone"] = Grace(30.0, True)
        saver = LastSeenSaver(runner, WebSocketManager(), states, lambda: NOW)
        saver.enabled = True
        for user_id in (*states, "somebody whose state is gone"):
            saver.save_soon(user_id)
        await saver.flush()
        assert await stored(runner) == {"alice": (0, 5.0), "bob": (1, None)}
        assert list(states) == ["bob"]


async def test_nothing_is_written_before_a_device_was_there(tmp_path: Path) -> None:
    async with opened(tmp_path, inline=True) as runner:
        await with_users(runner)
        saver = LastSeenSaver(runner, WebSocketManager(), {"alice": state(Status("online"))}, lambda: NOW)
        saver.save_soon("alice")
        await saver.flush()
        assert (await stored(runner))["alice"] == (0, None)


async def test_what_the_disk_does_not_take_is_saved_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, inline=True) as runner:
        await with_users(runner)
        states = {"alice": state(Status("offline", last_seen=5.0))}
        saver = LastSeenSaver(runner, WebSocketManager(), states, lambda: NOW)
        saver.enabled = True
        saver.save_soon("alice")

        async def full(_job: object) -> None:
            raise StorageFailed("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(runner, "write", full)
            await saver.flush()
        assert list(states) == ["alice"]
        await saver.flush()
        assert (await stored(runner))["alice"] == (0, 5.0)
        assert states == {}


async def test_it_saves_a_second_after_a_change_and_every_minute_while_anybody_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path, inline=True) as runner, trio.open_nursery() as nursery:
        await with_users(runner)
        connections = WebSocketManager()
        attach(connections, "alice")
        saver = LastSeenSaver(runner, connections, {"alice": state(Status("online"))}, trio.current_time)
        saver.enabled = True
        began = trio.current_time()
        saver.save_soon("alice")
        nursery.start_soon(saver.run)

        async def alive_at() -> float:
            read = "SELECT value FROM facts WHERE name = 'alive_at'"
            row = await runner.read(lambda connection: connection.execute(read).fetchone())
            return float(row[0]) - began

        await trio.sleep(2)
        assert await alive_at() == pytest.approx(1.0)
        await trio.sleep(58)
        assert await alive_at() == pytest.approx(1.0)
        await trio.sleep(2)
        assert await alive_at() == pytest.approx(61.0)
        nursery.cancel_scope.cancel()


async def test_who_is_connected_is_not_forgotten_once_they_are_saved(world: World) -> None:
    await world.connect("alice")
    await trio.sleep(5)
    (status,) = await world.engine.presence.statuses("bob", ["alice"])
    assert status["status"] == "online"
