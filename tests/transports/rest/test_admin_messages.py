"""Notifications and imports by REST: the stream of lines, and what its report says."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from relay.protocol.kinds import ServerRole
from relay.storage import accounts, audit
from relay.storage.audit import Wanted
from relay.testing import World
from relay.testing import world as open_world

PATH = "/api/admin/import"


def line(number: int, sender: str = "alice", target: str = "bob") -> bytes:
    meta = {"id": f"old-{number}", "sender_id": sender, "target_id": target, "timestamp": 1_500_000_000 + number}
    return json.dumps({"type": "chat_message", "payload": {"content": f"{number}"}, "meta": meta}).encode() + b"\n"


async def make_root(world: World, role: ServerRole = ServerRole.OWNER) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=role))
    world.engine.accounts.forget()


async def send(world: World, data: bytes, query: str = "", kind: str = "application/x-ndjson") -> Any:
    headers = {"Content-Type": kind}
    return await world.rest("POST", f"{PATH}{query}", "root", data=data, headers=headers)


async def said(world: World) -> list[str]:
    sql = "SELECT payload FROM log WHERE type = 'chat_message' ORDER BY message_id"
    rows = await world.engine.runner.read(lambda connection: connection.execute(sql).fetchall())
    return [json.loads(row[0])["content"] for row in rows]


async def recorded(world: World) -> list[dict[str, Any]]:
    found = await world.engine.runner.read(lambda c: audit.find(c, Wanted(act="message.imported", after=0), 100))
    return [one.payload["details"] for one in found]


async def test_a_stream_is_stored_in_its_order_and_again_without_doubles(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        data = b"".join(line(number) for number in range(600)) + b"\n\n"
        answer = await send(world, data)
        assert (answer.status, answer.body["stored"], answer.body["next_line"]) == (200, 600, None)
        assert await said(world) == [str(number) for number in range(600)]
        again = await send(world, data.rstrip(b"\n"))
        assert (again.body["stored"], again.body["duplicates"]) == (0, 600)
        assert await recorded(world) == [
            {"stored": 600, "duplicates": 0, "refused": 0},
            {"stored": 0, "duplicates": 600, "refused": 0},
        ]


async def test_the_first_line_that_is_refused_ends_it_and_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        data = line(1) + b"\n" + line(2, target="nobody") + line(3)
        report = (await send(world, data)).body
        assert (report["stored"], report["refused"], report["next_line"]) == (1, 1, 3)
        (problem,) = report["problems"]
        assert (problem["line"], problem["code"]) == (3, "not_found")
        assert await said(world) == ["1"]


async def test_a_line_that_is_no_text_or_too_long_is_named_as_well(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world)
        data = line(1) + b"\xff\n" + b"x" * 1_000_001 + b"\n" + b"{}\n" + line(2)
        report = (await send(world, data, "?go_on=true")).body
        assert (report["stored"], report["refused"], report["next_line"]) == (2, 3, None)
        assert [(one["line"], one["code"]) for one in report["problems"]] == [
            (2, "bad_json"),
            (3, "too_large"),
            (4, "bad_envelope"),
        ]
        stopped = (await send(world, b"\xff\n" + line(3))).body
        assert (stopped["stored"], stopped["next_line"]) == (0, 1)


async def test_senders_and_recipients_are_created_where_that_is_asked_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, "root") as world:
        await make_root(world)
        report = (await send(world, line(1, "erin", "frank"), "?create_users=true")).body
        assert (report["stored"], report["problems"]) == (1, [])
        assert (await world.rest("GET", "/api/admin/users/frank", "root")).status == 200


async def test_many_refusals_are_counted_and_the_first_hundred_named(tmp_path: Path) -> None:
    async with open_world(tmp_path, "root") as world:
        await make_root(world)
        report = (await send(world, b"{}\n" * 300, "?go_on=true")).body
        assert (report["refused"], len(report["problems"])) == (300, 100)


async def test_only_owners_import_and_only_lines(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world, ServerRole.ADMIN)
        refused = await send(world, line(1))
        assert (refused.status, refused.body["details"]["reason"]) == (403, "server_owner")
        await make_root(world)
        assert (await send(world, line(1), kind="application/json")).status == 415
        assert await said(world) == []


async def test_a_notification_comes_from_who_sends_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "root") as world:
        await make_root(world, ServerRole.ADMIN)
        bob = await world.connect("bob")
        body = {"target_id": "bob", "payload": {"title": "Maintenance"}, "expires_in": 60}
        answer = await world.rest("POST", "/api/admin/notifications", "root", json_body=body)
        assert (answer.status, answer.body["sender_id"]) == (201, "root")
        told = await bob.next("notification")
        assert (told["meta"]["message_id"], told["payload"]["title"]) == (answer.body["message_id"], "Maintenance")
        assert told["payload"]["expires_at"] > world.engine.now()
        wrong = await world.rest("POST", "/api/admin/notifications", "root", json_body=body | {"target_id": "eve"})
        assert wrong.status == 404
