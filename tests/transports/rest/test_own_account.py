"""All of one's own account by REST: the export, and its end."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from tests.transports.rest.test_accounts import LOGIN, PASSWORD, with_password
from tests.transports.rest.test_second_factors import Clock, code, set_up
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

EXPORT, ERASE = "/api/users/me/export", "/api/users/me/erase"
PROOF = {"current_password": PASSWORD}


async def send(world: World, who: str, type_: str, target: str, **payload: Any) -> int:
    stored = await world.engine.submitter.send_as(who, type_, payload, target)
    assert stored.message_id is not None
    return stored.message_id


async def _in_one(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


async def exported(world: World, who: str) -> dict[str, bytes]:
    answer = await world.call(who, "GET", EXPORT)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert f'filename="relay-{who}-' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.raw)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


async def test_an_export_has_what_is_ones_own_and_nothing_that_others_said(world: World) -> None:
    await world.engine.groups.create("bob", "Team", ["alice"], "team")
    said = [await send(world, "alice", "chat_message", "bob", content=f"number {number}") for number in range(450)]
    other = await send(world, "bob", "chat_message", "alice", content="a secret of bob's")
    await send(world, "alice", "group_message", "team", content="to the team")
    await send(world, "alice", "reaction", "bob", message_id=other, emoji="👍", on=True)
    gone = await send(world, "alice", "chat_message", "bob", content="deleted")
    await send(world, "alice", "message_delete", "bob", message_id=gone)
    body = b"\x00\x01" * 150_000
    up = await world.engine.attachments.receive("alice", 'a "b".bin', _in_one(body))
    found = await exported(world, "alice")
    account = json.loads(found["account.json"])
    assert (account["user_id"], account["role"]) == ("alice", "member")
    assert [(one["group_id"], one["role"]) for one in account["groups"]] == [("team", "member")]
    assert account["tokens"][0]["origin"]
    messages = lines(found["messages.ndjson"])
    texts = [one["payload"]["content"] for one in messages if one["type"] == "chat_message"]
    assert texts == [f"number {number}" for number in range(450)]
    assert [one["meta"]["message_id"] for one in messages][: len(said)] == said
    assert messages[-1]["meta"]["target_id"] == "team"
    (reaction,) = (one for one in lines(found["latest.ndjson"]) if one["type"] == "reaction")
    assert reaction["payload"]["message_id"] == other
    (file,) = lines(found["files.ndjson"])
    assert (file["attachment_id"], file["name"], file["size"]) == (up.attachment_id, 'a "b".bin', len(body))
    assert file["path"] == f"files/{up.attachment_id}/a _b_.bin"
    assert found[file["path"]] == body
    everything = b"".join(found.values())
    for secret in (b"a secret of bob's", b"rly_", b"argon2", b"deleted"):
        assert secret not in everything


async def test_two_exports_of_one_account_do_not_run_at_once(world: World) -> None:
    await world.engine.attachments.receive("alice", "large.bin", _in_one(b"x" * 300_000))
    first = await world.engine.exports.archive("alice")
    await anext(first)
    refused = await world.call("alice", "GET", EXPORT)
    assert refused.refused(429, "rate_limited")["details"]["reason"] == "export_running"
    assert (await world.call("bob", "GET", EXPORT)).status == 200
    await first.aclose()
    assert (await world.call("alice", "GET", EXPORT)).status == 200


async def test_an_account_is_erased_by_its_password(world: World) -> None:
    await with_password(world, "alice")
    me = (await world.call("alice", "GET", "/api/users/me")).ok()
    assert (me["has_password"], me["may_erase"]) == (True, True)
    for body in ({}, {"current_password": "wrong"}):
        refused = (await world.post("alice", ERASE, body)).refused(403, "forbidden")
        assert refused["details"] == {"reason": "wrong_password", "field": "current_password"}
    assert (await world.call("alice", "GET", "/api/users/me")).status == 200
    done = (await world.post("alice", ERASE, PROOF)).ok()
    assert done["done_at"] is not None
    assert (await world.call("alice", "GET", "/api/users/me")).status == 401
    assert (await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD})).status == 403


async def test_with_a_second_factor_it_takes_a_code_as_well(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", now=clock) as world:
        secret, _ = await set_up(world, "alice", clock)
        needed = (await world.post("alice", ERASE, PROOF)).refused(403, "forbidden")
        assert needed["details"]["reason"] == "second_factor"
        wrong = (await world.post("alice", ERASE, PROOF | {"code": "000000"})).refused(403, "forbidden")
        assert wrong["details"]["reason"] == "wrong_code"
        clock.at += 60
        assert (await world.post("alice", ERASE, PROOF | {"code": code(secret, clock)})).status == 200


async def test_without_a_password_a_login_of_the_last_ten_minutes_does(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", "bob", now=clock) as world:
        assert (await world.call("alice", "GET", "/api/users/me")).ok()["has_password"] is False
        refused = (await world.post("alice", ERASE, {})).refused(403, "forbidden")  # a token that no login made
        assert refused["details"]["reason"] == "sign_in_again"
        made = await world.engine.runner.write(
            lambda connection: accounts.create_token(connection, "alice", clock.at, origin="login")
        )
        clock.at += 601
        assert (await world.post(made, ERASE, {})).status == 403
        clock.at -= 2
        assert (await world.post(made, ERASE, {})).status == 200


async def test_the_last_owner_stays(world: World) -> None:
    await with_password(world, "alice")
    await world.engine.runner.write(lambda c: accounts.update_user(c, "alice", role=ServerRole.OWNER))
    world.engine.accounts.forget()
    refused = (await world.post("alice", ERASE, PROOF)).refused(409, "conflict")
    assert refused["details"]["reason"] == "last_owner"
    assert "make somebody else an owner first" in refused["detail"]
    await world.engine.runner.write(lambda c: accounts.update_user(c, "bob", role=ServerRole.OWNER))
    assert (await world.post("alice", ERASE, PROOF)).status == 200


async def test_where_admins_erase_accounts_users_do_not(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", accounts={"erase_own": False}) as world:
        await with_password(world, "alice")
        assert (await world.call("alice", "GET", "/api/users/me")).ok()["may_erase"] is False
        refused = (await world.post("alice", ERASE, PROOF)).refused(403, "forbidden")
        assert refused["details"]["reason"] == "erasure_by_admins"
