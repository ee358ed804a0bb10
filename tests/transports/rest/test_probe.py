"""Probes of `relay doctor`: what they tell, to whom, and for how long."""

from __future__ import annotations

from pathlib import Path

import trio

from relay.services.probes import PROBE_SECONDS
from tests.transports.rest.world import World, open_world


async def test_a_probe_says_how_its_request_arrived(tmp_path: Path) -> None:
    async with open_world(tmp_path, server={"trusted_proxies": ["10.0.0.0/8"]}) as world:
        path = f"/api/probe/{world.engine.probes.begin()}"
        headers = {"X-Forwarded-For": "203.0.113.4", "Host": "chat.example.org"}
        answer = await world.call(None, "GET", path, headers=headers, address="10.0.0.1")
        assert answer.ok() == {
            "peer": "10.0.0.1",
            "peer_port": 4000,
            "trusted": True,
            "address": "203.0.113.4",
            "http_version": "1.1",
            "host": "chat.example.org",
            "forwarded_for": ["203.0.113.4"],
        }
        distrusted = (await world.call(None, "GET", path, headers=headers, address="192.0.2.1")).ok()
        assert (distrusted["trusted"], distrusted["address"]) == (False, "192.0.2.1")


async def test_a_body_is_counted_and_forgotten_up_to_the_largest_that_is_taken(tmp_path: Path) -> None:
    limits, attachments = {"body_bytes": 2048}, {"max_bytes": 4096}
    async with open_world(tmp_path, limits=limits, attachments=attachments) as world:
        path = f"/api/probe/{world.engine.probes.begin()}"
        binary = {"Content-Type": "application/octet-stream"}
        assert (await world.post(None, path, bytes(4096), headers=binary)).ok() == {"bytes": 4096}
        (await world.post(None, path, bytes(4097), headers=binary)).refused(413, "too_large")


async def test_only_who_has_a_good_id_learns_anything(world: World) -> None:
    (await world.get(None, "/api/probe/probe_guessed")).refused(404, "not_found")
    (await world.post(None, "/api/probe/probe_guessed", b"x")).refused(404, "not_found")
    first = world.engine.probes.begin()
    (await world.get(None, f"/api/probe/{first}")).ok()
    await trio.sleep(PROBE_SECONDS)
    (await world.get(None, f"/api/probe/{first}")).refused(404, "not_found")


async def test_many_probes_push_out_the_oldest(world: World) -> None:
    first = world.engine.probes.begin()
    others = [world.engine.probes.begin() for _ in range(8)]
    assert not world.engine.probes.is_open(first)
    assert all(map(world.engine.probes.is_open, others))
