"""Plugins that do harm, one for each kind: what is answered, what is logged, how they are listed; others go on."""

import logging
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.plugin_admin import list_plugins
from relay.engine.loader import bundled_only, load_plugins
from relay.settings import load
from relay.testing import Device, World
from relay.testing import world as open_world

HEAD = """
import time, trio
from relay.plugin import *

class P(Payload):
    text: str = ""

def typ(**more):
    return [MessageType(name="odd", payload=P, kind=Kind.STREAM, **more)]

def fail(*arguments):
    raise ZeroDivisionError("on purpose")
"""


def plugin(folder: Path, code: str, name: str = "odd") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(HEAD + textwrap.dedent(code))
    return folder


async def listed(running: World, name: str = "odd") -> dict[str, Any]:
    return next(row for row in await list_plugins(running.engine) if row["name"] == name)


async def others_go_on(running: World) -> None:
    carol, dave = await running.connect("carol"), await running.connect("dave")
    assert (await carol.request("chat_message", {"content": "still here"}, "dave"))["type"] == "ack"
    assert (await dave.next("chat_message"))["payload"] == {"content": "still here"}


TYPES = "\n@hookimpl\ndef relay_message_types(): return typ({})\n"
HOOKS = "\n@hookimpl\ndef relay_message_hooks(): return [MessageHook({})]\n"

LEFT_OUT = {
    "raises at import": ("1 / 0", "odd.py:13: ZeroDivisionError"),
    "exits at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "returns junk": (
        "@hookimpl\ndef relay_message_hooks(): return 'x'",
        "returned 'x'; return a list of MessageHook",
    ),
    "returns junk inside": ("@hookimpl\ndef relay_commands(): return [5]", "returned 5 in its list"),
    "unknown hook": ("@hookimpl\ndef relay_message_hoks(): return []", "did you mean relay_message_hooks?"),
    "takes a type": (
        "@hookimpl\ndef relay_message_types(): return [MessageType(name='chat_message', payload=P, kind=Kind.STREAM)]",
        "message type 'chat_message' is taken by plugin 'chat_message'",
    ),
    "takes a path": (
        "from relay.http.views import Blueprint\nb = Blueprint('b', __name__)\n@b.get('/api/users/<who>')\nasync def v(who): return ''\n"
        "@hookimpl\ndef relay_routes(): return [Routes(blueprint=b)]",
        "path GET /api/users/<> is taken by relay",
    ),
    "takes a command": (
        "async def c(server): return ''\n@hookimpl\ndef relay_commands(): return [Command(name='search rebuild', run=c)]",
        "command 'search rebuild' is taken by plugin 'search'",
    ),
    "bad options": (
        "import msgspec\nclass O(msgspec.Struct, forbid_unknown_fields=True):\n    colour: str = 'red'\n"
        "@hookimpl\ndef relay_options(): return O",
        "plugins.odd.color: no such option; did you mean colour?",
    ),
    "bad migration": (
        "@hookimpl\ndef relay_migrations(): return [Migration(name='one', sql='CREATE TABLE odd_t (x); SELEKT 1')]",
        "its migration 'one' failed: OperationalError",
    ),
    "migration ends the transaction": (
        "@hookimpl\ndef relay_migrations(): return [Migration(name='one', sql='CREATE TABLE odd_t (x); ROLLBACK')]",
        "its migration 'one' ended the transaction; take COMMIT, ROLLBACK and OR ROLLBACK out of it",
    ),
    "migration ends the transaction and fails": (
        "def m(c):\n    c.execute('CREATE TABLE odd_t (x)'), c.execute('ROLLBACK'), fail()\n"
        "@hookimpl\ndef relay_migrations(): return [Migration(name='one', sql=m)]",
        "its migration 'one' ended the transaction",
    ),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
