"""Timeouts and bans: who may, what they hold back, and that they end at their time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role, ServerRole
from relay.services.audit import Actor
from relay.storage import accounts
from relay.storage.errors import StorageFailed
from relay.testing import EPOCH, Closed, Device, World
from relay.testing import world as open_world

PEOPLE = ("olga", "adam", "mona", "mallory", "bob", "gina")


async def team(world: World) -> None:
    """Give the people their roles, and make a group of them: olga owns it, adam is an admin."""
    for name, role in (("olga", "owner"), ("adam", "admin"), ("mona", "moderator"), ("gina", "guest")):
        await world.engine.runner.write(partial(accounts.update_user, user_id=name, role=ServerRole(role)))
    world.engine.accounts.forget()
    await world.engine.groups.create("olga", "Team", ["adam", "mallory", "bob"], "team")
    await world.engine.groups.put_member("olga", "team", "adam", Role.ADMIN)


async def actor(world: World, name: str) -> Actor:
    user = await world.engine.runner.read(lambda connection: accounts.get_user(connection, name))
    assert user is not None
    return Actor.of(accounts.Identity(user_id=name, role=user.role), "rest")


OPERATOR = Actor.operator(0)


async def restrict(world: World, by: str | None, kind: Any, user: str, **more: Any) -> None:
    who = OPERATOR if by is None else await actor(world, by)
    await world.engine.moderation.restrict(who, kind, user, **more)


async def refusal(world: World, by: str | None, kind: Any, user: str, **more: Any) -> str:
    with pytest.raises(RelayError) as refused:
        await restrict(world, by, kind, user, **more)
    details = refused.value.details or {}
    return str(details.get("reason") or refused.value.code)


async def said(device: Device, target: str, type: str = "group_message") -> Any:
    """Return the reason for which a text is refused; None if it is taken."""
    answer = await device.request(type, {"content": "hello"}, target)
    return (answer["payload"].get("details") or {}).get("reason") if answer["type"] == "error" else None


@pytest.mark.world(*PEOPLE)
async def test_who_is_timed_out_in_a_group_reads_and_does_nothing_else_there_until_the_end(world: World) -> None:
    await team(world)
    mallory, bob = await world.connect("mallory"), await world.connect("bob")
    message_id = (await mallory.request("group_message", {"content": "before"}, "team"))["payload"]["message_id"]
    until = world.engine.now() + 20
    await restrict(world, "adam", "timeout", "mallory", until=until, reason="shouting", group_id="team")
    told = await bob.next("group_event")
    assert told["payload"] == {
        "event": "member_timed_out", "user_id": "mallory", "until": until, "reason": "shouting",
    }  # fmt: skip
    answer = await mallory.request("group_message", {"content": "hello"}, "team")
    assert answer["payload"]["code"] == "forbidden"
    assert answer["payload"]["details"] == {
        "reason": "timed_out", "where": "group", "until": until, "why": "shouting",
    }  # fmt: skip
    for type_, payload in (
        ("reaction", {"message_id": message_id, "emoji": "👍", "on": True}),
        ("message_edit", {"message_id": message_id, "content": "other"}),
        ("message_delete", {"message_id": message_id}),
        ("typing_indicator", {"typing": True}),
    ):
        assert (await mallory.request(type_, payload, "team"))["payload"]["details"]["reason"] == "timed_out", (
            type_
        )
    assert (await mallory.request("read_receipt", {"up_to_seq": 1}, "team"))["type"] == "ack"
    assert await said(mallory, "bob", "chat_message") is None
    own = await world.rest("GET", "/api/users/me/restrictions", "mallory")
    assert own.body["restrictions"] == [
        {"kind": "timeout", "group_id": "team", "reason": "shouting", "until": until}
    ]
    await trio.sleep(until - world.engine.now() - 0.001)
    assert await said(mallory, "team") == "timed_out"
    await trio.sleep(0.001)
    assert await said(mallory, "team") is None
    assert await world.engine.moderation.in_force(OPERATOR, "team") == []


@pytest.mark.world(*PEOPLE)
async def test_who_is_timed_out_on_the_server_writes_uploads_and_creates_nothing_anywhere(world: World) -> None:
    await team(world)
    mallory = await world.connect("mallory")
    until = world.engine.now() + 3600
    await restrict(world, "mona", "timeout", "mallory", until=until, reason="spam")
    told = await mallory.next("notification")
    assert told["payload"]["data"] == {"moderation": "timed_out", "reason": "spam", "until": until}
    assert await said(mallory, "team") == "timed_out"
    assert await said(mallory, "bob", "chat_message") == "timed_out"
    for method, path, given in (
        ("POST", "/api/attachments?name=a.txt", {"data": b"x"}),
        ("POST", "/api/groups", {"json_body": {"name": "Mine"}}),
        (
            "POST",
            "/api/messages",
            {"json_body": {"type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": "bob"}}},
        ),
    ):
        answer = await world.rest(method, path, "mallory", **given)
        assert (answer.status, answer.body["details"]["reason"]) == (403, "timed_out"), path
    assert (await world.rest("GET", "/api/messages/group/team", "mallory")).status == 200
    await world.engine.moderation.lift(await actor(world, "mona"), "timeout", "mallory")
    assert (await mallory.next("notification"))["payload"]["data"]["moderation"] == "timeout_lifted"
    assert await said(mallory, "team") is None


@pytest.mark.world(*PEOPLE)
async def test_a_member_who_is_banned_from_a_group_is_out_and_comes_back_in_no_way(world: World) -> None:
    await team(world)
    await world.engine.groups.change("olga", "team", {"public": True})
    mallory = await world.connect("mallory")
    until = world.engine.now() + 60
    await restrict(world, "adam", "ban", "mallory", until=until, reason="enough", group_id="team")
    told = await mallory.next("group_event")
    assert told["payload"] == {
        "event": "member_removed", "user_id": "mallory", "banned": True, "until": until, "reason": "enough",
    }  # fmt: skip
    assert (await mallory.request("group_message", {"content": "x"}, "team"))["payload"]["code"] == "not_found"
    joined = await world.rest("POST", "/api/groups/team/join", "mallory")
    assert (joined.status, joined.body["details"]["reason"]) == (403, "banned_here")
    added = await world.rest("PUT", "/api/groups/team/members/mallory", "olga")
    assert (added.status, added.body["details"]) == (
        403, {"reason": "banned_here", "where": "group", "until": until, "why": "enough"},
    )  # fmt: skip
    await trio.sleep(60)
    assert (await world.rest("POST", "/api/groups/team/join", "mallory")).status == 200


@pytest.mark.world(*PEOPLE)
async def test_a_stranger_is_kept_out_of_a_group_before_they_come_and_a_lifted_ban_lets_them_in(
    world: World,
) -> None:
    await team(world)
    olga = await world.connect("olga")
    await restrict(world, "olga", "ban", "gina", group_id="team")
    assert (await olga.next("group_event"))["payload"] == {"event": "member_banned", "user_id": "gina"}
    assert (await world.rest("PUT", "/api/groups/team/members/gina", "olga")).status == 403
    await world.engine.moderation.lift(await actor(world, "olga"), "ban", "gina", group_id="team")
    assert (await olga.next("group_event"))["payload"] == {"event": "ban_lifted", "user_id": "gina"}
    assert (await world.rest("PUT", "/api/groups/team/members/gina", "olga")).status == 200


@pytest.mark.world(*PEOPLE)
async def test_who_is_banned_from_the_server_is_sent_away_and_comes_back_whole(world: World) -> None:
    await team(world)
    mallory = await world.connect("mallory")
    until = world.engine.now() + 3600
    await restrict(world, "mona", "ban", "mallory", until=until, reason="spam everywhere")
    closed = await mallory.closed()
    assert (closed.code, closed.reason) == (
        4502, "this account is banned from this server until 2023-11-14 23:13 UTC: spam everywhere",
    )  # fmt: skip
    refused = await world.rest("GET", "/api/users/me", "mallory")
    assert refused.status == 403
    assert refused.body["details"] == {
        "reason": "banned", "where": "server", "until": until, "why": "spam everywhere",
    }  # fmt: skip
    with pytest.raises(RelayError):  # nor does anything speak in their name
        await world.engine.submitter.send_as("mallory", "chat_message", {"content": "x"}, "bob")
    await trio.sleep(3600)
    again = await world.connect("mallory")
    assert await said(again, "team") is None


@pytest.mark.world(*PEOPLE)
async def test_no_device_token_or_password_of_who_is_banned_lets_them_in(world: World) -> None:
    await team(world)
    engine = world.engine
    await engine.administration.set_password(OPERATOR, "mallory", "a good password")
    login = {"user_id": "mallory", "password": "a good password"}

    async def log_in() -> Any:
        return await world.rest("POST", "/api/login", json_body=login)

    world.tokens["login"] = (await log_in()).body["token"]
    world.tokens["program"] = await engine.access.create_token(OPERATOR, "mallory", label="ci", scopes=("notify",))
    devices = [
        await world.hello("mallory", "phone"), await world.hello("login", "laptop"), await world.hello("program", "ci"),
    ]  # fmt: skip
    await restrict(world, "mona", "ban", "mallory", reason="spam")
    assert {(await device.closed()).code for device in devices} == {4502}
    for token in ("mallory", "login", "program"):
        with pytest.raises(Closed) as refused:
            await world.hello(token, "phone")
        assert refused.value.code == 4502
        for path in ("/api/users/me", "/api/conversations", "/api/messages/group/team"):
            answer = await world.rest("GET", path, token)
            assert (answer.status, answer.body["details"]["reason"]) == (403, "banned")
    assert (await log_in()).body["details"]["reason"] == "banned"
    wrong = await world.rest("POST", "/api/login", json_body=login | {"password": "a wrong password"})
    assert "details" not in wrong.body or wrong.body["details"]["reason"] != "banned"  # a stranger learns nothing
    await engine.moderation.lift(OPERATOR, "ban", "mallory")
    for token in ("mallory", "login", "program"):
        await world.hello(token, "phone")
    assert (await log_in()).status == 200


async def test_restrictions_hold_over_a_restart_and_end_while_the_server_is_away(tmp_path: Path) -> None:
    async with open_world(tmp_path, *PEOPLE) as world:
        await team(world)
        now = world.engine.now()
        await restrict(world, None, "ban", "mallory", until=now + 100)
        await restrict(world, None, "ban", "bob", until=now + 1000)
        await restrict(world, "olga", "timeout", "adam", until=now + 1000, group_id="team")
        tokens = world.tokens
    await trio.sleep(500)
    async with open_world(tmp_path) as world:
        world.tokens |= tokens
        assert (await world.rest("GET", "/api/users/me", "mallory")).status == 200
        assert (await world.rest("GET", "/api/users/me", "bob")).status == 403
        assert await said(await world.connect("adam"), "team") == "timed_out"
        await trio.sleep(500)
        assert (await world.rest("GET", "/api/users/me", "bob")).status == 200
        assert await said(await world.connect("adam"), "team") is None


@pytest.mark.world(*PEOPLE)
async def test_a_ban_and_a_disabling_end_each_by_itself(world: World) -> None:
    await team(world)
    await restrict(world, None, "ban", "bob", until=world.engine.now() + 10)
    await world.engine.administration.set_disabled(OPERATOR, "bob", True)
    await trio.sleep(11)
    refused = await world.rest("GET", "/api/users/me", "bob")
    assert (refused.status, refused.body["detail"]) == (403, "account disabled")
    await restrict(world, None, "ban", "bob")
    await world.engine.administration.set_disabled(OPERATOR, "bob", False)
    refused = await world.rest("GET", "/api/users/me", "bob")
    assert refused.body["details"]["reason"] == "banned"
    await world.engine.moderation.lift(OPERATOR, "ban", "bob")
    assert (await world.rest("GET", "/api/users/me", "bob")).status == 200


@pytest.mark.world(*PEOPLE)
async def test_who_is_banned_from_a_group_still_signs_in_and_who_is_banned_from_the_server_does_not(
    world: World,
) -> None:
    await team(world)
    await restrict(world, "adam", "ban", "bob", group_id="team")
    await world.connect("bob")
    await restrict(world, "mona", "ban", "bob")
    with pytest.raises(Closed):
        await world.connect("bob", "another")
    await world.engine.moderation.lift(await actor(world, "mona"), "ban", "bob")
    await world.connect("bob", "another")


@pytest.mark.world(*PEOPLE)
async def test_of_two_bans_each_ends_at_its_own_time(world: World) -> None:
    await team(world)
    for name, seconds in (("gina", 1000.0), ("bob", 10.0)):
        await restrict(world, "olga", "ban", name, until=world.engine.now() + seconds)
    await trio.sleep(11)
    assert set(world.engine.restrictions.bans) == {"gina"}
    await world.connect("bob")


@pytest.mark.world(*PEOPLE)
async def test_a_ban_whose_end_the_disk_did_not_take_ends_when_it_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await team(world)
    await restrict(world, "olga", "ban", "bob", until=world.engine.now() + 10)
    with monkeypatch.context() as broken:

        async def fail(_job: Any) -> None:
            raise StorageFailed("the disk fails")

        broken.setattr(world.engine.runner, "write", fail)
        await trio.sleep(11)
    assert set(world.engine.restrictions.bans) == {"bob"}
    await trio.sleep(60)
    assert world.engine.restrictions.bans == {}


@pytest.mark.world(*PEOPLE)
async def test_nobody_restricts_themself_or_who_is_as_high(world: World) -> None:
    await team(world)
    soon = {"until": world.engine.now() + 60}
    for by, whom, reason in (
        ("bob", "mallory", "server_moderator"), ("gina", "bob", "server_moderator"), ("mona", "mona", "yourself"),
        ("mona", "adam", "outranked"), ("mona", "olga", "outranked"), ("adam", "adam", "yourself"),
        ("adam", "olga", "outranked"), ("olga", "olga", "yourself"), ("mona", "nobody", "not_found"),
    ):  # fmt: skip
        assert await refusal(world, by, "ban", whom) == reason, (by, whom)
        assert await refusal(world, by, "timeout", whom, **soon) == reason, (by, whom)
    for by, whom in (("mona", "bob"), ("mona", "gina"), ("adam", "mona"), ("olga", "adam"), (None, "olga")):
        await restrict(world, by, "timeout", whom, **soon)
    for by, whom, reason in (
        ("bob", "mallory", "group_role"), ("adam", "olga", "outranked"), ("adam", "adam", "yourself"),
        ("mona", "bob", "not_found"), (None, "olga", "owner_stays"),
    ):  # fmt: skip
        for kind, more in (("ban", {}), ("timeout", soon)):
            assert await refusal(world, by, kind, whom, group_id="team", **more) == reason, (by, whom)
    assert await refusal(world, "adam", "ban", "nobody", group_id="team") == "not_found"
    await world.engine.groups.put_member("olga", "team", "bob", Role.ADMIN)
    assert await refusal(world, "adam", "ban", "bob", group_id="team") == "outranked"


@pytest.mark.world(*PEOPLE)
async def test_a_timeout_needs_an_end_that_is_to_come_and_not_too_far(world: World) -> None:
    await team(world)
    now = world.engine.now()
    for until in (None, now, now - 1, now + 367 * 86_400):
        assert await refusal(world, None, "timeout", "bob", until=until) == ErrorCode.INVALID_PAYLOAD
    assert await refusal(world, None, "ban", "bob", until=now) == ErrorCode.INVALID_PAYLOAD


@pytest.mark.world(*PEOPLE)
async def test_what_is_in_force_is_listed_to_who_manages_it(world: World) -> None:
    await team(world)
    until = world.engine.now() + 60
    await restrict(world, "adam", "timeout", "bob", until=until, reason="calm", group_id="team")
    await restrict(world, "mona", "ban", "mallory")
    listed = await world.rest("GET", "/api/groups/team/restrictions", "adam")
    assert listed.body["restrictions"] == [
        {"kind": "timeout", "user_id": "bob", "by": "adam", "reason": "calm", "made_at": EPOCH, "until": until}
    ]
    assert (await world.rest("GET", "/api/groups/team/restrictions", "bob")).status == 403
    assert (await world.rest("GET", "/api/groups/team/restrictions", "mona")).status == 404
    on_server = await world.rest("GET", "/api/admin/restrictions", "mona")
    assert [(one["kind"], one["user_id"], one["until"]) for one in on_server.body["restrictions"]] == [
        ("ban", "mallory", None)
    ]
    assert (await world.rest("GET", "/api/admin/restrictions", "bob")).status == 403


@pytest.mark.world(*PEOPLE)
async def test_by_rest_and_with_seconds(world: World) -> None:
    await team(world)
    made = await world.rest(
        "PUT", "/api/groups/team/restrictions/timeout/bob", "adam", json_body={"seconds": 30, "reason": " calm "}
    )
    assert (made.status, made.body["until"], made.body["reason"]) == (200, EPOCH + 30, "calm")
    both = await world.rest(
        "PUT", "/api/admin/restrictions/ban/bob", "mona", json_body={"seconds": 30, "until": EPOCH + 40}
    )
    assert (both.status, both.body["code"]) == (400, "invalid_payload")
    assert (
        await world.rest("PUT", "/api/admin/restrictions/ban/bob", "mona", json_body={"seconds": 30})
    ).status == 200
    assert (await world.rest("DELETE", "/api/admin/restrictions/ban/bob", "mona")).status == 204
    assert (await world.rest("DELETE", "/api/admin/restrictions/ban/bob", "mona")).status == 404
    assert (await world.rest("DELETE", "/api/groups/team/restrictions/timeout/bob", "adam")).status == 204
    assert (await world.rest("DELETE", "/api/groups/team/restrictions/timeout/bob", "adam")).status == 404
    assert (await world.rest("PUT", "/api/groups/team/restrictions/kick/bob", "adam")).status == 404
