"""What a server watches while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.app.watching import watch_certificate, watch_clock, watch_file
from relay.storage.errors import StorageBroken
from relay.storage.health import Health
from relay.testing import World


async def test_a_clock_that_is_set_is_told_once_with_how_far(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    offset = 1.7e9

    def now() -> float:
        return offset + trio.current_time()

    nursery.start_soon(watch_clock, now)
    for by in (0, 3, -7200, 0, 3 * 86_400):  # three seconds are a time daemon's own work
        offset += by
        await trio.sleep(10)
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert told == ["the clock went back by 7197 s", "the clock went forward by 259200 s"]
    nursery.cancel_scope.cancel()


async def test_a_file_that_goes_away_ends_the_server_though_nobody_writes(tmp_path: Path) -> None:
    health = Health(tmp_path / "relay.db", trio.current_time)
    at = trio.current_time() + 60
    health.moved = lambda: trio.current_time() >= at
    with pytest.raises(StorageBroken, match="was replaced, moved or deleted"):
        await watch_file(health)
    assert trio.current_time() <= at + 1


@pytest.mark.world
async def test_a_certificate_that_is_about_to_expire_is_told_each_day_until_it_is_renewed(
    world: World, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        found = [one.getMessage() for one in caplog.records if "tls_certificate" in one.getMessage()]
        caplog.clear()
        return found

    live, day, now = world.engine.live, 86_400.0, world.engine.now()
    live.certificate_ends = now + 20 * day
    nursery.start_soon(watch_certificate, world.engine)
    await trio.sleep(6.5 * day)
    assert told() == []
    await trio.sleep(2 * day)
    assert ["which is served, expires on" in text for text in told()] == [True, True]
    await trio.sleep(13 * day)
    assert "has expired on" in told()[-1]
    live.certificate_ends = now + 100 * day
    await trio.sleep(3 * day)
    live.certificate_ends = None
    await trio.sleep(100 * day)
    assert told() == []
    nursery.cancel_scope.cancel()