async def test_one_that_cannot_be_loaded_is_left_out_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    code, reason = LEFT_OUT[kind]
    folder = plugin(tmp_path / "p", code)
    options = {"RELAY_PLUGINS__ODD__COLOR": "blue"} if kind == "bad options" else {}
    async with open_world(tmp_path, "carol", "dave", RELAY_PLUGINS__DIRECTORIES=str(folder), **options) as running:
        row = await listed(running)
        assert row["state"] == "left out"
        assert reason in row["reason"]
        assert any(reason in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
        tables = await running.engine.runner.read(
            lambda c: c.execute("SELECT name FROM sqlite_master WHERE name = 'odd_t'").fetchall()
        )
        assert tables == []
        await others_go_on(running)


FAILS_A_MESSAGE = {
    "prepare": TYPES.format("prepare=fail"),
    "handle": "async def h(d): fail()\n" + TYPES.format("handle=h"),
    "key": "\n@hookimpl\ndef relay_message_types():\n"
    "    return [MessageType(name='odd', payload=P, kind=Kind.LATEST, key=fail)]\n",
    "collapse": TYPES.format("collapse=fail"),
    "apply": "def p(d): d.apply = fail\n" + TYPES.format("prepare=p"),
    "after": "def p(d): d.after = fail\n" + TYPES.format("prepare=p"),
    "apply returns junk": "def p(d): d.apply = lambda c, e: 5\n" + TYPES.format("prepare=p"),
    "payload is junk": "def p(d): d.payload = object()\n" + TYPES.format("prepare=p"),
    "payload is nothing": "def p(d): d.payload = None\n" + TYPES.format("prepare=p"),
    "payload has a field of another type": "def p(d): d.payload.text = 5\n" + TYPES.format("prepare=p"),
    "payload is spoiled in handle": "async def h(d): d.payload = {'text': 5}\n" + TYPES.format("handle=h"),
    "payload is spoiled in before": "def b(d): d.payload.text = None\n"
    + TYPES.format("")
    + HOOKS.format("types={'odd'}, before=b"),
    "answer is junk": "def p(d): d.answer = {'it': object()}\n" + TYPES.format("prepare=p"),
    "expires_at is junk": "def p(d): d.expires_at = 'soon'\n" + TYPES.format("prepare=p"),
    "conversation is junk": "async def h(d): d.conversation = None\n" + TYPES.format("handle=h"),
    "prepare hides that it waits": "async def w(): ...\n" + TYPES.format("prepare=lambda d: w()"),
    "about is junk": TYPES.format("collapse=lambda p: 'k', about=lambda p: '5'"),
    "raises what is no Exception": "def p(d): raise GeneratorExit\n" + TYPES.format("prepare=p"),
    "raises what cannot be said": "class E(Exception):\n    def __str__(self): fail()\ndef p(d): raise E\n"
    + TYPES.format("prepare=p"),
    "another database is locked": """import sqlite3, tempfile
def p(d):
    def apply(c, e):
        with tempfile.NamedTemporaryFile() as file:
            one, two = [sqlite3.connect(file.name, isolation_level=None, timeout=0) for _ in "ab"]
            one.execute("BEGIN IMMEDIATE")
            try:
                two.execute("BEGIN IMMEDIATE")
            finally:
                one.close(), two.close()
    d.apply = apply
"""
    + TYPES.format("prepare=p"),
    "ends the transaction": "def p(d): d.apply = lambda c, e: c.commit()\n" + TYPES.format("prepare=p"),
    "before": TYPES.format("") + HOOKS.format("types=frozenset({'odd'}), before=fail"),
    "before, async": "async def b(d): fail()\n"
    + TYPES.format("")
    + HOOKS.format("types=frozenset({'odd'}), before=b"),
    "hangs in handle": "async def h(d): await trio.sleep_forever()\n" + TYPES.format("handle=h"),
    "hangs in before": "async def b(d): await trio.sleep(1e6)\n"
    + TYPES.format("")
    + HOOKS.format("types=frozenset({'odd'}), before=b"),
}


@pytest.mark.parametrize("kind", FAILS_A_MESSAGE)
async def test_one_that_fails_at_a_message_answers_plugin_failed_and_is_set_aside_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    folder = plugin(tmp_path / "p", FAILS_A_MESSAGE[kind])
    async with open_world(
        tmp_path, "alice", "bob", "carol", "dave",
        RELAY_PLUGINS__DIRECTORIES=str(folder), RELAY_PLUGINS__QUARANTINE_FAILURES="3",
    ) as running:  # fmt: skip
        assert (await listed(running))["state"] == "running"
        alice = await running.connect("alice")
        for failures in (1, 2, 3):
            answer = await alice.request("odd", {"text": "x"}, "bob")
            assert answer["payload"]["code"] == "plugin_failed", answer
            assert (await listed(running))["failures"] == failures
            await others_go_on(running)
        row = await listed(running)
        assert row["state"] == "set aside"
        assert row["reason"].startswith("3 failures within 600 s; the last in ")
        assert "plugin 'odd' is set aside: 3 failures" in caplog.text
        answer = await alice.request("odd", {"text": "x"}, "bob")
        assert "set aside" in answer["payload"]["message"]
        assert (await listed(running))["failures"] == 3
        assert b'relay_plugin_aside{plugin="odd"} 1.0' in (await metrics(running))
        history = await running.history("bob", "user", "alice")
        assert history == []
        running.engine.registry.guard("odd").resume()
        assert (await listed(running))["state"] == "running"
        await alice.request("odd", {"text": "x"}, "bob")
        assert (await listed(running))["failures"] == 4


async def metrics(running: World) -> bytes:
    import prometheus_client

    from relay.transports.rest.metrics import _Figures, _look

    registry = prometheus_client.CollectorRegistry()
    registry.register(_Figures(running.engine, await _look(running.engine)))
    return prometheus_client.generate_latest(registry)


async def test_what_a_plugin_counts_is_a_figure_and_its_task_follows_the_log(tmp_path: Path) -> None:
    code = """
    async def follow(server):
        at = 0
        while True:
            at = await server.stored_beyond(at)
            server.count("followed", "slowly")
            await trio.sleep(1)
    @hookimpl
    def relay_background(): return [BackgroundTask(name="follow", run=follow)]
    """
    folder = plugin(tmp_path / "p", code)
    async with open_world(tmp_path, "alice", "carol", "dave", RELAY_PLUGINS__DIRECTORIES=str(folder)) as running:
        await others_go_on(running)
        await trio.sleep(5)
        figures = await metrics(running)
        assert b'relay_plugin_counted_total{kind="slowly",plugin="odd",what="followed"} ' in figures


HARMLESS_TO_MESSAGES = {
    "stored": HOOKS.format("stored=fail"),
    "stored, half done": "def s(server, c, entries):\n    c.execute('CREATE TABLE odd_half (x)'); fail()\n"
    + HOOKS.format("stored=s"),
    "stored commits": "def s(server, c, entries): c.commit()\n" + HOOKS.format("stored=s"),
    "stored rolls back": "def s(server, c, entries): c.rollback()\n" + HOOKS.format("stored=s"),
    "stored with connection": "def s(server, c, entries):\n    with c: pass\n" + HOOKS.format("stored=s"),
    "stored runs a script": "def s(server, c, entries): c.executescript('')\n" + HOOKS.format("stored=s"),
    "stored raises what is no Exception": "def s(*a): raise KeyboardInterrupt\n" + HOOKS.format("stored=s"),
    "stored hides that it waits": "async def w(): ...\n" + HOOKS.format("stored=lambda *a: w()"),
    "edited": HOOKS.format("edited=fail"),
    "erased": HOOKS.format("erased=fail"),
    "committed": HOOKS.format("committed=fail"),
    "committed hangs": "async def k(server, entry): await trio.sleep_forever()\n" + HOOKS.format("committed=k"),
    "sessions": "@hookimpl\ndef relay_session_hooks(): return [SessionHook(connected=fail, disconnected=fail, presence=fail)]",
    "background": "async def r(server): fail()\n@hookimpl\n"
    "def relay_background(): return [BackgroundTask(name='b', run=r)]",
}


@pytest.mark.parametrize("kind", HARMLESS_TO_MESSAGES)
async def test_one_that_fails_beside_the_messages_costs_nobody_a_message(tmp_path: Path, kind: str) -> None:
    folder = plugin(tmp_path / "p", HARMLESS_TO_MESSAGES[kind])
    async with open_world(
        tmp_path, "alice", "bob", "carol", "dave",
        RELAY_PLUGINS__DIRECTORIES=str(folder), RELAY_PLUGINS__QUARANTINE_FAILURES="3",
    ) as running:  # fmt: skip
        for _ in range(4):
            alice = await running.connect("alice")
            answer = await alice.request("chat_message", {"content": "x"}, "bob")
            assert answer["type"] == "ack"
            ref = {"message_id": answer["payload"]["message_id"]}
            assert (await alice.request("message_edit", {**ref, "content": "y"}, "bob"))["type"] == "ack"
            assert (await alice.request("message_delete", ref, "bob"))["type"] == "ack"
            other = await running.connect("alice", "alice-2")
            await other.event("goodbye")
            await trio.sleep(60)
        row = await listed(running)
        assert row["state"] == "set aside", row
        assert row["failures"] == 3
        await others_go_on(running)
        assert len(await running.history("bob", "user", "alice")) == 12
        half = await running.engine.runner.read(
            lambda c: c.execute("SELECT 1 FROM sqlite_master WHERE name = 'odd_half'").fetchall()
        )
        assert half == []


ONCE = """
def twice(c):
    c.execute("CREATE TABLE odd_once (x PRIMARY KEY)")
    for _ in "ab":
        c.execute("INSERT OR ROLLBACK INTO odd_once VALUES (1)")

def caught(c):
    try:
        twice(c)
    except Exception:
        pass
"""
ENDS_THE_TRANSACTION = {
    "stored, in SQL": "def s(server, c, entries): c.execute('ROLLBACK')\n" + HOOKS.format("stored=s"),
    "stored, by a conflict": ONCE + "def s(server, c, entries): twice(c)\n" + HOOKS.format("stored=s"),
    "stored, by a conflict that it catches": ONCE
    + "def s(server, c, entries): caught(c)\n"
    + HOOKS.format("stored=s"),
    "stored, its savepoint": "def s(server, c, entries): c.execute('RELEASE plugin')\n" + HOOKS.format("stored=s"),
    "stored, its savepoint, and fails": "def s(server, c, entries): c.execute('RELEASE plugin'); fail()\n"
    + HOOKS.format("stored=s"),
    "before, for the transaction": "def a(c, entry): c.execute('ROLLBACK')\n"
    "def b(draft): draft.apply = a\n" + TYPES.format("prepare=b"),
    "before, by a conflict": ONCE
    + "def b(draft): draft.apply = lambda c, entry: twice(c)\n"
    + TYPES.format("prepare=b"),
    "before, by a conflict that it catches": ONCE
    + "def b(draft): draft.apply = lambda c, entry: caught(c)\n"
    + TYPES.format("prepare=b"),
}


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("kind", ENDS_THE_TRANSACTION)
async def test_one_that_ends_the_transaction_of_others_is_set_aside_and_nothing_is_acked_that_is_not_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, together: int
) -> None:
    folder = plugin(tmp_path / "p", ENDS_THE_TRANSACTION[kind])
    first = "odd" if kind.startswith("before") else "chat_message"
    async with open_world(
        tmp_path, "alice", "bob", "carol", "dave",
        RELAY_PLUGINS__DIRECTORIES=str(folder), RELAY_PLUGINS__QUARANTINE_FAILURES="3",
    ) as running:  # fmt: skip
        alice, acked = await running.connect("alice"), set[int]()
        while (await listed(running))["state"] == "running":
            before = (await listed(running))["failures"]
            answers = await said_together(alice, [first] + ["chat_message"] * (together - 1))
            assert answers[0]["payload"]["code"] == "overloaded", answers
            acked |= {answer["payload"]["message_id"] for answer in answers if answer["type"] == "ack"}
            stored = await running.history("bob", "user", "alice")
            assert acked == {message["meta"]["message_id"] for message in stored}
            assert (await listed(running))["failures"] > before
        assert "plugin 'odd' ended the transaction in " in caplog.text
        assert "the disk does not take" not in caplog.text
        assert running.engine.runner.health.reason is None
        answers = await said_together(alice, ["chat_message"] * together)
        assert {answer["type"] for answer in answers} == {"ack"}
        await others_go_on(running)


