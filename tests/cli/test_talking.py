"""`relay send` and `relay tail` against the real server."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.e2e.forking import ROOT, forks
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e
WAIT = 15.0


class Tail:
    """A `relay tail` in a process of its own, its lines in a queue."""

    def __init__(self, server: Server, token: str, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        (reading, writing), (hearing, complaining) = os.pipe(), os.pipe()
        with open(writing, "wb") as printed, open(complaining, "wb") as complained:
            self.process = forks().start(
                ["tail", "--url", server.url, *options],
                cwd=ROOT,
                env={**environment, "RELAY_TOKEN": token},
                stdin=None,
                stdout=printed,
                stderr=complained,
            )
        self._printed, self._complained = (os.fdopen(end, encoding="utf-8") for end in (reading, hearing))
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._printed:
            self.lines.put(line)

    def contents(self, number: int) -> list[str]:
        """Wait for so many chat messages and return what they say."""
        found: list[str] = []
        while len(found) < number:
            envelope: dict[str, Any] = json.loads(self.lines.get(timeout=WAIT))
            if envelope["type"] in ("chat_message", "group_message"):
                found.append(envelope["payload"]["content"])
        return found

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """End it by a signal and return its status and what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(WAIT)
        self._reader.join(WAIT)
        with self._printed, self._complained:
            return status, self._complained.read()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    if server.alive:
        server.stop()


@pytest.fixture
def say(server: Server, run: Run) -> Run:
    """`relay send` to the server, with its settings file as the only hint to its address."""

    def invoke(*arguments: str, ok: bool = True, **options: object) -> Any:
        return run("send", *arguments, "--config", str(server.config), ok=ok, **options)

    return invoke


def message_id(told: str) -> int:
    """Return the id of a conversation's first message, which `relay send` told."""
    found = re.fullmatch(r"message (\d+), seq 1\n", told)
    assert found, told
    return int(found[1])


def test_a_message_is_sent_stored_and_shown(server: Server, say: Run, folder: Path) -> None:
    tokens = server.import_users(["ann", "bob"])
    (folder / "token").write_text(tokens["ann"] + "\n")
    with_file = ["--token-file", "token"]
    first = message_id(say("bob", "hello", *with_file).output)
    second = say("bob", "-", *with_file, input="two\nlines\x1b[2J\n").output
    assert second == f"message {first + 1}, seq 2\n"
    tail = Tail(server, tokens["bob"])
    assert tail.lines.get(timeout=WAIT).endswith("ann → bob: hello\n")
    assert tail.lines.get(timeout=WAIT).endswith("ann → bob: two\\nlines\\x1b[2J\n")
    assert tail.stop() == (0, "")


def test_a_message_with_the_same_id_is_stored_once(server: Server, say: Run) -> None:
    token = server.import_users(["ann", "bob"])["ann"]
    sent = ("bob", "hello", "--token", token, "--id", "backup-1")
    first = message_id(say(*sent).output)
    assert say(*sent).output == f"message {first}, seq 1, stored already\n"
    assert say("bob", "other", "--token", token, "--id", "backup-1", ok=False).exit_code == 1


def test_a_group_is_recognised(server: Server, say: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = server.import_users(["ann", "bob"])
    monkeypatch.setenv("RELAY_TOKEN", tokens["ann"])
    server.relay("group", "create", "team", "--name", "Team", "--owner", "ann", "--member", "bob")
    tail = Tail(server, tokens["bob"], "--json")
    say("team", "one")
    say("team", "two", "--group")
    say("team", '{"content": "three"}', "--type", "group_message")
    assert tail.contents(3) == ["one", "two", '{"content": "three"}']
    assert tail.stop(signal.SIGTERM) == (0, "")


def test_what_cannot_be_sent_is_told_with_the_reason(
    server: Server, say: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = server.import_users(["ann", "bob"])["ann"]
    assert say("bob", "x", ok=False).exit_code == 2
    assert say("bob", "x", "--token", "rly_wrong", ok=False).stderr == "relay: token missing or wrong\n"
    monkeypatch.setenv("RELAY_TOKEN", token)
    assert "there is no user or group 'nobody'" in say("nobody", "x", ok=False).stderr
    assert say("bob", "[]", "--type", "reaction", ok=False).exit_code == 2
    assert say("bob", "x", "--group", "--type", "chat_message", ok=False).exit_code == 2
    assert say("bob", "x", "--url", "ftp://x", ok=False).exit_code == 1
    assert say("bob", "x", "--token-file", "absent", ok=False).stderr.startswith("relay: absent: cannot be read")
    server.stop()
    assert say("bob", "x", "--timeout", "0.2", ok=False).exit_code == 1


def test_a_tail_loses_and_repeats_nothing_over_a_restart_of_the_server(server: Server, say: Run) -> None:
    tokens = server.import_users(["ann", "bob"])
    tail = Tail(server, tokens["bob"], "--json")
    say("bob", "before", "--token", tokens["ann"])
    assert tail.contents(1) == ["before"]
    server.kill()
    server.start()
    for content in ("after", "and more"):
        say("bob", content, "--token", tokens["ann"])
    assert tail.contents(2) == ["after", "and more"]
    assert tail.stop()[0] == 0
    left = [json.loads(line) for line in tail.lines.queue]  # who is here is told as well
    assert [one for one in left if one["type"] == "chat_message"] == []


def test_a_tail_with_a_state_goes_on_where_it_was_stopped(server: Server, say: Run, tmp_path: Path) -> None:
    tokens = server.import_users(["ann", "bob"])
    options = ("--json", "--state", str(tmp_path / "state"))
    for round_ in ("one", "two", "three"):
        say("bob", round_, "--token", tokens["ann"])
        tail = Tail(server, tokens["bob"], *options)
        assert tail.contents(1) == [round_]
        assert tail.stop()[0] == 0
    fresh = Tail(server, tokens["bob"], "--json", "--cursor", "0")
    assert fresh.contents(3) == ["one", "two", "three"]
    assert fresh.stop()[0] == 0


def test_a_tail_over_the_replay_limit_prints_what_was_left_out(tmp_path: Path, folder: Path) -> None:
    server = Server(tmp_path, {"replay": {"limit": 5}})
    server.start()
    try:
        tokens = server.import_users(["ann", "bob"])
        with server.rest(tokens["ann"]) as rest:
            for number in range(12):
                body = {"type": "chat_message", "payload": {"content": str(number)}, "meta": {"target_id": "bob"}}
                assert rest.post("/api/messages", json=body).status_code == 201
        tail = Tail(server, tokens["bob"], "--json", "--cursor", "0")
        assert sorted(tail.contents(12), key=int) == [str(number) for number in range(12)]
        assert tail.stop()[0] == 0
    finally:
        server.stop()


def test_a_tail_ends_when_its_user_is_disabled(server: Server) -> None:
    tokens = server.import_users(["ann", "bob"])
    tail = Tail(server, tokens["bob"])
    server.relay("user", "disable", "bob")
    tail.process.wait(WAIT)
    status, said = tail.stop()
    assert status == 1
    assert "account disabled (4502)" in said


def test_a_second_server_on_the_database_or_the_port_is_refused(server: Server, run: Run, tmp_path: Path) -> None:
    refused = run("serve", "--config", str(server.config), ok=False)
    assert refused.exit_code == 1
    assert "in use by another relay" in refused.stderr
    other = tmp_path / "other.toml"
    other.write_text(f'[server]\nport = {server.port}\n[storage]\npath = "other.db"\n')
    refused = run("serve", "--config", str(other), ok=False)
    assert refused.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use; " in refused.stderr
