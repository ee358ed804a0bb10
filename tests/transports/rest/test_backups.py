"""Backups by REST: for admins to see and to have made, and for owners to download."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from relay.protocol.kinds import ServerRole
from relay.storage import accounts, audit
from relay.storage.audit import Wanted
from tests.transports.rest.world import World, open_world

PATH = "/api/admin/backups"


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[World]:
    """A server with the member alice, the admin amy and the owner root."""
    async with open_world(tmp_path, "alice") as world:
        await world.add("amy", admin=True)
        await world.add("root", admin=True)
        await world.engine.runner.write(lambda c: accounts.update_user(c, "root", role=ServerRole.OWNER))
        world.engine.accounts.forget()
        yield world


async def made(world: World) -> str:
    """Have a backup made, and return its name."""
    (await world.post("amy", PATH)).ok(202)
    while not (rows := (await world.get("amy", PATH)).ok()["backups"]):
        await trio.sleep(0.5)
    assert rows[0]["problem"] is None
    return str(rows[0]["file"])


async def test_an_admin_has_one_made_and_sees_it(kept: World) -> None:
    name = await made(kept)
    state = (await kept.get("amy", PATH)).ok()
    assert state["last_good"]["file"] == name
    assert (state["last_good"]["way"], state["last_good"]["there"]) == ("rest", True)
    (entry,) = await kept.engine.runner.read(lambda c: audit.find(c, Wanted(act="backup.made"), 10))
    assert (entry.payload["by"], entry.payload["about"]["id"]) == ("amy", name)
    for user, method in (("alice", "GET"), ("alice", "POST"), (None, "GET")):
        answer = await (kept.get if method == "GET" else kept.post)(user, PATH)
        assert answer.status in (401, 403)


async def test_a_second_one_waits_for_the_first(kept: World) -> None:
    (await kept.post("amy", PATH)).ok(202)
    problem = (await kept.post("amy", PATH)).refused(409, "conflict")
    assert problem["details"] == {"reason": "backup_runs"}
    while not (await kept.get("amy", PATH)).ok()["backups"]:
        await trio.sleep(0.5)


async def test_owners_download_and_the_log_knows_it(kept: World) -> None:
    name = await made(kept)
    (await kept.get("amy", f"{PATH}/{name}")).refused(403, "forbidden")
    answer = await kept.get("root", f"{PATH}/{name}")
    assert answer.status == 200
    assert answer.raw == (kept.engine.backups.folder.path / name).read_bytes()
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["cache-control"] == "no-store"
    (entry,) = await kept.engine.runner.read(lambda c: audit.find(c, Wanted(act="backup.downloaded"), 10))
    assert (entry.payload["by"], entry.payload["details"]) == ("root", {"bytes": len(answer.raw)})


@pytest.mark.parametrize("name", ["relay.db", "..%2Frelay.db", "relay-20240101-033000.db", "%2Fetc%2Fpasswd"])
async def test_nothing_else_is_downloaded(kept: World, name: str) -> None:
    await made(kept)
    (await kept.get("root", f"{PATH}/{name}")).refused(404, "not_found")