async def said_together(device: Device, types: list[str]) -> list[Any]:
    """Send messages without waiting, and return their answers."""
    for type_ in types:
        payload = {"text": "x"} if type_ == "odd" else {"content": "x"}
        await device.send(
            {"type": type_, "payload": payload, "meta": {"target_id": "bob", "id": uuid.uuid4().hex}}
        )
    return [await device.next("ack", "error") for _ in types]


async def test_one_that_floods_is_slowed_down(tmp_path: Path) -> None:
    code = """
    sent = refused = 0
    async def flood(server):
        global sent, refused
        while True:
            try:
                await server.send("alice", "chat_message", {"content": "buy"}, "bob")
                sent += 1
            except RelayError as refusal:
                assert refusal.code == "rate_limited"
                refused += 1
                await trio.sleep(0.1)
    @hookimpl
    def relay_background(): return [BackgroundTask(name="flood", run=flood)]
    """
    folder = plugin(tmp_path / "p", code)
    async with open_world(
        tmp_path, "alice", "bob", "carol", "dave",
        RELAY_PLUGINS__DIRECTORIES=str(folder), RELAY_PLUGINS__MESSAGES_PER_SECOND="5",
    ) as running:  # fmt: skip
        await trio.sleep(60)
        module = sys.modules["relay_plugin_odd"]
        assert 250 <= module.sent <= 360
        assert module.refused > 0
        await others_go_on(running)


