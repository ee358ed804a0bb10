"""Presence at the real server: a kill, and two thousand devices that come back at once."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterable
from typing import cast

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.frames import encode_frame
from tests.e2e.server import Server
from tests.e2e.wire import PATIENCE
from tests.e2e.world import Device

pytestmark = [pytest.mark.e2e, pytest.mark.long]

CLIENTS = 2000
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def follow(device: Device, *users: str) -> list[dict[str, str]]:
    device.wire.send_json(
        {"type": "follow", "payload": {"user_ids": list(users), "follow": True}, "meta": {"id": users[0]}}
    )
    return device.acked(users[0])["statuses"]


def statuses(device: Device, wanted: dict[str, str]) -> list[tuple[str, str]]:
    """Return who was told to be how, until that is what is wanted and nothing more is told for a while."""
    found: list[tuple[str, str]] = []
    while True:
        try:
            frame = device.wire.recv_json(1.0 if dict(found) == wanted else PATIENCE)
        except TimeoutError:
            return found
        if frame["type"] == "status_update":
            found.append((frame["meta"]["sender_id"], frame["payload"]["status"]))


def test_after_a_kill_nobody_is_shown_who_is_not_there(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob", "carol"], {"presence": {"grace_seconds": 1}})
    watcher = world.device("carol", "watcher")
    follow(watcher, "alice", "bob")
    alice, bob = world.device("alice", "phone"), world.device("bob", "phone")
    here = {"alice": "online", "bob": "online"}
    assert statuses(watcher, here) == list(here.items())
    watcher.pump(lambda: False, 1.5)  # who is here is saved within a second or so
    world.server.kill()
    for device in (watcher, alice, bob):
        device.close()
    world.server.start()
    back = world.device("bob", "phone")
    watcher = world.device("carol", "watcher")
    told = statuses(watcher, {"alice": "offline", "bob": "online"})
    assert ("alice", "online") not in told
    assert len(told) <= 3, "each once, and alice once more when she has been away for long enough"
    asked = world.rest("carol").get("/api/users/following/status").json()["statuses"]
    assert [row["status"] for row in asked] == ["offline", "online"]
    back.close()


def begin(server: Server, token: str) -> socket.socket:
    """Ask for a connection and say hello on it, and wait for nothing."""
    wire = socket.create_connection(server.address, PATIENCE)
    said = {
        "type": "connection_event",
        "payload": {"event": "hello", "token": token},
        "meta": {"client_id": "phone"},
    }
    wire.sendall(UPGRADE + encode_frame(json.dumps(said).encode()))
    return wire


def wait_synced(wires: list[socket.socket]) -> None:
    """Read what comes on any of them, until each is `synced`."""
    with selectors.DefaultSelector() as waiting:
        for wire in wires:
            waiting.register(wire, selectors.EVENT_READ, bytearray())
        while waiting.get_map():
            ready = waiting.select(2 * PATIENCE)
            assert ready, f"{len(waiting.get_map())} are not there"
            for key, _ in ready:
                wire = cast(socket.socket, key.fileobj)
                part = wire.recv(16384)
                assert part, key.data[-300:]
                key.data.extend(part)
                if b'"synced"' in key.data:
                    waiting.unregister(wire)


def storm(server: Server, tokens: Iterable[str], rounds: int) -> None:
    """Connect everybody at once, cut them all at once, and so on; they are there at the end."""
    wires: list[socket.socket] = []
    try:
        for number in range(rounds):
            for wire in wires:
                wire.close()
            wires = [begin(server, token) for token in tokens]
            wait_synced(wires)
            if number == 0:
                time.sleep(0.5)
        time.sleep(1.5)
    finally:
        for wire in wires:
            wire.close()


def test_two_thousand_that_reconnect_at_once_are_told_of_once(make_world: MakeWorld) -> None:
    users = [f"u{number}" for number in range(CLIENTS)]
    settings = {"presence": {"grace_seconds": 60}, "limits": {"following_per_user": 0}}
    # The watcher reads nothing until all have come, however long that takes.
    settings |= {"heartbeat": {"interval_seconds": 300}, "timeouts": {"write_seconds": 600}}
    world = make_world(["watcher", *users], settings)
    watcher = world.device("watcher", "watcher")
    for start in range(0, CLIENTS, 200):
        follow(watcher, *users[start : start + 200])
    storm(world.server, [world.tokens[user] for user in users], 3)
    told = statuses(watcher, dict.fromkeys(users, "online"))
    print(f"{len(told)} status frames for {CLIENTS} clients that came, and came back twice")
    assert sorted(told) == sorted((user, "online") for user in users)
