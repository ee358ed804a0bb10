"""What operators look at by REST: a message's trace, the server's condition, its figures, and the use of the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from relay.storage import figures
from relay.storage.aggregates import MINUTE, Row, sample, slot
from tests.transports.rest.world import World, open_world

PATHS = [
    "/api/admin/trace/1",
    "/api/admin/health",
    "/api/admin/figures?name=messages",
    "/api/admin/figures/several?names=messages,connections",
    "/api/admin/figures/names",
    "/api/admin/storage",
]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[World]:
    """A server with an admin, on which alice has said something to bob, message 1."""
    async with open_world(tmp_path, "alice", "bob", "carol") as world:
        await world.add("root", admin=True)
        await world.say("alice", "bob", "Lunch?")
        yield world


@pytest.mark.parametrize("path", PATHS)
async def test_they_are_for_admins_only(watched: World, path: str) -> None:
    assert (await watched.get(None, path)).status == 401
    (await watched.get("alice", path)).refused(403, "forbidden")
    assert (await watched.get("root", path)).status == 200


async def test_a_message_is_traced(watched: World) -> None:
    found = (await watched.get("root", "/api/admin/trace/1")).ok()
    assert (found["message"]["message_id"], found["message"]["conversation"]) == (1, "user:alice:bob")
    assert [one["user_id"] for one in found["recipients"]] == ["alice", "bob"]
    assert found["next"] is None
    (one,) = (await watched.get("root", "/api/admin/trace/1", user="bob")).ok()["recipients"]
    assert one["state"] == "no_device"
    page = (await watched.get("root", "/api/admin/trace/1", limit=1)).ok()
    assert page["next"] == "alice"


@pytest.mark.parametrize(
    ("path", "status", "code", "text"),
    [
        ("/api/admin/trace/999", 404, "not_found", "message 999: the newest one is 1"),
        (
            "/api/admin/trace/1?user=carol",
            404,
            "not_found",
            "user 'carol' never was in the conversation of message 1",
        ),
        ("/api/admin/figures", 400, "invalid_payload", "the query parameter name is missing"),
        ("/api/admin/figures?name=x", 404, "not_found", "right is one of messages, deliveries"),
        ("/api/admin/figures/several?names=messages,x", 404, "not_found", "there is no figure 'x'"),
        ("/api/admin/figures/several?names=", 400, "invalid_payload", "names"),
        ("/api/admin/figures?name=messages&step=90", 400, "invalid_payload", "a multiple of 60"),
        ("/api/admin/figures?name=messages&from=soon", 400, "invalid_payload", "ISO 8601"),
        ("/api/admin/figures?name=messages&from=5&to=4", 400, "invalid_payload", "to is to be later than from"),
        ("/api/admin/figures?name=messages&since=5", 400, "invalid_payload", "since"),
    ],
)
async def test_what_cannot_be_told_says_what_is_right(
    watched: World, path: str, status: int, code: str, text: str
) -> None:
    assert text in (await watched.get("root", path)).refused(status, code)["detail"]


async def test_a_figure_over_time(watched: World) -> None:
    now = watched.engine.now()
    row = Row({"messages": sample(7)}, {"commit_seconds": {5: 9}})
    await watched.engine.runner.write(partial(figures.add, at=now, row=row))
    found = (await watched.get("root", "/api/admin/figures", name="messages")).ok()
    (point,) = found["points"]
    assert (found["step"], found["unit"], found["counted"]) == (MINUTE, "messages", True)
    assert (point["at"], point["total"], point["p50"]) == (slot(now, MINUTE), 7, None)
    (point,) = (await watched.get("root", "/api/admin/figures", name="commit_seconds")).ok()["points"]
    assert (point["count"], point["total"]) == (9, None)
    assert point["p50"] == point["p99"] > 0
    asked = {"name": "messages", "from": now - 86_400, "to": now + 60, "step": 3600}
    assert (await watched.get("root", "/api/admin/figures", **asked)).ok()["step"] == 3600


async def test_the_names_of_the_figures(watched: World) -> None:
    found = (await watched.get("root", "/api/admin/figures/names")).ok()
    assert found["kept"] is True
    for figure in found["figures"]:
        asked = await watched.get("root", "/api/admin/figures", name=figure["name"])
        assert asked.ok()["unit"] == figure["unit"]


async def test_the_condition_and_the_use_of_the_disk(watched: World) -> None:
    found = (await watched.get("root", "/api/admin/health")).ok()
    assert found["state"] == "good", found["remarks"]
    assert found["router"]["position"] == 1
    found = (await watched.get("root", "/api/admin/storage")).ok()
    assert found["whole"] is True
    assert {"messages", "free pages"} <= {part["name"] for part in found["parts"]}
    assert [ahead["days"] for ahead in found["frees"]] == [30, 90]


async def test_each_look_at_a_message_is_in_the_audit_log(watched: World) -> None:
    await watched.get("root", "/api/admin/trace/1", limit=1)
    await watched.get("root", "/api/admin/trace/1", limit=1, after="alice")
    await watched.get("root", "/api/admin/trace/1", user="bob")
    await watched.get("root", "/api/admin/trace/999")
    found = (await watched.get("root", "/api/admin/audit", act="message.traced")).ok()["entries"]
    assert [(entry["by"], entry["about"], entry["details"]) for entry in found] == [
        ("root", {"kind": "message", "id": "1"}, {"user": "bob"}),
        ("root", {"kind": "message", "id": "1"}, {}),
    ]
