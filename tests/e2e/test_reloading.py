"""`plugins reload` on a real server under 200 messages a second: nothing is lost, nobody is disconnected."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.app.control_client import call, control_path
from relay.protocol.errors import RelayError
from tests.e2e.wire import PATIENCE
from tests.e2e.world import Device, World, message

pytestmark = pytest.mark.e2e

RATE = 200
SECONDS = 3.0
PLUGIN = """
from relay.plugin import BackgroundTask, MessageHook, MessageType, Migration, Payload, Kind, hookimpl
import trio

VERSION = {version}

class Note(Payload):
    content: str
    drafted: int = 0
    stored: int = 0

def prepare(draft):
    draft.payload.drafted = VERSION

def before(draft):
    if getattr(draft.payload, "drafted", VERSION) != VERSION:
        raise RuntimeError("half old, half new")

def stored(server, connection, entries):
    for entry in entries:
        connection.execute("INSERT INTO odd_seen VALUES (?, ?, ?)", (entry.message_id, VERSION, entry.payload))

async def run(server):
    await trio.sleep_forever()

@hookimpl
def relay_message_types():
    return [MessageType(name="note", payload=Note, kind=Kind.STREAM, prepare=prepare)]

@hookimpl
def relay_message_hooks():
    return [MessageHook(types=frozenset({{"note"}}), before=before, stored=stored)]

@hookimpl
def relay_migrations():
    return [Migration(name="seen", sql="CREATE TABLE odd_seen (message_id, version, payload)")]

@hookimpl
def relay_background():
    return [BackgroundTask(name="idle", run=run)]
"""


class Traffic:
    """One who sends notes and texts in turn at an even rate, and one who reads them."""

    def __init__(self, world: World) -> None:
        self.sender, self.reader = world.device("ann"), world.device("ben")
        self.sent: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=one) for one in (self._send, self._read)]

    def _send(self) -> None:
        began, number = time.monotonic(), 0
        while not self.over.is_set():
            ref = f"n-{number}"
            envelope = message("ben", ref, id=ref)
            if number % 2:
                envelope["type"] = "note"
            self.sender.wire.send_json(envelope)
            self.sent.append(ref)
            number += 1
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))

    def _read(self) -> None:
        while not self.over.is_set():
            _pump(self.reader, 0.1)

    def reach(self, version: int) -> None:
        """Wait until a note has come that this version of the plugin has drafted."""
        deadline = time.monotonic() + PATIENCE
        while not any(one["payload"].get("drafted") == version for one in list(self.reader.messages)):
            assert time.monotonic() < deadline, f"no note of version {version}"
            time.sleep(0.01)

    def finish(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert self.sender.pump(lambda: len(self.sender.answers) == len(self.sent))


def _pump(device: Device, seconds: float) -> None:
    """Read for a while; a note counts as a message."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            envelope = device.take(left)
        except TimeoutError:
            return
        if envelope["type"] == "note":
            device.messages.append(envelope)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("reloading")
    plugins = folder / "plugins.d"
    plugins.mkdir()
    (plugins / "odd.py").write_text(PLUGIN.format(version=1))
    world = World(folder, ["ann", "ben"], {"plugins": {"directories": [str(plugins)]}})
    try:
        yield world
    finally:
        world.end()


def reload(world: World) -> Any:
    return call(control_path(Path(world.server.database)), "plugin.reload", {"name": "odd"})


def test_under_200_messages_a_second_nothing_is_lost_and_nobody_is_disconnected(world: World) -> None:
    file = world.server.folder / "plugins.d" / "odd.py"
    traffic = Traffic(world)
    for thread in traffic.threads:
        thread.start()
    reloads = refusals = 0
    slowest = 0.0
    began = time.monotonic()
    while reloads < 10 or time.monotonic() - began < SECONDS:
        if reloads % 4 == 2 and refusals <= reloads // 4:
            file.write_text("1 / 0\n")
            with pytest.raises(RelayError, match=r"stays as it was: odd.py:1: ZeroDivisionError"):
                reload(world)
            refusals += 1
        traffic.reach(reloads + 1)
        file.write_text(PLUGIN.format(version=reloads + 2))
        at = time.monotonic()
        assert reload(world)["state"] == "reloaded"
        slowest = max(slowest, time.monotonic() - at)
        reloads += 1
        time.sleep(0.2)
    traffic.reach(reloads + 1)
    traffic.finish()
    deadline = time.monotonic() + PATIENCE
    while len(traffic.reader.messages) < len(traffic.sent) and time.monotonic() < deadline:
        _pump(traffic.reader, 0.1)
    _pump(traffic.reader, 0.5)  # nothing comes twice
    print(f"{len(traffic.sent)} messages, {reloads} reloads, {refusals} refused; the slowest took {slowest:.3f} s")
    assert refusals >= 2
    assert len(traffic.sent) > RATE * SECONDS * 0.7
    assert {answer[0]["type"] for answer in traffic.sender.answers.values()} == {"ack"}
    assert traffic.reader.contents() == traffic.sent
    versions = [one["payload"]["drafted"] for one in traffic.reader.messages if one["type"] == "note"]
    assert versions == sorted(versions)
    assert set(versions) == set(range(1, reloads + 2))
    assert world.server.alive
    seen = _seen(world)
    assert len(seen) == len(versions)
    assert all(f'"drafted":{version}' in payload for version, payload in seen), "drafted by one, stored by another"


def test_the_command_tells_what_came_and_went_and_what_is_next(world: World) -> None:
    file = world.server.folder / "plugins.d" / "odd.py"
    file.write_text(PLUGIN.format(version=1).replace('name="note"', 'name="memo"').replace('{"note"}', '{"memo"}'))
    told = world.server.relay("plugins", "reload", "odd")
    assert told == "odd: reloaded; new message types: memo; unknown from now on: note\n"
    assert world.server.relay("plugins", "unload", "odd") == "odd: removed; unknown from now on: memo\n"
    assert "off" in next(
        line for line in world.server.relay("plugins", "list").splitlines() if line.startswith("odd")
    )


def test_a_bundled_plugin_is_enabled_and_disabled_without_a_start(world: World) -> None:
    for command, told in (
        ("install", f"polls, a bundled plugin, is in [plugins] also of {world.server.config}"),
        ("reload", "polls: loaded; new message types: poll, poll_close, poll_result, poll_vote"),
        ("remove", f"polls is not in [plugins] also of {world.server.config} any more"),
        ("unload", "polls: removed; unknown from now on: poll, poll_close, poll_result, poll_vote"),
    ):
        assert world.server.relay("plugins", command, "polls") == told + "\n"


def _seen(world: World) -> list[tuple[int, str]]:
    connection = sqlite3.connect(f"file:{world.server.database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT version, payload FROM odd_seen ORDER BY message_id").fetchall()
    finally:
        connection.close()
