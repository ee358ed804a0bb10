"""Required plugins: what they must check does not pass while they do not work, on whatever way it comes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from relay.app.admin import perform
from relay.app.plugin_admin import checked, list_plugins
from relay.engine.loader import load
from relay.plugin import RelayError
from relay.settings import load as read_settings
from relay.storage.accounts import create_token
from relay.testing import RelayWorld, World
from relay.testing import world as open_world

FILTER = """
from relay.plugin import ErrorCode, MessageHook, RelayError, hookimpl

def before(draft):
    text = draft.payload.content
    if text.split()[0] == "darn":
        raise RelayError(ErrorCode.FORBIDDEN, "not here")

@hookimpl
def relay_message_hooks():
    return [MessageHook(types=frozenset({"chat_message", "notice"}), before=before, required=True)]
"""
NOTICES = """
from relay.plugin import ConversationKind, Kind, MessageType, Payload, hookimpl

class Notice(Payload):
    content: str

@hookimpl
def relay_message_types():
    return [MessageType(name="notice", payload=Notice, kind=Kind.STREAM)]
"""
BUG = " "
FORBIDDEN = "darn it"


async def refused_with(world: World, content: str, own_id: str, by: str) -> dict[str, Any]:
    """Send a text by one of the ways, and return the error that refuses it."""
    engine = world.engine
    if by == "socket":
        alice = await world.connect("alice", own_id)
        answer = await alice.request("chat_message", {"content": content}, "bob", id=own_id)
        assert answer["type"] == "error", answer
        return dict(answer["payload"])
    if by == "rest":
        body = {
            "type": "chat_message",
            "payload": {"content": content},
            "meta": {"id": own_id, "target_id": "bob"},
        }
        problem = await world.rest("POST", "/api/messages", "alice", json_body=body)
        assert problem.status == 503, problem.body
        assert int(problem.headers["retry-after"]) == problem.body["retry_after"]
        return problem.body | {"message": problem.body["detail"]}
    if by == "import":
        meta = {"id": own_id, "sender_id": "alice", "target_id": "bob"}
        line = json.dumps({"type": "chat_message", "payload": {"content": content}, "meta": meta})
        answer = await perform(engine, "import", {"lines": [line]})
        assert (answer["taken"], answer["stored"], answer["problems"]) == (0, 0, []), answer
        return {"code": "overloaded", "retry": True, "message": answer["busy"]}
    server = engine.server_of("notices")
    conversation = await engine.channels.find("alice", "bob")
    said: Any = ("alice", "notice", {"content": content}, conversation)
    if by == "a plugin's send":
        said = ("alice", "chat_message", {"content": content}, "bob")
    with pytest.raises(RelayError) as refusal:
        await (server.send if by == "a plugin's send" else server.post)(*said, own_id=own_id)
    error = refusal.value
    assert error.retry_after
    return {"code": error.code, "retry": error.retry, "message": error.message}


WAYS = ("socket", "rest", "import", "a plugin's send", "a plugin's post")


async def test_set_aside_a_required_filter_lets_nothing_pass_on_any_way(
    relay_world: RelayWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own_filter.py").write_text(FILTER)
    (tmp_path / "notices.py").write_text(NOTICES)
    async with relay_world(tmp_path, "alice", "bob") as world:
        alice = await world.connect("alice")
        good = await alice.request("chat_message", {"content": "hello"}, "bob")
        assert good["type"] == "ack"
        assert (await alice.request("chat_message", {"content": FORBIDDEN}, "bob"))["payload"][
            "code"
        ] == "forbidden"
        assert (await world.rest("GET", "/readyz")).body["status"] == "ready"

        guard = world.engine.registry.guard("own_filter")
        assert guard is not None
        for number in range(guard.rules.failures):
            answer = await alice.request("chat_message", {"content": BUG}, "bob", id=f"bug-{number}")
            assert (answer["payload"]["code"], answer["payload"]["retry"]) == ("overloaded", True)
            assert "'own_filter' must check this message, and" in answer["payload"]["message"]
        assert guard.quarantined
        assert "what it must check is refused until it is taken back" in caplog.text

        for by in WAYS:
            error = await refused_with(world, FORBIDDEN, f"bad-{WAYS.index(by)}", by)
            assert (error["code"], error["retry"]) == ("overloaded", True), by
            assert "'own_filter'" in error["message"], by
        edit = {"message_id": good["payload"]["message_id"], "content": FORBIDDEN}
        assert (await alice.request("message_edit", edit, "bob"))["payload"]["code"] == "overloaded"
        assert [one["payload"]["content"] for one in await world.history("bob", "user", "alice")] == ["hello"]
        typing = await alice.request("typing_indicator", {"typing": True}, "bob")
        assert typing["type"] == "ack", "what it does not check passes"

        ready = await world.rest("GET", "/readyz")
        assert ready.status == 200
        assert (ready.body["status"], ready.body["checks"]["required_plugins"]) == ("degraded", False)
        assert ready.body["reasons"] == [
            "the plugin 'own_filter' is required, and failed too often and is set aside"
        ]
        world.tokens["prometheus"] = await world.engine.runner.write(
            lambda connection: create_token(connection, "alice", 0, origin="cli", scopes=("metrics",))
        )
        metrics = (await world.rest("GET", "/metrics", "prometheus")).body.decode()
        assert 'relay_required_plugin_lacking{plugin="own_filter"} 1.0' in metrics
        refusals = guard.rules.failures + len(WAYS) + 1
        assert f'relay_required_refusals_total{{plugin="own_filter"}} {refusals:.1f}' in metrics
        row = next(row for row in await list_plugins(world.engine) if row["name"] == "own_filter")
        assert row["state"] == "set aside"
        assert row["reason"].startswith("required, so what it must check is refused: 10 failures")

        guard.resume()
        assert (await alice.request("chat_message", {"content": FORBIDDEN}, "bob"))["payload"][
            "code"
        ] == "forbidden"
        assert (await alice.request("chat_message", {"content": "again"}, "bob", id="bad-0"))["type"] == "ack"
        assert (await world.rest("GET", "/readyz")).body["status"] == "ready"


async def test_late_and_with_junk_a_required_filter_refuses_as_well(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(
        "import trio\nfrom relay.plugin import MessageHook, hookimpl\n"
        "async def before(draft):\n"
        "    if draft.payload.content == 'late':\n        await trio.sleep_forever()\n"
        "    if draft.payload.content == 'junk':\n        draft.payload.content = 5\n"
        "@hookimpl\ndef relay_message_hooks():\n"
        "    return [MessageHook(types=frozenset({'chat_message'}), before=before, required=True)]\n"
    )
    async with relay_world(tmp_path, "alice", "bob") as world:
        alice = await world.connect("alice")
        for content in ("late", "junk"):
            answer = await alice.request("chat_message", {"content": content}, "bob")
            assert (answer["payload"]["code"], answer["payload"]["retry"]) == ("overloaded", True), content
        assert await world.history("bob", "user", "alice") == []


BROKEN = {"broken": "1 / 0\n", "missing": None}


@pytest.mark.parametrize("how", BROKEN)
async def test_without_a_plugin_that_the_operator_requires_no_message_passes(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    if (code := BROKEN[how]) is not None:
        (tmp_path / "own_filter.py").write_text(code)
    (tmp_path / "notices.py").write_text(NOTICES)
    folder = {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path), "RELAY_PLUGINS__REQUIRED": "own_filter"}
    (tmp_path / "data").mkdir()
    async with open_world(tmp_path / "data", "alice", "bob") as before:
        await before.engine.channels.find("alice", "bob")  # no conversation could begin later
    async with open_world(tmp_path / "data", **folder) as world:
        world.tokens |= before.tokens
        for by in WAYS:
            error = await refused_with(world, "hello", f"one-{WAYS.index(by)}", by)
            assert (error["code"], error["retry"]) == ("overloaded", True), by
            assert "'own_filter' must check this message, and left out at the start" in error["message"]
        assert (await world.rest("GET", "/readyz")).body["checks"]["required_plugins"] is False
        row = next(row for row in await list_plugins(world.engine) if row["name"] == "own_filter")
        assert (row["state"], row["reason"].startswith("required, so what it must")) == ("left out", True)
    assert "plugin 'own_filter' is required and left out, so every message is refused" in caplog.text


def test_a_required_plugin_is_loaded_and_a_name_that_is_none_is_met_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text('[plugins]\nrequired = ["webhook", "polls"]\n')
    rows = {row["name"]: row for row in checked(read_settings(tmp_path / "relay.toml", {}), ())}
    assert "did you mean webhooks?" in rows["webhook"]["reason"]
    assert "required names it, and it has no hook `before` or `for_recipient`" in rows["polls"]["remark"]


def test_required_without_a_hook_that_checks_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from relay.plugin import MessageHook, hookimpl\n"
        "@hookimpl\ndef relay_message_hooks():\n"
        "    return [MessageHook(stored=lambda server, connection, entries: None, required=True)]\n"
    )
    (broken,) = load((), [tmp_path], {}).broken
    assert (
        "odd.py:4: TypeError: MessageHook: required is for a hook with `before` or `for_recipient`"
        in broken.reason
    )


async def test_an_operator_may_require_what_its_author_did_not(
    relay_world: RelayWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "relay.plugin")
    (tmp_path / "own_filter.py").write_text(FILTER.replace(", required=True", ""))
    for required, code in ((False, "plugin_failed"), (True, "overloaded")):
        named = "own_filter" if required else "[]"
        async with relay_world(tmp_path, "alice", "bob", RELAY_PLUGINS__REQUIRED=named) as world:
            alice = await world.connect("alice")
            for _ in range(10):
                answer = await alice.request("chat_message", {"content": BUG}, "bob")
                assert answer["payload"]["code"] == code
            answer = await alice.request("chat_message", {"content": FORBIDDEN}, "bob")
            assert (answer["type"] == "error") is required
