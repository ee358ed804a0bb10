"""What holds a server to its descriptions: it finds what differs, and lets pass what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.app.plugin_admin import load_for
from relay.engine.registry import Registry
from relay.protocol.answers import Problem
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode
from relay.settings import Settings
from relay.testing import RelayWorld
from relay.testing.checking import Answers, Described, Frames, Undescribed
from relay.transports.rest.app import all_calls
from relay.transports.rest.openapi import openapi
from relay.transports.schemas.asyncapi import asyncapi

JSON = {"content-type": "application/json"}
PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_for(Settings())


@pytest.fixture(scope="module")
def answers(registry: Registry) -> Answers:
    return Answers(openapi(all_calls(registry), registry))


@pytest.fixture(scope="module")
def described(registry: Registry) -> Described:
    return Described(asyncapi(registry, Settings()))


@pytest.fixture
def frames(described: Described) -> Iterator[Frames]:
    return Frames(described)


def problem(status: int) -> bytes:
    told = Problem(type="about:blank", title="t", status=status, detail="d", code=ErrorCode.NOT_FOUND, retry=False)
    return encode_json(told)


def user(**fields: Any) -> bytes:
    return json.dumps(
        {"user_id": "bob", "display_name": "Bob", "picture": None, "disabled": False, **fields}
    ).encode()


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        ("GET", "/api/users/bob?x=1", 200, JSON, user()),
        ("HEAD", "/api/users/bob", 200, JSON, b""),
        ("OPTIONS", "/api/users/bob", 204, {}, b""),
        ("GET", "/api/users/bob", 404, PROBLEM, problem(404)),
        ("DELETE", "/api/users/bob", 405, PROBLEM | {"allow": "GET"}, problem(405)),
        ("GET", "/nowhere", 404, PROBLEM, problem(404)),
        ("PUT", "/api/users/following/status", 204, {}, b""),
        ("DELETE", "/api/devices/a/b", 204, {}, b""),
        (
            "GET",
            "/api/attachments/a",
            200,
            {"content-type": "image/png", "etag": "x", "accept-ranges": "bytes"},
            b"x",
        ),
    ],
)
def test_an_answer_that_is_described_passes(
    answers: Answers, method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    answers.check(method, path, status, headers, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body", "told"),
    [
        ("GET", "/api/users/bob", 200, JSON, user(colour="red"), "colour"),
        ("GET", "/api/users/bob", 200, JSON, b'{"user_id": "bob"}', "display_name"),
        ("GET", "/api/users/bob", 200, JSON, user(display_name=None), "display_name"),
        ("GET", "/api/users/bob", 409, PROBLEM, problem(409), "409 is not among"),
        ("GET", "/api/users/bob", 200, {"content-type": "text/html"}, b"<p>", "is text/html"),
        ("GET", "/api/users/bob", 404, JSON, b'{"error": "no"}', "is application/json"),
        ("GET", "/api/users/bob", 404, PROBLEM, b'{"detail": "no"}', "required property"),
        ("GET", "/api/users/me", 401, PROBLEM, problem(401), "WWW-Authenticate"),
        ("DELETE", "/api/groups/team", 204, JSON, b"{}", "has a body"),
        ("GET", "/nowhere", 200, JSON, b"{}", "no such call"),
        ("DELETE", "/api/users/bob", 405, PROBLEM, problem(405), "what is allowed"),
        ("PUT", "/api/users/bob", 404, PROBLEM, problem(404), "no such call"),
    ],
)
def test_an_answer_that_is_not_described_is_found(
    answers: Answers, method: str, path: str, status: int, headers: dict[str, str], body: bytes, told: str
) -> None:
    with pytest.raises(Undescribed, match=told):
        answers.check(method, path, status, headers, body)


def message(type_: str = "chat_message", payload: Any = None, **meta: Any) -> dict[str, Any]:
    always = {"message_id": 1, "seq": 1, "sender_id": "alice", "timestamp": 1.5}
    return {"type": type_, "payload": {"content": "x"} if payload is None else payload, "meta": always | meta}


def ack(ref: str | None = None, **payload: Any) -> dict[str, Any]:
    meta = {} if ref is None else {"ref": ref}
    return {"type": "ack", "payload": {"timestamp": 1.5, "duplicate": False, **payload}, "meta": meta}


@pytest.mark.parametrize(
    "frame",
    [
        message(),
        message(replay=True, edited_at=2.0),
        message(payload={}, deleted_at=2.0),
        message("gone_type", {"anything": 1}, replay=True),
        ack("1", message_id=1, seq=1),
        ack("1", statuses=[], unknown=[]),
        {"type": "connection_event", "payload": {"event": "heartbeat", "cursor": 1}, "meta": {}},
    ],
)
def test_a_frame_that_is_described_passes(frames: Frames, frame: dict[str, Any]) -> None:
    frames.received(frame)


@pytest.mark.parametrize(
    "frame",
    [
        message(colour="red"),
        message(payload={}),
        message(payload={"content": "x", "more": 1}),
        message(payload={"content": "x"}, deleted_at=2.0),
        message(seq=None),
        message("gone_type", {"anything": 1}),
        ack("1", more=1),
        {"type": "connection_event", "payload": {"event": "heartbeat"}, "meta": {}},
        {"type": "connection_event", "payload": {"event": "nonsense"}, "meta": {}},
        {"type": "error", "payload": {"code": "oops", "message": "m", "retry": False}, "meta": {}},
        {"type": "ack", "payload": ack()["payload"]},
        message() | {"more": 1},
    ],
)
def test_a_frame_that_is_not_described_is_found(frames: Frames, frame: dict[str, Any]) -> None:
    with pytest.raises(Undescribed):
        frames.received(frame)


def sent(frames: Frames, type_: str, payload: Any, **meta: Any) -> None:
    frames.sent(json.dumps({"type": type_, "payload": payload, "meta": meta}))


def test_what_the_server_took_is_checked_and_what_it_refused_is_not(frames: Frames) -> None:
    sent(frames, "chat_message", {"content": 1}, id="1", target_id="bob")
    frames.received({"type": "error", "payload": refusal(), "meta": {"ref": "1"}})
    frames.received(ack("1"))
    sent(frames, "chat_message", {"content": 1}, id="2", target_id="bob")
    with pytest.raises(Undescribed, match="not of type 'string'"):
        frames.received(ack("2"))


def refusal() -> dict[str, Any]:
    return {"code": "invalid_payload", "message": "m", "retry": False}


def test_an_ack_says_what_its_own_type_says(frames: Frames) -> None:
    sent(frames, "chat_message", {"content": "x"}, id="1", target_id="bob")
    with pytest.raises(Undescribed, match="statuses"):
        frames.received(ack("1", statuses=[]))


def test_what_has_no_id_is_checked_once_a_later_message_is_stored(frames: Frames) -> None:
    sent(frames, "chat_message", {"content": 1}, target_id="bob")
    sent(frames, "typing_indicator", {"typing": True}, id="1", target_id="bob")
    frames.received(ack("1"))
    sent(frames, "chat_message", {"content": "x"}, id="2", target_id="bob")
    with pytest.raises(Undescribed):
        frames.received(ack("2", message_id=1, seq=1))


def test_an_error_without_a_ref_clears_what_has_no_id(frames: Frames) -> None:
    sent(frames, "chat_message", {"content": 1}, target_id="bob")
    frames.received({"type": "error", "payload": refusal(), "meta": {}})
    sent(frames, "chat_message", {"content": "x"}, id="2", target_id="bob")
    frames.received(ack("2", message_id=1, seq=1))


@pytest.mark.parametrize(
    "text", ["not json", "[]", "7", '{"no": "type"}', '{"type": "x", "payload": 1, "meta": 2}']
)
def test_what_is_no_envelope_may_be_sent(frames: Frames, text: str) -> None:
    frames.sent(text)


async def test_a_device_of_a_test_finds_what_a_plugin_does_not_describe(
    tmp_path: Path, relay_world: RelayWorld
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "more.py").write_text(
        """
from typing import Any
from relay.plugin import Draft, Kind, MessageType, Payload, hookimpl

class More(Payload): ...
class Said(Payload):
    told: int

async def handle(draft: Draft) -> None:
    draft.answer = {"told": 1}
    draft.only_sender = True

@hookimpl
def relay_message_types(options: Any) -> list[MessageType]:
    more = {"payload": More, "kind": Kind.TRANSIENT, "targets": frozenset(), "handle": handle}
    return [MessageType(name="silent", **more), MessageType(name="open", answer=Said, **more)]
"""
    )
    async with relay_world(tmp_path / "plugins", "alice") as world:
        alice = await world.connect("alice")
        assert (await alice.request("open", {}))["payload"]["told"] == 1
        with pytest.raises(Undescribed, match="told"):
            await alice.request("silent", {})
