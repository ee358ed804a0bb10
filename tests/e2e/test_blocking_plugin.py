"""A plugin that holds the thread of a real server: it is interrupted, and the others go on."""

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.wire import PATIENCE
from tests.e2e.world import unique

pytestmark = pytest.mark.e2e

CODE = """
import time
from relay.plugin import *

class P(Payload):
    text: str = ""

def stop(draft):
    if draft.payload.text == "sleep":
        time.sleep(60)
    while draft.payload.text == "loop":
        try:
            pass
        except Exception:
            pass
    if draft.payload.text == "inside":
        def apply(connection, entry):
            while True:
                pass
        draft.apply = apply

async def wait(server):
    while True:
        pass

@hookimpl
def relay_message_types(): return [MessageType(name="odd", payload=P, kind=Kind.STREAM, prepare=stop)]

@hookimpl
def relay_background(): return [BackgroundTask(name="spin", run=wait)]
"""


def test_one_that_blocks_the_thread_is_interrupted(tmp_path: Path, make_world: MakeWorld) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "odd.py").write_text(CODE)
    plugins = {"directories": [str(folder)], "blocking_seconds": 0.4}
    world = make_world(["alice", "bob"], {"plugins": plugins})
    alice, bob = world.device("alice"), world.device("bob")
    for text in ("sleep", "loop", "inside"):
        rest = world.rest("alice")
        envelope = {"type": "odd", "payload": {"text": text}, "meta": {"target_id": "bob"}}
        answer = rest.post("/api/messages", json=envelope)
        assert (answer.status_code, answer.json()["code"]) == (502, "plugin_failed"), text
        alice.say("bob", f"after {text}")
        bob.wait_content(f"after {text}")
    log = world.server.log.read_text()
    assert log.count("Blocked: it held the server's thread for more than 0.4 s") >= 3
    assert "plugin 'odd' failed in apply, for 'odd'" in log
    assert "plugin 'odd' failed in task 'spin'" in log


IN_A_TRANSACTION = """
import threading, time
from relay.plugin import *

def stored(server, connection, entries):
    on_the_event_loop = threading.current_thread() is threading.main_thread()
    if on_the_event_loop and any("stop" in entry.payload for entry in entries):
        time.sleep(60)

@hookimpl
def relay_message_hooks(): return [MessageHook(types=("chat_message",), stored=stored)]
"""


def test_one_that_blocks_in_a_transaction_on_the_event_loop_is_interrupted(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "odd.py").write_text(IN_A_TRANSACTION)
    world = make_world(["alice", "bob"], {"plugins": {"directories": [str(folder)], "blocking_seconds": 0.4}})
    alice, bob = world.device("alice"), world.device("bob")
    log, until = world.server.log, time.monotonic() + PATIENCE
    # Which thread commits a message is decided by how quick the disk was lately.
    while "plugin 'odd' failed in stored" not in log.read_text() and time.monotonic() < until:
        content = unique("stop")
        alice.say("bob", content)
        bob.wait_content(content)
    assert "Blocked: it held the server's thread for more than 0.4 s" in log.read_text()
