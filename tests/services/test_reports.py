"""Reports: what moderators see of a message that somebody reported, and what becomes of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from relay.protocol.errors import RelayError
from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import EPOCH, World
from tests.services.test_restrictions import OPERATOR, PEOPLE, actor, team


async def say(world: World, user: str, target: str, text: str, type: str = "group_message") -> int:
    entry = await world.engine.submitter.send_as(user, type, {"content": text}, target)
    assert entry.message_id is not None
    return entry.message_id


async def report(world: World, user: str, message_id: int, **more: Any) -> Any:
    body = {"reason": "abuse", **more}
    return await world.rest("POST", f"/api/messages/{message_id}/report", user, json_body=body)


@pytest.mark.world(*PEOPLE)
async def test_a_report_is_a_message_in_the_moderators_conversation_with_what_was_said(world: World) -> None:
    await team(world)
    message_id = await say(world, "mallory", "team", "something nasty")
    mona = await world.connect("mona")
    filed = await report(world, "bob", message_id, text="look at this")
    assert filed.status == 201
    told = await mona.next("report")
    assert told["meta"]["sender_id"] == "bob"
    assert told["payload"] == {
        "message": {
            "message_id": message_id, "type": "group_message", "sender_id": "mallory", "target_id": "team",
            "kind": "group", "timestamp": EPOCH, "payload": {"content": "something nasty"}, "name": "Team",
        },
        "reason": "abuse",
        "text": "look at this",
    }  # fmt: skip
    assert filed.body == {"report_id": told["meta"]["message_id"], "reports": 1}
    group = await world.rest("GET", f"/api/groups/{told['meta']['target_id']}", "mona")
    assert [(one["user_id"], one["role"]) for one in group.body["members"]] == [
        ("olga", "owner"), ("adam", "member"), ("mona", "member"),
    ]  # fmt: skip
    # Nothing else of the group is hers to see, and nobody else sees the report.
    assert (await world.rest("GET", "/api/messages/group/team", "mona")).status == 404
    assert (await world.rest("GET", "/api/admin/reports", "bob")).status == 403


@pytest.mark.world(*PEOPLE)
async def test_each_user_reports_a_message_once_and_further_reports_count(world: World) -> None:
    await team(world)
    message_id = await say(world, "mallory", "team", "nasty")
    first = await report(world, "bob", message_id)
    mona = await world.connect("mona")
    again = await report(world, "bob", message_id)
    assert (again.status, again.body["details"]["reason"]) == (409, "already_reported")
    second = await report(world, "adam", message_id, reason="spam")
    assert second.body == {"report_id": first.body["report_id"], "reports": 2}
    state = await mona.next("report_state")
    assert state["payload"] == {"report_id": first.body["report_id"], "state": "open", "reports": 2}
    (listed,) = (await world.rest("GET", "/api/admin/reports?state=open", "mona")).body["reports"]
    assert [(one["user_id"], one["reason"]) for one in listed["reporters"]] == [("bob", "abuse"), ("adam", "spam")]


@pytest.mark.world(*PEOPLE)
async def test_what_may_be_reported(world: World) -> None:
    await team(world)
    theirs = await say(world, "mallory", "bob", "for bob alone", "chat_message")
    event = (await world.history("bob", "group", "team"))[0]["meta"]["message_id"]
    for user, message_id, status in (
        ("mona", theirs, 404), ("mallory", theirs, 403), ("bob", event, 400), ("bob", 99_999, 404), ("bob", theirs, 201),
    ):  # fmt: skip
        assert (await report(world, user, message_id)).status == status, (user, message_id)
    assert (await report(world, "bob", theirs, reason="boredom")).status == 400
    gone = await say(world, "mallory", "bob", "gone", "chat_message")
    await world.engine.submitter.send_as("mallory", "message_delete", {"message_id": gone}, "bob")
    assert (await report(world, "bob", gone)).status == 404


@pytest.mark.world("alice", "bob")
async def test_on_a_server_without_moderators_a_report_is_refused(world: World) -> None:
    message_id = await say(world, "alice", "bob", "nasty", "chat_message")
    refused = await report(world, "bob", message_id)
    assert (refused.status, refused.body["details"]["reason"]) == (403, "no_moderators")


@pytest.mark.world(*PEOPLE)
async def test_the_reported_message_is_removed_its_author_told_and_the_report_keeps_it(world: World) -> None:
    await team(world)
    theirs = await say(world, "mallory", "bob", "for bob alone", "chat_message")
    report_id = (await report(world, "bob", theirs, tell=True)).body["report_id"]
    bob, mallory, mona = await world.connect("bob"), await world.connect("mallory"), await world.connect("mona")
    removed = await world.rest(
        "POST", f"/api/admin/reports/{report_id}/remove", "mona", json_body={"reason": "be kind"}
    )
    assert removed.status == 204
    deletion = await bob.next("message_delete")
    assert deletion["payload"] == {"message_id": theirs, "removed": True}
    assert (deletion["meta"]["sender_id"], deletion["meta"]["target_id"]) == ("mallory", "bob")
    told = (await mallory.next("notification"))["payload"]
    assert (told["body"], told["data"]) == (
        "be kind", {"moderation": "message_removed", "reason": "be kind", "message_id": theirs, "target_id": "bob"},
    )  # fmt: skip
    assert (await mona.next("report_state"))["payload"]["removed"] is True
    (tombstone, _deletion) = await world.history("bob", "user", "mallory")
    assert (tombstone["payload"], tombstone["meta"]["removed"]) == ({}, True)
    (listed,) = (await world.rest("GET", "/api/admin/reports", "mona")).body["reports"]
    assert (listed["message"]["payload"], listed["removed"]) == ({"content": "for bob alone"}, True)
    again = await world.rest("POST", f"/api/admin/reports/{report_id}/remove", "mona")
    assert again.status == 404
    closed = await world.rest(
        "POST", f"/api/admin/reports/{report_id}", "mona", json_body={"state": "resolved", "note": "timed out"}
    )
    assert closed.status == 204
    outcome = (await bob.next("notification"))["payload"]["data"]
    assert outcome == {"moderation": "report_resolved", "reason": "", "message_id": theirs}
    assert (await mona.next("report_state"))["payload"] == {
        "report_id": report_id, "state": "resolved", "reports": 1, "by": "mona", "note": "timed out", "removed": True,
    }  # fmt: skip
    twice = await world.rest("POST", f"/api/admin/reports/{report_id}", "mona", json_body={"state": "resolved"})
    assert twice.status == 409


@pytest.mark.world(*PEOPLE)
async def test_an_admin_of_a_group_removes_with_a_reason(world: World) -> None:
    await team(world)
    message_id = await say(world, "mallory", "team", "nasty")
    mallory = await world.connect("mallory")
    for user, status in (("bob", 403), ("mona", 404), ("adam", 204)):
        answer = await world.rest("POST", f"/api/messages/{message_id}/remove", user, json_body={"reason": "no"})
        assert answer.status == status, user
    told = (
        await mallory.next("message_delete", "notification"),
        await mallory.next("message_delete", "notification"),
    )
    assert {frame["type"] for frame in told} == {"message_delete", "notification"}
    assert told[0]["meta"]["sender_id"] == "adam"
    kept = await say(world, "bob", "team", "mine")
    await world.engine.submitter.send_as("adam", "message_delete", {"message_id": kept}, "team")
    own = await say(world, "bob", "team", "mine too")
    await world.engine.submitter.send_as("bob", "message_delete", {"message_id": own}, "team")
    found = {
        one["meta"]["message_id"]: one["meta"].get("removed")
        for one in await world.history("bob", "group", "team")
    }
    assert (found[message_id], found[kept], found[own]) == (True, True, None)


@pytest.mark.world(*PEOPLE)
async def test_a_removal_with_a_reason_is_decided_as_a_deletion_is(world: World) -> None:
    await team(world)

    async def refused(user: str, message_id: int) -> list[Any]:
        """Return why either way is refused."""
        path, body = f"/api/messages/{message_id}/remove", {"reason": "no"}
        removal = await world.rest("POST", path, user, json_body=body)
        delete = {"type": "message_delete", "payload": {"message_id": message_id}, "meta": {"target_id": "team"}}
        deletion = await world.rest("POST", "/api/messages", user, json_body=delete)
        return [
            (answer.status, answer.body["code"], (answer.body.get("details") or {}).get("reason"))
            for answer in (removal, deletion)
        ]

    message_id = await say(world, "mallory", "team", "nasty")
    assert await refused("bob", message_id) == [(403, "forbidden", "not_yours")] * 2
    (event, *_rest) = await world.history("olga", "group", "team")
    assert event["type"] == "group_event"
    answers = await refused("olga", event["meta"]["message_id"])
    assert answers == [(400, "invalid_payload", None)] * 2  # what happened to the group stays
    until = world.engine.now() + 100
    await world.engine.moderation.restrict(OPERATOR, "timeout", "adam", until=until, group_id="team")
    assert await refused("adam", message_id) == [(403, "forbidden", "timed_out")] * 2
    rights = {"delete_others": "owner"}
    assert (await world.rest("PATCH", "/api/groups/team", "olga", json_body={"rights": rights})).status == 200
    await world.engine.moderation.lift(OPERATOR, "timeout", "adam", group_id="team")
    assert await refused("adam", message_id) == [(403, "forbidden", "not_yours")] * 2


@pytest.mark.world(*PEOPLE)
async def test_the_moderators_conversation_follows_the_roles_and_nobody_else_changes_it(world: World) -> None:
    await team(world)
    await world.engine.moderators.conversation()
    group = "moderators"
    for call in (
        world.engine.groups.rename("olga", group, "Other"),
        world.engine.groups.remove_member("olga", group, "mona"),
        world.engine.groups.remove_member("mona", group, "mona"),
        world.engine.groups.delete("olga", group),
    ):
        with pytest.raises(RelayError) as refused:
            await call
        assert refused.value.details == {"reason": "kept_group"}

    async def roles(**given: ServerRole) -> list[tuple[str, str]]:
        for name, role in given.items():
            await world.engine.runner.write(partial(accounts.update_user, user_id=name, role=role))
        await world.engine.moderators.keep_members()
        held = (await world.engine.moderators.conversation()).members
        return sorted((user, str(role)) for user, role in held.items())

    assert await roles(bob=ServerRole.MODERATOR, mona=ServerRole.MEMBER) == [
        ("adam", "member"), ("bob", "member"), ("olga", "owner"),
    ]  # fmt: skip
    assert await roles(olga=ServerRole.MEMBER, adam=ServerRole.OWNER) == [("adam", "owner"), ("bob", "member")]
    await world.engine.leaving.erase("adam")
    assert await roles() == [("bob", "owner")]


@pytest.mark.world("olga", "bob")
async def test_a_group_that_has_the_name_already_is_left_alone(world: World) -> None:
    await world.engine.groups.create("bob", "Ours", [], "moderators")
    await world.engine.runner.write(partial(accounts.update_user, user_id="olga", role=ServerRole.OWNER))
    assert (await world.engine.moderators.conversation()).address == "group:server_moderators"
    await world.engine.groups.rename("bob", "moderators", "Still ours")


@pytest.mark.world(*PEOPLE)
async def test_a_report_goes_with_the_account_of_whom_it_repeats(world: World) -> None:
    await team(world)
    message_id = await say(world, "mallory", "team", "nasty")
    await report(world, "bob", message_id)
    await world.engine.leaving.erase("mallory")
    (listed,) = (await world.rest("GET", "/api/admin/reports", "mona")).body["reports"]
    assert (listed["message"], listed["removed"]) == (None, True)


@pytest.mark.world(*PEOPLE)
async def test_a_search_finds_a_report_by_its_words(world: World) -> None:
    await team(world)
    message_id = await say(world, "mallory", "team", "an unmistakable zebra")
    await report(world, "bob", message_id)
    for user, types in (("mona", {"report"}), ("bob", {"group_message"})):
        found = await world.rest("GET", "/api/search?q=zebra", user)
        assert {one["message"]["type"] for one in found.body["results"]} == types, user


@pytest.mark.world(*PEOPLE)
async def test_reports_are_paged_the_newest_first(world: World) -> None:
    await team(world)
    ids = [await say(world, "mallory", "team", f"nasty {number}") for number in range(3)]
    for message_id in ids:
        await report(world, "bob", message_id)
    first = (await world.rest("GET", "/api/admin/reports?limit=2", "mona")).body
    assert [one["message_id"] for one in first["reports"]] == ids[:0:-1]
    rest = (await world.rest("GET", f"/api/admin/reports?limit=2&cursor={first['next_cursor']}", "mona")).body
    assert ([one["message_id"] for one in rest["reports"]], rest["has_more"]) == (ids[:1], False)
    await world.engine.reports.close(OPERATOR, first["reports"][0]["report_id"], "dismissed")
    left = (await world.rest("GET", "/api/admin/reports?state=open", "mona")).body["reports"]
    assert len(left) == 2
    await world.engine.reports.close(await actor(world, "mona"), first["reports"][0]["report_id"], "open")
