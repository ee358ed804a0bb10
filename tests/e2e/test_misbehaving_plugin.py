"""A plugin that fails in each of its hooks in each way, on a real server: the others' messages flow all the while."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e import misbehaving
from tests.e2e.server import NO_TLS, Tables
from tests.e2e.wire import PATIENCE, hello
from tests.e2e.world import Device, World, unique

pytestmark = pytest.mark.e2e

FAST = ("raises", "exits", "raises a bare one", "returns junk")
PLAIN = (*FAST, "blocks", "loops")
WAITING = (*PLAIN, "waits")
SHIELDED = (*WAITING, "waits behind a shield")
NO_JUNK = tuple(way for way in PLAIN if way != "returns junk")
"""Of what is told after the fact nobody reads an answer, so that there is no junk."""

REFUSES = {
    "prepare": ("prepare", PLAIN),
    "prepare, a field": ("prepare", ("returns junk",)),
    "answer": ("prepare", ("returns junk",)),
    "expires_at": ("prepare", ("returns junk",)),
    "apply": ("prepare", PLAIN),
    "after": ("prepare", PLAIN),
    "handle": ("handle", SHIELDED),
    "answer of handle": ("handle", ("returns junk",)),
    "before": ("before", PLAIN),
    "before, async": ("slow", WAITING),
    "key": ("key", PLAIN),
    "collapse": ("collapse", PLAIN),
    "about": ("collapse", ("returns junk",)),
    "over": ("over", PLAIN),
}
"""What refuses its own type's message, by the hook: the type, and the ways."""

BESIDE = {
    "search_text": PLAIN,
    "whisper in committed": ("raises", "returns junk", "waits"),
    "stored": PLAIN,
    "edited": PLAIN,
    "erased": PLAIN,
    "committed": ("raises", "loops", "waits", "waits behind a shield"),
    "connected": ("raises", "blocks", "waits"),
    "disconnected": NO_JUNK,
    "presence": ("raises", "loops"),
    "background": ("raises a bare one", "loops"),
    "job": ("raises", "exits", "raises a bare one", "blocks", "loops", "waits", "waits behind a shield"),
}
"""What costs nobody anything, by the hook: the ways."""

MEMBER = "/api/groups/odd/members/mark"
ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "register": ("POST", "/api/register", {"json": {"user_id": "late", "password": "correct horse"}}),
    "a user's name": ("PATCH", "/api/users/me", {"json": {"display_name": "Mallory"}}),
    "begin": (
        "POST",
        "/api/messages",
        {"json": {"type": "chat_message", "payload": {"content": "hi"}, "meta": {"target_id": "visitor"}}},
    ),
    "join": ("PUT", MEMBER, {}),
    "change_role": ("PUT", MEMBER, {"json": {"role": "admin"}}),
    "leave": ("DELETE", MEMBER, {}),
    "a group's name": ("PATCH", "/api/groups/odd", {"json": {"name": "Odder"}}),
    "upload": ("POST", "/api/attachments?name=a.txt", {"content": b"hello"}),
    "scan": ("POST", "/api/attachments?name=a.txt", {"content": b"hello"}),
    "sign_in": ("POST", "/api/login", {"json": {"user_id": "mark", "password": "guess"}}),
}
"""What is asked about requests, by the hook: the request, which is possible once those before it were done."""

SETTINGS: Tables = {
    "plugins": {"blocking_seconds": 0.2, "quarantine_failures": 0},
    "timeouts": {"handler_seconds": 0.4},
    "attachments": {"scan_seconds": 0.4},
    "accounts": {"registration": "open"},
    "limits": {"logins_per_minute": 0, "wrong_passwords_per_hour": 0},
}


class Bystanders:
    """Two who talk all the time, and count what they hear."""

    def __init__(self, world: World) -> None:
        self.ann, self.ben = world.device("ann"), world.device("ben")
        self.said: list[str] = []
        self.slowest = 0.0
        self.fault: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        try:
            while not self._over.wait(0.01):
                content, began = unique("undisturbed"), time.monotonic()
                self.ann.say("ben", content)
                self.ben.wait_content(content)
                self.said.append(content)
                self.slowest = max(self.slowest, time.monotonic() - began)
        except BaseException as fault:
            self.fault = fault

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