async def test_a_view_that_fails_is_a_problem_with_its_code(tmp_path: Path) -> None:
    code = """
    from relay.http.views import Blueprint, caller
    b = Blueprint("odd", __name__)
    @b.get("/api/odd")
    async def bad(): fail()
    @b.get("/api/odd/slow")
    async def slow(): await trio.sleep_forever()
    @b.get("/api/odd/junk")
    async def junk(): return object()
    @b.get("/api/odd/me")
    async def me(): return {"me": caller().user_id}
    @b.get("/odd/open")
    async def open(): return "hello"
    @hookimpl
    def relay_routes(): return [Routes(blueprint=b, public=frozenset({"open"}))]
    """
    folder = plugin(tmp_path / "p", code)
    async with open_world(tmp_path, "alice", "carol", "dave", RELAY_PLUGINS__DIRECTORIES=str(folder)) as running:
        for path in ("/api/odd", "/api/odd/slow", "/api/odd/junk"):
            answer = await running.rest("GET", path, "alice")
            assert (answer.status, answer.body["code"]) == (502, "plugin_failed"), path
            assert (await running.rest("GET", path)).status == 401
        assert (await running.rest("GET", "/api/odd/me", "alice")).body == {"me": "alice"}
        assert (await running.rest("GET", "/odd/open")).body == b"hello"
        assert (await listed(running))["failures"] == 3
        await others_go_on(running)


