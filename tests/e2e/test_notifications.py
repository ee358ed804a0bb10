"""Notifications by the real server, to real servers on loopback that speak as ntfy, Gotify, a push service, a mail server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.receivers import HttpServer, MailServer, make_certificate
from tests.e2e.server import Tables
from tests.e2e.wire import PATIENCE
from tests.e2e.world import World
from tests.plugins.notifications.receivers import Gotify, Ntfy, PushService, Reply

pytestmark = pytest.mark.e2e

NETWORKS = ["127.0.0.0/8", "::1/128"]
LUNCH = [("alice", "Lunch?")]


def tables(**options: Any) -> dict[str, dict[str, Any]]:
    named = {"delay_seconds": 0.3, "allow_networks": NETWORKS} | options
    return {"plugins": {"also": ["notifications"]}, "plugins.notifications": named}


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def add(world: World, user: str, **address: Any) -> str:
    answer = world.rest(user).post("/api/push/targets", json=address)
    assert answer.status_code == 201, answer.text
    target_id: str = answer.json()["target_id"]
    return target_id


def ntfy_target(world: World, receiver: Ntfy, user: str = "bob") -> str:
    return add(world, user, kind="ntfy", url=f"{receiver.origin}/{user}")


def push_service(origin: str) -> PushService:
    return PushService(origin, time.time)


def test_a_message_goes_everywhere_and_is_taken_back_when_it_is_read(
    tmp_path: Path, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "localhost.pem", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    (tmp_path / "password").write_text("pass word\n")
    with (
        HttpServer(Ntfy, certificate, "localhost") as ntfy,
        HttpServer(Gotify) as gotify,
        HttpServer(push_service) as push,
        MailServer(certificate, "relay", "pass word") as mail,
    ):
        email = {"host": "localhost", "port": mail.port, "from": "relay@example.org", "username": "relay"}
        settings: Tables = {
            **tables(),
            "plugins.notifications.email": email | {"password_file": str(tmp_path / "password")},
        }
        world = make_world(["alice", "bob"], settings)
        rest = world.rest("bob")
        ntfy_target(world, ntfy)
        add(world, "bob", kind="gotify", url=gotify.origin, app_token="app-token", client_token="client-token")
        browser = push.subscribe(rest.get("/api/push/key").json()["public_key"])
        add(world, "bob", **browser.target())
        address = add(world, "bob", kind="email", address="bob@example.org")
        until(lambda: mail.letters)
        code = mail.letters.pop()["Subject"].split()[0]
        assert rest.post(f"/api/push/targets/{address}/confirm", json={"code": code}).status_code == 200

        alice = world.device("alice")
        seq = alice.say("bob", "Lunch?")["seq"]
        until(lambda: ntfy.texts and gotify.texts and browser.texts and mail.letters)
        assert ntfy.texts == gotify.texts == browser.texts == LUNCH
        (letter,) = mail.letters
        assert (letter["To"], letter["Subject"]) == ("bob@example.org", "alice")
        assert "alice: Lunch?" in letter.get_content()

        assert rest.post("/api/messages/read", json={"target_id": "alice", "up_to_seq": seq}).status_code == 200
        until(lambda: not (ntfy.texts or gotify.texts or browser.texts))
        assert len(mail.letters) == 1
        assert mail.wrong == []
        for receiver in (ntfy, gotify, push):
            assert receiver.problems == []
        listed = world.server.relay("notifications", "list", "--json")
        assert listed.count('"active"') == 4


def test_a_device_that_is_active_keeps_everything_inside(make_world: MakeWorld) -> None:
    with HttpServer(Ntfy) as ntfy:
        world = make_world(["alice", "bob", "carol"], tables())
        ntfy_target(world, ntfy)
        ntfy_target(world, ntfy, "carol")
        alice, bob = world.device("alice"), world.device("bob")
        alice.say("bob", "seen there")
        bob.wait_content("seen there")
        alice.say("carol", "said later, and to nobody's device")
        until(lambda: ntfy.published)
        assert [said["topic"] for said in ntfy.published] == ["carol"]
        ntfy.shown.clear()
        bob.wire.send_json({"type": "connection_event", "payload": {"event": "inactive"}})
        alice.say("bob", "Lunch?")
        until(lambda: ntfy.texts)
        assert ntfy.texts == LUNCH


def test_a_kill_loses_nothing_whenever_it_comes(make_world: MakeWorld) -> None:
    server = HttpServer(Ntfy)
    with server as ntfy:
        world = make_world(["alice", "bob"], tables(delay_seconds=0.5))
        ntfy_target(world, ntfy)
        alice = world.device("alice")
        alice.say("bob", "acknowledged, and not looked at yet")
        world.server.kill()
        world.server.start()
        until(lambda: ntfy.published)
        server.hold_seconds = 3.0
        alice = world.device("alice")
        alice.say("bob", "on its way")
        until(lambda: len(ntfy.published) == 2)
        world.server.kill()
        server.hold_seconds = 0.0
        world.server.start()
        until(lambda: len(ntfy.published) == 3)
        assert ntfy.texts == [("alice", "on its way\n+1 more")]
        assert len({said["sequence_id"] for said in ntfy.published}) == 1


def test_a_target_that_is_gone_is_removed_and_one_that_hangs_holds_up_nobody(make_world: MakeWorld) -> None:
    hanging = HttpServer(Ntfy)
    hanging.hold_seconds = 30.0
    with HttpServer(Ntfy) as ntfy, HttpServer(push_service) as push, hanging as slow:
        world = make_world(["alice", "bob"], tables(timeout_seconds=6))
        browser = push.subscribe(world.rest("bob").get("/api/push/key").json()["public_key"])
        add(world, "bob", **browser.target())
        ntfy_target(world, slow)
        ntfy_target(world, ntfy)
        push.replies = [Reply(410)]
        alice = world.device("alice")

        def left() -> dict[str, Any]:
            found = world.rest("bob").get("/api/push/targets").json()["targets"]
            return {target["place"]: target for target in found}

        alice.say("bob", "Lunch?")
        until(lambda: ntfy.texts)
        alice.say("bob", "Still there?")
        assert left()[f"{slow.origin}/bob"]["last_error"] is None  # it still hangs
        until(lambda: browser.endpoint not in left())
        until(lambda: left()[f"{slow.origin}/bob"]["last_error"] == "no answer within 6 s")
        assert left()[f"{ntfy.origin}/bob"]["last_error"] is None


def test_loopback_is_not_called_where_nobody_named_it(tmp_path: Path, make_world: MakeWorld) -> None:
    certificate = make_certificate(tmp_path / "localhost.pem", "localhost")
    with HttpServer(Ntfy, certificate, "localhost") as ntfy:
        world = make_world(["bob"], tables(allow_networks=[]))
        rest = world.rest("bob")
        for url in (ntfy.origin.replace("https", "http"), ntfy.origin.replace("localhost", "127.0.0.1")):
            answer = rest.post("/api/push/targets", json={"kind": "ntfy", "url": f"{url}/bob"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_payload")
        target_id = ntfy_target(world, ntfy)
        tried = rest.post(f"/api/push/targets/{target_id}/test").json()
        assert tried == {
            "delivered": False,
            "error": "'localhost' is in a private network, and this server does not call those",
        }
        assert ntfy.calls == []


def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "other.pem", "other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HttpServer(Ntfy, certificate, "localhost") as ntfy:
        world = make_world(["bob"], tables())
        target_id = ntfy_target(world, ntfy)
        tried = world.rest("bob").post(f"/api/push/targets/{target_id}/test").json()
        assert tried["delivered"] is False
        assert "certificate verify failed" in tried["error"].lower()
        assert ntfy.calls == []
