"""The audit log: an entry stands with its act, and nothing but its own time takes it away."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

import pytest
import trio

from relay.app.admin import perform
from relay.protocol.kinds import ServerRole
from relay.services.audit import About, Actor, AuditLog
from relay.storage import accounts, audit, leaving, messages, tombstones
from relay.storage.accounts import Identity
from relay.storage.audit import Wanted
from relay.testing import World

ROOT = Actor("root", ServerRole.OWNER, "rest", "192.0.2.9", "laptop")
BOB = About("user", "bob")


async def entries(world: World, **wanted: Any) -> list[dict[str, Any]]:
    found = await world.engine.runner.read(lambda connection: audit.find(connection, Wanted(**wanted), 100))
    return [one.payload for one in found]


async def test_an_entry_says_who_did_what_to_whom_and_from_where(world: World) -> None:
    await world.engine.audit.record(ROOT, "user.disabled", BOB, {"reason": "asked for it"})
    assert await entries(world) == [
        {
            "act": "user.disabled", "by": "root", "role": "owner", "about": {"kind": "user", "id": "bob"},
            "details": {"reason": "asked for it"}, "address": "192.0.2.9", "client": "laptop", "way": "rest",
        }
    ]  # fmt: skip


async def test_an_entry_commits_with_its_act_or_not_at_all(world: World) -> None:
    def act(connection: sqlite3.Connection) -> None:
        world.engine.audit.write(connection, ROOT, "user.disabled", BOB)
        raise RuntimeError

    await world.engine.audit.record(ROOT, "user.added", BOB)
    with pytest.raises(RuntimeError):
        await world.engine.runner.write(act)
    await world.engine.audit.record(ROOT, "user.erased", BOB)
    assert [one["act"] for one in await entries(world)] == ["user.erased", "user.added"]
    seqs = await world.engine.runner.read(lambda c: [one.seq for one in audit.find(c, Wanted(), 9)])
    assert seqs == [2, 1], "no number is lost"


async def test_entries_are_found_by_act_area_user_subject_text_and_time(world: World) -> None:
    began = world.engine.now()
    log = world.engine.audit
    await log.record(ROOT, "user.disabled", BOB)
    await log.record(Actor.operator(0), "user.enabled", BOB, {"reason": "Überraschung"})
    await trio.sleep(60)
    await log.record(Actor.of(Identity(user_id="mia"), "socket"), "userful.act", About("group", "bob"))
    for wanted, acts in (
        ({"act": "user"}, ["user.enabled", "user.disabled"]),
        ({"act": "user.disabled"}, ["user.disabled"]),
        ({"by": "root"}, ["user.disabled"]),
        ({"kind": "user", "about": "bob"}, ["user.enabled", "user.disabled"]),
        ({"kind": "group"}, ["userful.act"]),
        ({"about": "bob", "act": "user", "by": "mia"}, []),
        ({"text": "Überraschung"}, ["user.enabled"]),
        ({"text": "UID 0"}, ["user.enabled"]),
        ({"since": began + 30}, ["userful.act"]),
        ({"until": began + 30}, ["user.enabled", "user.disabled"]),
    ):
        assert [one["act"] for one in await entries(world, **wanted)] == acts, wanted


@pytest.mark.world("alice", "bob", "root")
async def test_no_client_gets_or_finds_an_entry(world: World) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=ServerRole.OWNER))
    device = await world.connect("root")
    await world.engine.audit.record(ROOT, "user.disabled", BOB)
    await world.engine.submitter.send_as("alice", "chat_message", {"content": "after it"}, "root")
    assert (await device.next())["type"] == "chat_message"
    again = await world.connect("root", "root-2")
    assert [frame["type"] for frame in again.replayed] == ["chat_message"]
    (entry,) = await world.engine.runner.read(lambda connection: audit.find(connection, Wanted(), 9))
    for type_, payload in (
        ("message_delete", {"message_id": entry.message_id}),
        ("message_edit", {"message_id": entry.message_id, "content": "x"}),
        ("reaction", {"message_id": entry.message_id, "emoji": "👍"}),
    ):
        await again.send({"type": type_, "payload": payload, "meta": {"id": f"x-{type_}", "target_id": "alice"}})
        assert (await again.next("error"))["payload"]["code"] in ("not_found", "invalid_payload")


async def test_nothing_but_its_own_retention_changes_an_entry(world: World) -> None:
    await world.engine.audit.record(ROOT._replace(by="bob"), "user.disabled", About("user", "alice"))
    before = await entries(world)

    def attack(connection: sqlite3.Connection) -> None:
        (entry,) = audit.find(connection, Wanted(), 9)
        assert tombstones.erase_messages(connection, [entry.message_id], 1.0) == []
        messages.rewrite_message(connection, entry.message_id, "{}", 1.0)
        assert leaving.said_after(connection, "bob", 0, 100)[0] == []

    await world.engine.runner.write(attack)
    await perform(world.engine, "user.erase", {"user_id": "bob"})
    assert (await entries(world))[-1:] == before


@pytest.mark.world("alice", "bob", RELAY_AUDIT__KEEP_DAYS="30", RELAY_AUDIT__ADDRESSES="false")
async def test_entries_go_after_their_days_and_have_no_address_where_none_is_kept(world: World) -> None:
    await world.engine.audit.record(ROOT, "user.disabled", BOB)
    assert [one["address"] for one in await entries(world)] == [""]
    await trio.sleep(29 * 86_400)
    await world.engine.audit.record(ROOT, "user.enabled", BOB)
    assert len(await entries(world)) == 2
    await trio.sleep(2 * 86_400)
    assert [one["act"] for one in await entries(world)] == ["user.enabled"]
    payloads = await world.engine.runner.read(
        lambda connection: connection.execute("SELECT payload FROM log WHERE type = 'audit_event'").fetchall()
    )
    assert payloads[0] == (None,)


@pytest.mark.world("alice", "bob", RELAY_AUDIT__KEEP_DAYS="30", RELAY_PLUGINS__ALSO="retention")
async def test_an_entry_on_legal_hold_stays_after_its_days(world: World) -> None:
    await world.engine.audit.record(ROOT._replace(by="alice"), "user.disabled", BOB)
    await world.engine.audit.record(ROOT, "user.disabled", BOB)
    hold = {"kind": "user", "name": "alice", "who": "counsel", "why": "a case"}
    await perform(world.engine, "plugin.command", {"name": "retention hold add", "arguments": hold})
    await trio.sleep(40 * 86_400)
    assert [one["by"] for one in await entries(world, act="user.disabled")] == ["alice"]


@pytest.mark.world("alice", "bob")
async def test_days_that_are_set_later_hold_for_entries_of_before(world: World) -> None:
    await world.engine.audit.record(ROOT, "user.disabled", BOB)
    await trio.sleep(40 * 86_400)
    assert len(await entries(world, act="user.disabled")) == 1
    world.engine.audit.change(30, True)
    await trio.sleep(60)
    assert await entries(world, act="user.disabled") == []


async def test_more_entries_are_swept_than_one_transaction_takes(world: World) -> None:
    log = AuditLog(world.engine.runner, world.engine.audit._log, world.engine.now, keep_days=1)
    for _ in range(450):
        await log.record(ROOT, "user.disabled", BOB)
    await log._sweep(world.engine.now() + 1)
    assert await entries(world) == []


@pytest.mark.world("alice", "root")
async def test_admins_page_through_the_audit_log_by_rest(world: World) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=ServerRole.ADMIN))
    for number in range(5):
        await world.engine.audit.record(ROOT, "user.disabled", About("user", f"u{number}"))
    assert (await world.rest("GET", "/api/admin/audit", "alice")).status == 403
    path, seen = "/api/admin/audit?act=user&about=user&limit=2", []
    cursor = ""
    while True:
        page = (await world.rest("GET", path + cursor, "root")).body
        seen += [entry["about"]["id"] for entry in page["entries"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["u4", "u3", "u2", "u1", "u0"]
    assert (await world.rest("GET", "/api/admin/audit?about=user:u3&by=root", "root")).body["entries"][0][
        "about"
    ] == {
        "kind": "user",
        "id": "u3",
    }
    assert (await world.rest("GET", "/api/admin/audit?from=2100-01-01T00:00:00Z", "root")).body["entries"] == []
    assert (await world.rest("GET", "/api/admin/audit?act=User!", "root")).status == 400


@pytest.mark.world("alice", RELAY_PLUGINS__ALSO="webhooks")
async def test_a_webhook_for_everything_gets_no_entries(world: World) -> None:
    from plugins.webhooks.filter import Choice, Filter, StoredMessage

    entry = StoredMessage(1, 2, 1, "audit_event", "root", "self:*")
    assert not Filter(Choice(), None).matches(entry)
    assert Filter(Choice(types=["audit_event"]), None).matches(entry)