def test_safe_mode_loads_the_bundled_plugins_only(tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "1 / 0")
    environ = {"RELAY_PLUGINS__DIRECTORIES": str(folder), "RELAY_PLUGINS__ALSO": "odd, no_such"}
    settings = load(None, environ)
    names = {broken.name for broken in load_plugins(settings, {}).broken}
    assert names == {"odd", "no_such"}
    registry = load_plugins(bundled_only(settings), {})
    assert registry.broken == []
    assert {loaded.source for loaded in registry.loaded} == {"bundled"}
    assert "search" in {loaded.name for loaded in registry.loaded}


async def test_while_one_fails_to_say_what_it_keeps_nothing_is_erased(tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", HOOKS.format("keeps=fail"))
    async with open_world(
        tmp_path, "alice", "bob", "carol", "dave",
        RELAY_PLUGINS__DIRECTORIES=str(folder), RELAY_PLUGINS__QUARANTINE_FAILURES="2",
    ) as running:  # fmt: skip
        alice = await running.connect("alice")
        stored = await alice.request("chat_message", {"content": "stays"}, "bob")
        ref = {"message_id": stored["payload"]["message_id"]}
        assert (await alice.request("message_delete", ref, "bob"))["payload"]["code"] == "forbidden"
        assert (await running.history("bob", "user", "alice"))[0]["payload"] == {"content": "stays"}
        assert (await listed(running))["failures"] == 1
        await alice.request("message_delete", ref, "bob")
        assert (await listed(running))["state"] == "set aside"
        assert (await alice.request("message_delete", ref, "bob"))["type"] == "ack"
        await others_go_on(running)