class Odd:
    """The plugin, and mallory, who uses it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http = httpx.Client(base_url=world.server.url, timeout=PATIENCE, trust_env=False, verify=NO_TLS)
        self.mallory = world.device("mallory")

    def standing(self) -> Any:
        return self.http.get("/odd/standing").json()

    def choose(self, hook: str, way: str) -> None:
        assert self.http.post("/odd/next", json={"hook": hook, "way": way}).status_code == 200

    def send(self, kind: str, payload: dict[str, Any], target: str = "mark") -> dict[str, Any]:
        ref = unique()
        self.mallory.wire.send_json({"type": kind, "payload": payload, "meta": {"target_id": target, "id": ref}})
        return self.mallory.answer(ref)

    def said(self, hook: str, way: str, before: int) -> None:
        """Wait until one more failure is counted, and check that it is called by its name."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.standing())["failures"] == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert now["failures"] > before, f"{hook} {way}: nothing was counted"
        assert not now["aside"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Odd, Bystanders]]:
    folder = tmp_path_factory.mktemp("misbehaving")
    (folder / "plugins").mkdir()
    shutil.copy(misbehaving.__file__, folder / "plugins" / "odd.py")
    settings = {**SETTINGS, "plugins": {**SETTINGS["plugins"], "directories": [str(folder / "plugins")]}}
    world = World(folder, ("ann", "ben", "mallory", "mark", "visitor"), settings)
    bystanders = Bystanders(world)
    plugin = Odd(world)
    try:
        yield plugin, bystanders
    finally:
        bystanders.stop()
        plugin.http.close()
        world.end()


@pytest.mark.parametrize("hook", REFUSES)
def test_what_fails_at_its_own_message_refuses_that_message_alone(odd: tuple[Odd, Bystanders], hook: str) -> None:
    plugin, bystanders = odd
    kind, ways = REFUSES[hook]
    for way in ways:
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        answer = plugin.send(f"odd_{kind}", {"text": way})
        plugin.choose("", "")
        assert answer["type"] == "error", (way, answer)
        assert answer["payload"]["code"] == "plugin_failed", (way, answer)
        plugin.said(hook, way, before)
        assert plugin.send(f"odd_{kind}", {"text": f"well after {way}"})["type"] == "ack", way
        assert bystanders.fault is None, way
    stored = plugin.world.history("mallory", peer="mark")
    assert not [one for one in stored if one["payload"].get("text") in ways]


@pytest.mark.parametrize("hook", BESIDE)
def test_what_fails_beside_a_message_costs_nobody_anything(odd: tuple[Odd, Bystanders], hook: str) -> None:
    plugin, bystanders = odd
    do = DOES[hook]
    for way in BESIDE[hook]:
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        do(plugin)
        plugin.said(hook, way, before)
        plugin.choose("", "")
        assert bystanders.fault is None, way


@pytest.mark.parametrize("hook", ["before, required", "whisper in before"])
def test_what_a_required_hook_fails_at_is_refused_to_be_sent_again(odd: tuple[Odd, Bystanders], hook: str) -> None:
    plugin, bystanders = odd
    for way in SHIELDED if hook == "before, required" else ("raises", "returns junk", "waits"):
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        answer = plugin.send("odd_required", {"text": way})
        plugin.choose("", "")
        if hook == "whisper in before" and way == "returns junk":  # the whisper is refused, and so is its message
            assert answer["payload"]["code"] == "invalid_payload", answer
        else:
            assert (answer["payload"].get("code"), answer["payload"].get("retry")) == ("overloaded", True), (
                way,
                answer,
            )
            plugin.said(hook, way, before)
        acked(plugin.send("odd_required", {"text": f"well after {way}"}))
        assert bystanders.fault is None, way
    stored = plugin.world.history("mallory", peer="mark")
    assert not [one for one in stored if one["payload"].get("text") in SHIELDED]


@pytest.mark.parametrize("kind", ["look", "look_hard"])
def test_what_fails_at_one_recipient_costs_the_others_nothing(odd: tuple[Odd, Bystanders], kind: str) -> None:
    plugin, bystanders = odd
    hook = "for_recipient" if kind == "look" else "for_recipient, required"
    mark = plugin.world.device("mark")
    for way in PLAIN:
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        answer = plugin.send(f"odd_{kind}", {"text": way})
        acked(answer)
        at = answer["payload"]["message_id"]
        got = received(mark, at)
        plugin.choose("", "")
        assert got["payload"] == ({"text": way} if kind == "look" else {}), (way, got)
        assert got["meta"].get("withheld", False) is (kind == "look_hard")
        plugin.said(hook, way, before)
        assert bystanders.fault is None, way
        seen = {row["meta"]["message_id"]: row["payload"] for row in plugin.world.history("mark", peer="mallory")}
        assert seen[at] == {"text": "for mark"}
    mark.close()


def received(device: Device, message_id: int) -> dict[str, Any]:
    """Read on until a message comes, and return it."""
    deadline = time.monotonic() + PATIENCE
    while (one := device.take(deadline - time.monotonic()))["meta"].get("message_id") != message_id:
        pass
    return one


def talk(plugin: Odd) -> None:
    """Say something, say it anew and take it back: each is acked, and done."""
    first = plugin.send("chat_message", {"content": "first"})["payload"]["message_id"]
    assert plugin.send("message_edit", {"message_id": first, "content": "second"})["type"] == "ack"
    rows = {row["meta"]["message_id"]: row["payload"] for row in plugin.world.history("mallory", peer="mark")}
    assert rows[first] == {"content": "second"}
    assert plugin.send("message_delete", {"message_id": first})["type"] == "ack"
    rows = {row["meta"]["message_id"]: row["payload"] for row in plugin.world.history("mallory", peer="mark")}
    assert rows[first] is None or rows[first] == {}


