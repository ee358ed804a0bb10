"""The bot that docs/plugins/bots.md shows, on a real server, while both are killed with `kill -9`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.conversation import blocks
from tests.e2e.server import ROOT, Server, Tables
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PAGE = ROOT / "docs" / "plugins" / "bots.md"
SETTINGS: Tables = {
    "plugins": {"also": ["bots"]},
    "plugins.bots": {"invocations_per_minute": 0},
    "replay": {"limit": 15},
}
INVOCATIONS = 60


class Program:
    """The page's program, as a process that is started and killed."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        (code,) = [block.text for block in blocks(PAGE.read_text(encoding="utf-8")) if block.role == "bot"]
        self.file = folder / "dice.py"
        self.file.write_text(code)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        self.environment = {**inherited, "RELAY_URL": url, "RELAY_TOKEN": token, "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.file.parent / "dice.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.file)],
                cwd=self.file.parent,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, SETTINGS)
    yield made
    if made.alive:
        made.kill()


def wait_for(what: str, found: Any) -> Any:
    """Return what `found()` finds, once it finds something."""
    deadline = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return result


def invoke(rest: httpx.Client, number: int) -> int:
    """Invoke /roll, one way or the other, and return the id of what was said."""
    if number % 2:
        envelope: dict[str, Any] = {"type": "slash_command", "payload": {"command": "roll", "text": f"{number}d6"}}
    else:
        envelope = {"type": "chat_message", "payload": {"content": f"/roll {number}d6"}}
    envelope["meta"] = {"target_id": "dice", "id": f"i-{number}"}
    answer = rest.post("/api/messages", json=envelope)
    assert answer.status_code in (200, 201), answer.text
    return int(answer.json()["message_id"])


def status(rest: httpx.Client) -> str:
    told: str = rest.get("/api/users/dice/status").json()["status"]
    return told


def answers(rest: httpx.Client) -> list[str]:
    """Return for what dice were rolled, one entry an answer, oldest first."""
    found: list[str] = []
    after = 0
    while True:
        page = rest.get(f"/api/messages/user/dice?type=slash_response&limit=200&after={after}").json()
        found += [one["payload"]["content"].partition(":")[0] for one in page["messages"]]
        if not page["has_more"]:
            return found
        after = page["next_after"]


def test_each_invocation_is_answered_once_though_bot_and_server_are_killed(server: Server, tmp_path: Path) -> None:
    token = server.relay("bot", "add", "dice", "--display-name", "The dice")
    assert re.fullmatch(r"rly_\S+\n", token)
    alice = server.import_users(["alice"])["alice"]
    server.start()
    program = Program(tmp_path, server.url, token.strip())
    chance = random.Random(5)
    with contextlib.ExitStack() as stack:
        stack.callback(program.kill)
        program.start()
        rest = stack.enter_context(server.rest(alice))
        wait_for("the bot registers its command", lambda: rest.get("/api/commands").json()["commands"])
        for number in range(1, INVOCATIONS + 1):
            invoke(rest, number)
            if number % 10 == 0:
                time.sleep(chance.random())
                program.kill()
                if number == INVOCATIONS // 2:
                    server.kill()
                    server.start()
                program.start()
        wanted = {f"{number}d6" for number in range(1, INVOCATIONS + 1)}
        program.kill()
        for number in range(INVOCATIONS + 1, INVOCATIONS + 41):  # more than one replay brings
            invoke(rest, number)
            wanted.add(f"{number}d6")
        program.start()
        wait_for("all are answered", lambda: wanted <= set(answers(rest)))
        program.kill()
        wait_for("the bot is seen to be gone", lambda: status(rest) == "offline")
        program.start()
        wait_for("the bot is back", lambda: status(rest) == "online")
        time.sleep(0.5)
        assert Counter(answers(rest)) == Counter(wanted)
        (row,) = [json.loads(line) for line in server.relay("bot", "list", "--json").splitlines()]
        assert (row["bot"], row["online"], row["commands"]) == ("dice", True, "roll")
