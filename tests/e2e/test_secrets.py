"""Secrets that are used rightly and wrongly in one run, and then searched for in all that the run left behind."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from relay.services import totp
from tests.e2e.frames import encode_frame
from tests.e2e.server import NO_TLS, Tables
from tests.e2e.wire import Wire, request
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

SETTINGS: Tables = {
    "log": {"level": "debug"},
    "accounts": {"registration": "open"},
    "plugins": {"also": ["webhooks", "bots"]},
    "limits": {"wrong_passwords_per_hour": 0, "bad_frames": 0},
}
PASSWORD, OTHER, WRONG = "planted-first-Kx7", "planted-second-Qz3", "planted-wrong-Vb9"
WEBHOOK = "whsec_" + base64.b64encode(b"planted webhook secret, 32 bytes").decode()
KEPT = {"second factor's secret", "webhook's secret"}
"""What the server must be able to read again: it is in the database, and nowhere else."""

COMMANDS = [
    ("audit",), ("connections", "list"), ("invite", "list"), ("token", "list"), ("user", "list"), ("webhook", "list"),
    ("status",), ("config", "show"),
]  # fmt: skip
RECOVERY = {f"recovery code {number}" for number in range(1, 10)}
"""Misused is one of ten, which stands for all."""


class Run:
    """A server on which every kind of secret was used.

    Attributes:
        secrets: by what they are.
        answers: the bodies of answers that are not the one time that a secret is told.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.secrets = {"password": PASSWORD, "new password": OTHER, "wrong password": WRONG}
        self.secrets["webhook's secret"] = WEBHOOK
        self.answers: list[str] = []
        self.wires: list[Wire] = []
        self.rest = httpx.Client(base_url=world.server.url, timeout=20, trust_env=False, verify=NO_TLS)

    def told(self, method: str, path: str, token: str | None = None, **given: Any) -> Any:
        """Call, and return an answer that may tell a secret."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self.rest.request(method, path, headers=headers, **given)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, token: str | None = None, **given: Any) -> None:
        """Call, and keep the answer: it must not tell a secret again."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self.rest.request(method, path, headers=headers | given.pop("headers", {}), **given)
        assert answer.status_code < 500, answer.text
        self.answers.append(answer.text + str(answer.headers))

    def use_all(self) -> None:
        """Use every kind of secret as it is meant."""
        register = {"user_id": "erin", "password": PASSWORD}
        self.secrets["token"] = token = self.told("POST", "/api/register", json=register)["token"]
        self.secrets["command line's token"] = self.world.tokens["alice"]
        self._second_factor(token)
        printed = self.world.server.relay("user", "reset-link", "bob")
        self.secrets["reset code"] = code = printed.strip().partition("#reset=")[2] or printed.strip()
        self.told("POST", "/api/password-reset", json={"code": code, "password": OTHER})
        login = {"user_id": "bob", "password": OTHER, "client_id": "phone"}
        self.secrets["login's token"] = self.told("POST", "/api/login", json=login)["token"]
        self.secrets["invite"] = self.world.server.relay("user", "invite").split()[0]
        invited = {"user_id": "frank", "password": PASSWORD, "invite": self.secrets["invite"]}
        self.secrets["invited one's token"] = self.told("POST", "/api/register", json=invited)["token"]
        hook = {"url": "http://127.0.0.1:9/", "secret": WEBHOOK}
        self.ask("POST", "/api/webhooks", self.world.tokens["alice"], json=hook)

    def _second_factor(self, token: str) -> None:
        path = "/api/users/me/second-factor"
        made = self.told("POST", path, token, json={"current_password": PASSWORD})
        self.secrets["second factor's secret"] = made["secret"]
        code = totp.code_of(base64.b32decode(made["secret"]), int(time.time() // totp.SECONDS))
        recovery = self.told("PUT", path, token, json={"code": code})["recovery_codes"]
        self.secrets |= {f"recovery code {number}": one for number, one in enumerate(recovery)}

    def misuse_all(self) -> None:
        """Put each secret where it does not belong."""
        for secret in [one for name, one in self.secrets.items() if name not in RECOVERY]:
            self._misuse(secret)
            self._misuse_on_a_socket(secret)
        self.answers.append(_read(self.wires))

    def _misuse(self, secret: str) -> None:
        alice = self.world.tokens["alice"]
        for path in ("/api/login", "/api/register", "/api/password-reset", "/api/mail-verification"):
            for body in (
                {"user_id": "erin", "password": secret, "code": secret},
                {"user_id": "erin", "password": [secret]},
                {"password": {"is": secret}, "user_id": secret},
                {"user_id": "erin", "passwort": secret, secret: 1},
            ):
                self.ask("POST", path, json=body)
            self.ask("POST", path, content=f'{{"user_id": "erin", "password": "{secret}')
            self.ask("POST", path, content=secret, headers={"Content-Type": "text/plain"})
        self.ask("GET", "/api/users/me", secret)
        self.ask("GET", "/api/users/me", headers={"Authorization": f"Basic {secret}"})
        self.ask("GET", "/api/users/me", headers={"Cookie": f"token={secret}"})
        self.ask("POST", "/api/webhooks", alice, json={"url": f"http://u:{secret}@127.0.0.1:9/", "secret": secret})
        for path in ("/api/users/me/second-factor", "/api/users/me/second-factor/off"):
            self.ask("POST", path, alice, json={"current_password": secret, "code": secret})
        self.ask("GET", "/metrics", secret)

    def _misuse_on_a_socket(self, secret: str) -> None:
        hello = {"event": "hello", "token": secret}
        for data in (
            json.dumps({"type": "connection_event", "payload": hello, "meta": {"client_id": 7}}),
            json.dumps({"type": "connection_event", "payload": {**hello, "cursor": secret}}),
            json.dumps({"type": "connection_event", "payload": hello})[:-1],
            json.dumps({"type": "chat_message", "payload": hello, "meta": {"target_id": "bob"}}),
            json.dumps({"type": "connection_event", "payload": {**hello, "token": secret[:-1] + "x"}}),
        ):
            wire = self.world.upgraded()
            wire.send_bytes(_frame(data))
            self.wires.append(wire)
        for head in (
            request(f"/ws?token={secret}"),
            request("/elsewhere", {"Authorization": f"Bearer {secret}"}),
            request("/ws", {"Authorization": f"Bearer {secret}", "Origin": "https://elsewhere.example"}),
            request("/ws", {"Authorization": f"Bearer {secret}\x01"}),
        ):
            wire = self.world.wire()
            wire.send_bytes(head)
            self.wires.append(wire)

    def left_behind(self) -> Iterator[tuple[str, str]]:
        """Yield all places and what is in them, but for the files of the database."""
        yield "an answer", "\n".join(self.answers)
        yield "/metrics", self.rest.get("/metrics").text
        yield "the log", self.world.server.log.read_text(errors="replace")
        for command in COMMANDS:
            yield f"relay {' '.join(command)}", self.world.server.relay(*command)
        for name in ("cmdline", "environ"):
            yield f"/proc/PID/{name}", Path(f"/proc/{self.world.server.pid}/{name}").read_text(errors="replace")


def _frame(text: str) -> bytes:

    return encode_frame(text.encode())


def _read(wires: list[Wire]) -> str:
    """Read what comes on any of them, until nothing comes for a moment."""
    got = b""
    with selectors.DefaultSelector() as waiting:
        for wire in wires:
            waiting.register(wire.socket, selectors.EVENT_READ)
        while waiting.get_map() and (ready := waiting.select(1.0)):
            for key, _ in ready:
                data = b""
                with contextlib.suppress(OSError):
                    data = cast(socket.socket, key.fileobj).recv(65536)
                got += data
                if not data:
                    waiting.unregister(key.fileobj)
    assert b"HTTP/1.1 4" in got, "nothing was refused"
    return got.decode(errors="replace")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    world = World(tmp_path_factory.mktemp("secrets"), ("alice", "bob"), SETTINGS)
    made = Run(world)
    try:
        made.use_all()
        made.misuse_all()
        yield made
    finally:
        made.rest.close()
        world.end()


def test_no_log_error_metric_or_list_tells_a_secret(run: Run) -> None:
    found = [
        f"{name} in {place}: {re.findall('.{60}' + re.escape(secret), text)[:2]}"
        for place, text in run.left_behind()
        for name, secret in run.secrets.items()
        if secret in text
    ]
    assert not found, "\n".join(found)


def test_no_file_of_the_server_has_a_secret_that_it_need_not_read_again(run: Run) -> None:
    run.world.server.restart()  # what was in the write-ahead log is in the file then
    held = {
        path: path.read_bytes()
        for path in run.world.server.folder.iterdir()
        if path.name.startswith("relay.db") and path.is_file()
    }
    assert any(b"erin" in data for data in held.values()), "what is in the database is not found in its files"
    found = [
        f"{name} in {path.name}"
        for path, data in held.items()
        for name, secret in run.secrets.items()
        if name not in KEPT and secret.encode() in data
    ]
    assert not found, "\n".join(found)