def visit(plugin: Odd) -> None:
    """Come and go."""
    plugin.world.device("visitor").close()


DOES: dict[str, Callable[[Odd], None]] = {
    "whisper in committed": lambda plugin: acked(plugin.send("odd_required", {"text": "well"})),
    "search_text": lambda plugin: acked(plugin.send("odd_search", {"text": "needle"})),
    "stored": talk,
    "edited": talk,
    "erased": talk,
    "committed": talk,
    "connected": visit,
    "disconnected": visit,
    "presence": visit,
    "background": lambda plugin: None,  # to choose it has woken it
    "job": lambda plugin: None,  # to choose it has added one
}


def acked(answer: dict[str, Any]) -> None:
    assert answer["type"] == "ack", answer


def test_while_one_fails_to_say_what_it_keeps_all_is_kept(odd: tuple[Odd, Bystanders]) -> None:
    plugin, bystanders = odd
    for way in PLAIN:
        stays = plugin.send("chat_message", {"content": way})["payload"]["message_id"]
        before = plugin.standing()["failures"]
        plugin.choose("keeps", way)
        answer = plugin.send("message_delete", {"message_id": stays})
        plugin.choose("", "")
        assert answer["payload"]["code"] == "forbidden", (way, answer)
        plugin.said("keeps", way, before)
        rows = plugin.world.history("mallory", peer="mark")
        assert [row["payload"] for row in rows if row["meta"]["message_id"] == stays] == [{"content": way}]
        acked(plugin.send("message_delete", {"message_id": stays}))
        assert bystanders.fault is None, way


def test_what_fails_when_it_is_asked_refuses_that_alone_and_leaves_nothing_of_it(
    odd: tuple[Odd, Bystanders],
) -> None:
    plugin, bystanders = odd
    rest = plugin.world.rest("mallory")
    assert rest.post("/api/groups", json={"group_id": "odd", "name": "Odd"}).status_code == 201
    for hook, (method, path, given) in ASKED.items():
        for way in ("raises", "returns junk", "blocks", "waits"):
            before = plugin.standing()["failures"]
            plugin.choose(hook, way)
            answer = rest.request(method, path, **given)
            plugin.choose("", "")
            assert (answer.status_code, answer.json()["code"]) == (502, "plugin_failed"), (hook, way, answer.text)
            plugin.said(hook, way, before)
            assert bystanders.fault is None, (hook, way)
        answer = rest.request(method, path, **given)
        assert answer.status_code in ((403,) if hook == "sign_in" else (200, 201, 204)), (hook, answer.text)
    assert len(plugin.world.history("mallory", peer="visitor")) == 1
    events = [row["payload"]["event"] for row in plugin.world.history("mallory", group="odd")]
    assert events == ["created", "member_added", "role_changed", "member_removed", "renamed"]


@pytest.mark.parametrize("hook", ["view", "before_request"])
def test_a_view_that_fails_is_answered_for_it_alone(odd: tuple[Odd, Bystanders], hook: str) -> None:
    plugin, bystanders = odd
    rest = plugin.world.rest("mallory")
    for way in ("exits", "returns junk", "loops", "waits behind a shield") if hook == "view" else NO_JUNK:
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        answer = rest.get("/api/odd")
        plugin.choose("", "")
        assert (answer.status_code, answer.json()["code"]) == (502, "plugin_failed"), (way, answer.text)
        plugin.said(hook, way, before)
        assert rest.get("/api/odd").status_code == 200
        assert bystanders.fault is None, way


@pytest.mark.parametrize("hook", ["identify", "claim"])
def test_an_authenticator_that_fails_lets_nobody_in_and_keeps_nobody_out(
    odd: tuple[Odd, Bystanders], hook: str
) -> None:
    plugin, bystanders = odd
    for way in WAITING if hook == "identify" else ("returns junk",):
        before = plugin.standing()["failures"]
        plugin.choose(hook, way)
        assert (
            httpx.get(
                f"{plugin.world.server.url}/api/users/me", headers={"Authorization": "Bearer no"}
            ).status_code
            == 401
        )
        wire = plugin.world.upgraded()
        wire.send_json(hello("neither", "stranger"))
        assert wire.wait_closed() == 4501, way
        plugin.world.device("visitor").close()  # a token of relay's own is not asked about
        plugin.choose("", "")
        plugin.said(hook, way, before)
        assert bystanders.fault is None, way


def test_after_all_that_the_others_have_all_that_they_said_and_the_server_ends_in_time(
    odd: tuple[Odd, Bystanders],
) -> None:
    plugin, bystanders = odd
    plugin.choose("background", "waits behind a shield")
    bystanders.stop()
    assert bystanders.fault is None
    assert bystanders.ben.contents() == bystanders.said
    assert [row["payload"]["content"] for row in plugin.world.history("ann", peer="ben")] == bystanders.said
    log = plugin.world.server.log.read_text()
    assert "Blocked: it held the server's thread for more than 0.2 s" in log
    assert "a fault of our own" not in log
    assert plugin.world.server.stop() == 0
