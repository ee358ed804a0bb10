"""A whole server moves: exported while it runs, and imported into an empty one, where everybody sees the same."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.moving import PEOPLE, RandomWorld, picture
from tests.e2e.server import RELAY, ROOT, Server, environment

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


COUNT = 4_000


def large(path: Path) -> Path:
    """Write a file of another system, with replies, threads and reactions."""
    people = [f"user{number}" for number in range(20)]
    members = [{"user_id": user} for user in people]
    place = {"conversation": "group:all", "at": 1.5e9}
    records: list[dict[str, Any]] = [
        {"record": "export", "version": 1, "source": "other:1", "reading": "all"},
        *({"record": "user", "user_id": user} for user in people),
        {"record": "group", "group_id": "all", "name": "All", "members": members},
    ]
    for number in range(COUNT):
        said: dict[str, Any] = {"content": f"text {number}"}
        said |= {"reply_to": f"m{number - 1}"} if number % 3 == 2 else {}
        said |= {"thread": f"m{number - number % 10}"} if number % 10 == 5 else {}
        message = {"record": "message", "id": f"m{number}", "type": "group_message", "by": people[number % 20]}
        records.append(message | place | {"payload": said})
        reaction = {"message_id": f"m{number}", "emoji": "👍", "on": True}
        value = {"record": "value", "id": f"r{number}", "type": "reaction", "by": people[number % 7]}
        records += [value | place | {"payload": reaction}] if number % 4 == 0 else []
    records.append({"record": "end", "lines": len(records)})
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


def stored(server: Server) -> list[tuple[Any, ...]]:
    """Return what was imported, in its order, with what each refers to by its place."""
    query = """
        SELECT l.seq, l.sender_id, l.payload ->> 'content', r.seq, t.seq, count(v.message_id) FROM log l
        LEFT JOIN log r ON r.message_id = l.payload ->> 'reply_to'
        LEFT JOIN log t ON t.message_id = l.payload ->> 'thread'
        LEFT JOIN latest v ON v.about = l.message_id WHERE l.type = 'group_message' GROUP BY l.message_id ORDER BY l.seq
    """
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_an_import_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    file, server = large(tmp_path / "other.ndjson"), Server(tmp_path)
    server.start()
    try:
        command = [*RELAY, "import", str(file), "--config", str(server.config)]
        first = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(stored(server)) < 500:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.kill()
        assert first.wait(120) != 0 or len(stored(server)) == COUNT
        server.start()
        server.relay("import", str(file))
        found = stored(server)
        assert [row[0] for row in found] == list(range(1, COUNT + 1))
        assert [row[2] for row in found] == [f"text {number}" for number in range(COUNT)]
        assert [row[3] for row in found] == [n if n % 3 == 2 else None for n in range(COUNT)]
        assert [row[4] for row in found] == [n - 4 if n % 10 == 5 else None for n in range(COUNT)]
        assert [row[5] for row in found] == [1 if n % 4 == 0 else 0 for n in range(COUNT)]
    finally:
        server.stop()
