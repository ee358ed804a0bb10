"""Who may send what to a group: every message type, for everybody who could try."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest
import trio

from relay.protocol.kinds import Role, ServerRole
from relay.storage import accounts
from relay.testing import Closed, Device, World
from tests.actors import OPERATOR

SECRET: Final = "what only members may know"
NAMES: Final = (
    "owner",
    "admin",
    "member",
    "other",
    "ex",
    "stranger",
    "moderator",
    "chief",
    "disabled",
    "notifier",
    "guest",
    "far_guest",
)
BOTS: Final = ("robot", "far_robot")
ALSO: Final = {"RELAY_PLUGINS__ALSO": '["polls", "tasks", "remind", "bots", "notifications"]'}
PATIENT: Final = ALSO | {"RELAY_LIMITS__BAD_FRAMES": "0"}
"""A server that is sent something wrong of every type, and ends no connection for that."""

MANAGERS: Final = ("owner", "admin")
MEMBERS: Final = ("owner", "admin", "member", "guest", "robot")
ROLES: Final = {
    "moderator": ServerRole.MODERATOR,
    "chief": ServerRole.OWNER,
    "guest": ServerRole.GUEST,
    "far_guest": ServerRole.GUEST,
}
OUTSIDERS: Final = ("ex", "stranger", "moderator", "chief", "notifier", "far_guest", "far_robot")
"""A server's moderator and its owner (`chief`) are nobody in a group that they are not in; nor is a token's scope."""

SERVER_ONLY: Final = {
    "group_event", "audit_event", "report", "report_state", "pin_event", "action_state", "action_answer", "ack", "error",
    "reminder", "poll_result", "slash_notice",
}  # fmt: skip
UNTARGETED: Final = {
    "status_update", "follow", "search", "action", "action_close", "connection_event", "bot_commands", "slash_response",
    "notification_settings",
}  # fmt: skip


def payloads(message_id: int) -> dict[str, dict[str, Any]]:
    """Return a payload for each type that a client sends with a target, about a message of the group, or what came after it."""
    about = {"message_id": message_id}
    return {
        "chat_message": {"content": "hello"},
        "group_message": {"content": "hello"},
        "notification": {"title": "news", "content": "hello"},
        "message_edit": {**about, "content": "changed"},
        "message_delete": about,
        "reaction": {**about, "emoji": "👍", "on": True},
        "read_receipt": {"up_to_seq": 1},
        "thread_read": {"thread": message_id, "up_to_seq": 1},
        "thread_follow": {"thread": message_id, "on": True},
        "pin": {**about, "on": True},
        "typing_indicator": {"typing": True},
        "message_stream": {"stream_id": "s", "offset": 0, "text": "hello"},
        "conversation_mark": {"mark": "pinned", "on": True},
        "saved_message": {**about, "on": True},
        "poll": {"question": "which?", "options": ["a", "b"]},
        "poll_vote": {"poll": message_id + 1, "choices": [0]},
        "poll_close": {"poll": message_id + 1},
        "task": {"title": "tea"},
        "task_done": {"task": message_id + 2, "done": True},
        "remind": {"text": "tea", "when": "in 10m"},
        "slash_command": {"command": "remind", "text": "in 10m tea"},
    }


@pytest.fixture
async def message_id(world: World) -> int:
    """Make the group, with a secret message, a poll and a task in it, all of `other`."""
    engine = world.engine
    await engine.runner.write(partial(accounts.update_user, user_id="chief", role=ServerRole.OWNER))
    engine.accounts.forget()
    for bot in BOTS:
        answer = await world.rest("POST", "/api/admin/bots", "chief", json_body={"user_id": bot})
        world.tokens[bot] = answer.body["token"]
    await engine.groups.create("owner", "Team", ["admin", "member", "other", "ex", "guest", "robot"], "team")
    await engine.groups.put_member("owner", "team", "admin", Role.ADMIN)
    for name, role in ROLES.items():
        await engine.runner.write(partial(accounts.update_user, user_id=name, role=role))
    engine.accounts.forget()
    make = partial(accounts.create_token, user_id="notifier", now=0.0, origin="cli", scopes=("notify",))
    world.tokens["notifier"] = await engine.runner.write(make)
    other = await world.connect("other")
    answer = await other.request("group_message", {"content": SECRET}, "team")
    for number, type_ in enumerate(("poll", "task"), start=1):
        asked = {"poll": {"question": SECRET, "options": ["a", "b"]}, "task": {"title": SECRET}}
        made = await other.request(type_, asked[type_], "team")
        assert made["payload"]["message_id"] == answer["payload"]["message_id"] + number
    await engine.groups.remove_member("owner", "team", "ex")
    await other.cut()
    number: int = answer["payload"]["message_id"]
    return number


def comparable(answer: dict[str, Any], target: str) -> dict[str, Any]:
    """Return an answer without what names the one target."""
    return {"type": answer["type"], "payload": str(answer["payload"]).replace(target, "?")}


@pytest.mark.world(*NAMES, **ALSO)
async def test_the_table_has_every_type(world: World, message_id: int) -> None:
    known = payloads(message_id).keys() | SERVER_ONLY | UNTARGETED
    assert world.engine.registry.types.keys() <= known


@pytest.mark.parametrize("who", OUTSIDERS)
@pytest.mark.world(*NAMES, **ALSO)
async def test_to_an_outsider_a_group_is_as_one_that_is_not_there(world: World, message_id: int, who: str) -> None:
    member, outsider = await world.connect("member"), await world.connect(who)
    await member.drain()
    for type_, payload in payloads(message_id).items():
        if type_ not in world.engine.registry.types:
            continue
        real = await outsider.request(type_, payload, "team")
        none = await outsider.request(type_, payload, "maet")
        assert real["type"] == "error", (type_, real)
        assert comparable(real, "team") == comparable(none, "maet"), type_
        assert SECRET not in str(real)
    assert await member.drain() == [], "something of an outsider's came to a member"
    rows = await world.history("member", "group", "team")
    assert [row["payload"]["content"] for row in rows if row["type"] == "group_message"] == [SECRET]


@pytest.mark.parametrize("who", OUTSIDERS)
@pytest.mark.world(*NAMES, **ALSO)
async def test_no_type_without_a_target_tells_an_outsider(world: World, message_id: int, who: str) -> None:
    outsider, member = await world.connect(who), await world.connect("member")
    await member.request("group_message", {"content": f"{SECRET}, after ex had left"}, "team")
    told = [
        await outsider.request("search", {"q": "after"}),
        await outsider.request("action", {"message_id": message_id, "action": "yes"}),
        await outsider.request("action_close", {"message_id": message_id}),
        await outsider.request("slash_response", {"invocation": message_id, "content": "done"}),
        await outsider.request("status_update", {"status": "away"}),
        await outsider.request("follow", {"user_ids": ["member"]}),
    ]
    assert SECRET not in str(told)
    assert [answer["type"] for answer in told[1:4]] == ["error", "error", "error"]
    commands = [{"name": "roll", "description": "Roll dice"}]
    answer = await outsider.request("bot_commands", {"commands": commands})
    assert answer["type"] == ("ack" if who in BOTS else "error")


@pytest.mark.parametrize("who", [*MEMBERS, *OUTSIDERS])
@pytest.mark.world(*NAMES, **ALSO)
async def test_nobody_sends_what_only_the_server_says(world: World, message_id: int, who: str) -> None:
    device = await world.connect(who)
    for type_ in SERVER_ONLY:
        answer = await device.request(type_, {"message_id": message_id, "event": "renamed"}, "team")
        assert answer["type"] == "error", (type_, answer)


@pytest.mark.parametrize("who", MEMBERS)
@pytest.mark.world(*NAMES, **ALSO)
async def test_a_member_may_what_the_table_of_rights_says(world: World, message_id: int, who: str) -> None:
    device = await world.connect(who)
    may = {
        type_: (await device.request(type_, payload, "team"))["type"] == "ack"
        for type_, payload in payloads(message_id).items()
        if type_ not in ("message_delete", "message_stream", "poll_close")
    }
    refused = {type_ for type_, allowed in may.items() if not allowed}
    # A text to a user has no group, news are an admin's of the server, only the author edits, and there is no thread yet.
    assert refused == {"chat_message", "notification", "message_edit", "thread_read"} | (
        (set() if who in MANAGERS else {"pin"}) | ({"slash_command"} if who in BOTS else set())
    )
    for type_ in ("poll_close", "message_delete"):
        answer = await device.request(type_, payloads(message_id)[type_], "team")
        assert (answer["type"] == "ack") is (who in MANAGERS), type_


@pytest.mark.world(*NAMES, **PATIENT)
async def test_before_a_hello_and_after_the_account_is_disabled_nothing_is_taken(
    world: World, message_id: int
) -> None:
    nobody: Device = await world.upgrade()
    gone = await world.connect("disabled")
    for type_, payload in payloads(message_id).items():
        answer = await nobody.request(type_, payload, "team")
        assert answer["type"] == "error", (type_, answer)
    await world.engine.administration.set_disabled(OPERATOR, "disabled", True)
    assert (await gone.closed()).code == 4502
    with pytest.raises(Closed) as refused:
        await world.connect("disabled")
    assert refused.value.code == 4502


@pytest.mark.world(*NAMES, **PATIENT)
async def test_a_device_that_was_removed_and_one_of_another_id_send_nothing(world: World, message_id: int) -> None:
    phone, laptop = await world.connect("member", "phone"), await world.connect("member", "laptop")
    for type_, payload in payloads(message_id).items():
        meta = {"id": f"as-{type_}", "target_id": "team", "client_id": "phone"}
        await laptop.send({"type": type_, "payload": payload, "meta": meta})
        refused = await laptop.next("error")
        assert refused["payload"]["code"] == "bad_envelope", type_
        await trio.sleep(1)
    answer = await world.rest("DELETE", "/api/devices/phone", "member")
    assert answer.status == 204
    assert (await phone.closed()).code == 4503
