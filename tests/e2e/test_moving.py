"""A whole server moves: exported while it runs, and imported into an empty one, where everybody sees the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.moving import PEOPLE, RandomWorld, picture
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


def moved(folder: Path, export: Path) -> tuple[Server, dict[str, str]]:
    """Return an empty server that has read an export, and tokens of its users."""
    folder.mkdir()
    server = Server(folder, {"storage": {"purge_seconds": 0.1}})
    server.start()
    print(server.relay("import", str(export)))
    return server, {user: server.relay("token", "create", user).strip() for user in PEOPLE}


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return where two values differ, for a failure that can be read."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            text
            for key in dict.fromkeys([*one, *other])
            for text in differences(one.get(key, "absent"), other.get(key, "absent"), f"{place} / {key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            text
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for text in differences(a, b, f"{place} / {n}")
        ]
    return [] if one == other else [f"{place}: {one!r:.300} became {other!r:.300}"]


@pytest.mark.parametrize(("seed", "target"), [(0, "out"), (1, "out.ndjson")])
def test_everybody_sees_the_same_on_the_new_server(
    make_world: MakeWorld, tmp_path: Path, seed: int, target: str
) -> None:
    world = make_world(PEOPLE)
    RandomWorld(world, seed).talk(80)
    before = picture(world.server, world.tokens)
    export = tmp_path / target
    world.server.relay("export", str(export))
    server, tokens = moved(tmp_path / "new", export)
    try:
        after = picture(server, tokens)
        found = [text for user in PEOPLE for text in differences(before[user], after[user], user)]
        assert not found, "\n".join(found[:30])
        assert server.relay("import", str(export)).startswith("0 stored, ")
        assert not differences(after, picture(server, tokens))
        server.relay("user", "erase", "alice", "--yes")
        assert_gone(server, after["alice"])
        assert_whole(after["bob"], picture(server, {"bob": tokens["bob"]})["bob"])
    finally:
        server.stop()


def said_by(seen: dict[str, Any], *, alice: bool) -> list[dict[str, Any]]:
    """Return the messages that alice wrote, of all that a user sees, or those of the others."""
    messages = [one for place, said in seen.items() if place.startswith("history of ") for one in said]
    return [one for one in messages if (one["meta"]["sender_id"] == "alice") is alice]


def assert_gone(server: Server, hers: dict[str, Any]) -> None:
    """Check that no byte of what alice said is left in the files, once they are purged."""
    messages = said_by(hers, alice=True)
    words = [one["payload"]["content"].split()[-1].encode() for one in messages if "content" in one["payload"]]
    files = [hers[file] for one in messages for file in one["payload"].get("attachments", ())]
    assert len(words) > 5
    assert files
    wanted = [*words, *(data[place : place + 24] for data in files for place in range(0, len(data) - 24, 4096))]
    deadline = time.monotonic() + 60
    while left := found_in(server, wanted):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def found_in(server: Server, wanted: list[bytes]) -> list[bytes]:
    """Return which of some bytes are in the files of a database."""
    data = b"".join(
        path.read_bytes()
        for path in server.folder.iterdir()
        if path.is_file() and path.name.startswith("relay.db")
    )
    return [one for one in wanted if one in data]


def assert_whole(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Check that others' messages are as they were, and that alice's are tombstones in their places."""
    assert [one["payload"] for one in said_by(after, alice=False) if one["type"] != "group_event"] == [
        one["payload"] for one in said_by(before, alice=False) if one["type"] != "group_event"
    ]
    texts = [one for one in said_by(after, alice=True) if one["type"] in ("chat_message", "group_message")]
    assert texts
    assert all(one["payload"] == {} for one in texts)
