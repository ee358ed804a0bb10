"""Every refusal is a problem, and every answer has its headers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.storage.errors import StorageFailed
from tests.transports.rest.world import World, message, open_world

PAGE = "https://chat.example.org"


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/", "/api/nothing", "/api//login", "/healthz/", "/api/groups/a/b"]
)
async def test_a_route_that_is_none_is_not_found(world: World, path: str):
    (await world.get("alice", path)).refused(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/login", {"POST", "OPTIONS"}),
        ("POST", "/api/conversations", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/api/groups/team", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("TRACE", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_a_route_does_not_have_is_refused_with_those_it_has(
    world: World, method: str, path: str, allowed: set[str]
):
    answer = await world.call("alice", method, path)
    answer.refused(405, "invalid_payload")
    assert set(answer.headers["Allow"].split(", ")) == allowed


async def test_a_body_over_the_limit_is_refused(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"body_bytes": 1024}) as world:
        problem = (await world.post("alice", "/api/messages", message("bob", "x" * 1024))).refused(
            413, "too_large"
        )
        assert "1024" in problem["detail"]
        await world.say("alice", "bob", "x" * 500)


async def test_a_body_in_pieces_over_the_limit_is_refused(tmp_path: Path):
    async with open_world(tmp_path, "alice", limits={"body_bytes": 1024}) as world:
        headers = {"Authorization": f"Bearer {world.tokens['alice']}"}
        async with world.client.request("/api/messages", method="POST", headers=headers) as connection:
            for _ in range(3):
                await connection.send(b"x" * 500)
        response = await connection.as_response()
        assert response.status_code == 413


async def test_no_limit_means_none(tmp_path: Path):
    limits = {"body_bytes": 0, "content_characters": 0}
    async with open_world(tmp_path, "alice", "bob", limits=limits) as world:
        await world.say("alice", "bob", "x" * 3_000_000)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_body_that_says_it_is_no_json_is_refused(world: World, kind: str):
    for path in ("/api/messages", "/api/groups", "/api/login", "/api/messages/read"):
        answer = await world.post("alice", path, b"a=b", headers={"Content-Type": kind})
        assert "application/json" in answer.refused(415, "invalid_payload")["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/x+json", ""])
async def test_a_body_that_is_json_or_says_nothing_is_read(world: World, kind: str):
    answer = await world.post("alice", "/api/messages", message("bob", "x"), headers={"Content-Type": kind})
    answer.ok(201)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"name": NaN}', b'{"name": "\xff"}'])
async def test_a_body_that_is_no_json_is_refused(world: World, body: bytes):
    (await world.post("alice", "/api/groups", body)).refused(400, "bad_json")


@pytest.mark.parametrize("fault", [RuntimeError("a secret"), sqlite3.DatabaseError("/home/somebody/relay.db")])
async def test_a_fault_of_our_own_is_logged_and_not_told(
    world: World, fault: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(*_arguments: Any, **_more: Any) -> None:
        raise fault

    monkeypatch.setattr(world.engine.history, "conversations", broken)
    answer = await world.get("alice", "/api/conversations")
    problem = answer.refused(500, "internal")
    assert problem["retry"] is True
    assert str(fault) not in str(problem)
    assert str(fault) in caplog.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_fault_inside_a_nursery_is_one_too(world: World, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_arguments: Any, **_more: Any) -> None:
        async with trio.open_nursery():
            raise RuntimeError("a secret")

    monkeypatch.setattr(world.engine.history, "conversations", broken)
    (await world.get("alice", "/api/conversations")).refused(500, "internal")


async def test_a_full_disk_refuses_what_writes_and_asks_to_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def full(_job: Any) -> None:
        raise StorageFailed("disk full: /home/somebody/relay.db")

    monkeypatch.setattr(world.engine.runner, "write", full)
    for answer in (
        await world.post("alice", "/api/messages", message("alice", "x")),
        await world.call("alice", "PATCH", "/api/users/me", {"display_name": "x"}),
    ):
        problem = answer.refused(503, "overloaded")
        assert problem["retry"] is True
        assert "somebody" not in str(problem)
        assert answer.headers["Retry-After"] == "5"
    (await world.get("alice", "/api/users/me")).ok()


async def test_tokens_and_passwords_never_reach_the_log(world: World, caplog: pytest.LogCaptureFixture):
    caplog.set_level(0)
    await world.get("alice", "/api/conversations")
    await world.get("rly_wrong-token", f"/api/conversations?token={world.tokens['alice']}")
    await world.post(None, "/api/login", {"user_id": "alice", "password": "hunter2-hunter2"})
    for secret in (world.tokens["alice"], "rly_wrong-token", "hunter2-hunter2"):
        assert secret not in caplog.text


@pytest.mark.parametrize("path", ["/api/conversations", "/api/nothing", "/healthz", "/readyz"])
async def test_every_answer_has_the_headers_that_keep_it_safe(world: World, path: str):
    headers = (await world.get("alice", path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in headers


async def test_head_is_answered_like_get(world: World):
    answer = await world.call("alice", "HEAD", "/api/conversations")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


async def test_an_allowed_origin_is_echoed_exactly_and_without_credentials(tmp_path: Path):
    async with open_world(tmp_path, "alice", server={"allowed_origins": [PAGE]}) as world:
        for path, status in (("/api/conversations", 200), ("/api/nothing", 404)):
            answer = await world.call("alice", "GET", path, headers={"Origin": PAGE})
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Vary"] == "Origin"
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["", "https://chat.example.org.evil.example", "http://chat.example.org", "null", "*"]
)
async def test_another_origin_gets_no_permission(tmp_path: Path, origin: str):
    async with open_world(tmp_path, "alice", server={"allowed_origins": [PAGE]}) as world:
        for method in ("GET", "OPTIONS"):
            answer = await world.call("alice", method, "/api/conversations", headers={"Origin": origin})
            assert not any(name.lower().startswith("access-control") for name, _ in answer.headers.items())
            assert answer.headers["Vary"] == "Origin"


async def test_a_preflight_is_answered_without_a_token(tmp_path: Path):
    async with open_world(tmp_path, server={"allowed_origins": [PAGE]}) as world:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
        answer = await world.call(None, "OPTIONS", "/api/groups/team/members/bob", headers=asked)
        answer.done()
        assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"PUT", "DELETE", "OPTIONS"}
        assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        (await world.call(None, "OPTIONS", "/api/nothing", headers=asked)).refused(404, "not_found")


async def test_without_allowed_origins_no_page_of_another_may_call(world: World):
    answer = await world.call("alice", "GET", "/api/conversations", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("host", ["", "[::1", "a b", "é", "x" * 300, "host:notaport", "a/b", "..", "-"])
async def test_no_host_header_matters(world: World, host: str):
    answer = await world.call("alice", "GET", "/api/conversations", headers={"Host": host or " "})
    answer.ok()
