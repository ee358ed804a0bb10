"""The interfaces by subject, as a plugin's views and tasks use them."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.plugin import ConversationKind, RelayError, Role, group_address, user_address
from relay.testing import World


@pytest.fixture
async def server(world: World) -> Any:
    """Return the server as a plugin sees it, in a world with alice, bob, and the group `team` of alice's."""
    await world.user("carol")
    await world.engine.groups.create("alice", "Team", [], "team")
    return world.engine.server_of("search")


async def test_a_user_is_found_by_id_and_by_what_somebody_typed(server: Any) -> None:
    assert (await server.users.get("bob")).display_name == "bob"
    assert await server.users.get("Bob") is None
    assert (await server.users.find("BOB")).user_id == "bob"
    assert await server.users.find("nobody") is None


async def test_a_disabled_user_is_told_apart_and_their_connections_end(server: Any, world: World) -> None:
    bob = await world.connect("bob")
    await server.users.set_disabled("bob", True)
    assert (await bob.closed()).code == 4502
    assert (await server.users.get("bob")).disabled is True
    await server.users.set_disabled("bob", False)
    assert (await world.connect("bob")).ready["user_id"] == "bob"


async def test_tokens_are_revoked_and_looked_up_again(server: Any, world: World) -> None:
    assert (await world.rest("GET", "/api/users/me", "bob")).body["admin"] is False
    await server.write(
        lambda connection: connection.execute("UPDATE users SET role = 'admin' WHERE user_id = 'bob'")
    )
    server.users.forget_tokens()
    assert (await world.rest("GET", "/api/users/me", "bob")).body["admin"] is True
    (token,) = await server.read(
        lambda connection: connection.execute("SELECT token_id FROM tokens WHERE user_id = 'bob'").fetchone()
    )
    await server.users.revoke_token(token)
    assert (await world.rest("GET", "/api/users/me", "bob")).status == 401
    with pytest.raises(RelayError, match="token"):
        await server.users.revoke_token(token)


async def test_who_is_in_a_group_is_told_with_the_role(server: Any) -> None:
    assert await server.groups.role("team", "alice") is Role.OWNER
    assert await server.groups.role("team", "bob") is None
    assert await server.groups.role("no-such-group", "alice") is None
    await server.groups.put_member("alice", "team", "bob")
    assert (await server.groups.require_role("team", "bob")).name == "Team"
    with pytest.raises(RelayError, match="only the group's owner and admins may"):
        await server.groups.require_role("team", "bob", Role.ADMIN)
    with pytest.raises(RelayError) as refused:
        await server.groups.require_role("team", "carol")
    with pytest.raises(RelayError) as absent:
        await server.groups.require_role("nothing", "carol")
    assert (refused.value.code, absent.value.code) == ("not_found", "not_found")


async def test_a_change_of_a_group_is_told_to_its_members(server: Any, world: World) -> None:
    alice = await world.connect("alice")
    made = await server.groups.create("alice", "Lunch", ["carol"], "lunch")
    await server.groups.put_member("alice", "lunch", "bob", Role.ADMIN)
    await server.groups.remove_member("carol", "lunch", "carol")
    assert made.members == {"alice": Role.OWNER, "bob": Role.ADMIN}
    assert await server.groups.get("lunch") is made
    told = [(await alice.next("group_event"))["payload"]["event"] for _ in range(3)]
    assert told == ["created", "member_added", "member_removed"]
    with pytest.raises(RelayError, match="only the group's owner may"):
        await server.groups.put_member("bob", "lunch", "carol", Role.OWNER)


async def test_every_way_to_a_conversation_leads_to_the_same_object(server: Any) -> None:
    find = server.conversations
    team = await find.find("alice", "team")
    entry = await server.send("alice", "group_message", {"content": "hi"}, "team")
    assert await find.at(group_address("team")) is team
    assert await find.by_id(entry.channel_id) is team
    assert await find.of_message("alice", entry.message_id) is team
    between = await find.find("alice", "bob")
    assert await find.find("bob", "alice") is between is await find.at(user_address("bob", "alice"))
    own = await find.own("bob")
    assert (own.kind, await find.at("self:bob")) == (ConversationKind.SELF, own)
    assert find.own_devices("bob").channel_id == 0
    assert (await find.at("*")).kind is ConversationKind.BROADCAST
    with pytest.raises(RelayError, match="team"):
        await find.find("bob", "team")


async def test_what_is_no_conversation_is_none_and_what_is_no_address_says_the_right_method(server: Any) -> None:
    find = server.conversations
    assert [await find.at("group:none"), await find.by_id(0), await find.by_id(10**6)] == [None] * 3
    team = await find.find("alice", "team")
    with pytest.raises(ValueError, match="a channel_id is for `by_id`"):
        await find.at(team.channel_id)
    with pytest.raises(ValueError, match="what a user names is for `find`"):
        await find.at("team")
    with pytest.raises(TypeError, match="an address is for `at`"):
        await find.by_id(team.address)


async def test_a_deleted_group_is_no_conversation_any_more(server: Any, world: World) -> None:
    entry = await server.send("alice", "group_message", {"content": "hi"}, "team")
    await world.engine.groups.delete("alice", "team")
    assert await server.groups.get("team") is None
    assert await server.conversations.by_id(entry.channel_id) is None
    with pytest.raises(RelayError, match="message"):
        await server.conversations.of_message("alice", entry.message_id)


async def test_a_message_is_found_by_who_may_see_it_alone(server: Any, world: World) -> None:
    early = await server.send("alice", "group_message", {"content": "early"}, "team")
    await server.groups.put_member("alice", "team", "bob")
    late = await server.send("alice", "group_message", {"content": "late"}, "team")
    assert (await server.messages.get("bob", late.message_id)).payload == '{"content":"late"}'
    for user_id, message_id in (("bob", early.message_id), ("carol", late.message_id), ("alice", 10**9)):
        with pytest.raises(RelayError) as refused:
            await server.messages.get(user_id, message_id)
        assert refused.value.code == "not_found"
    await server.erase([late.message_id])
    erased = await server.messages.get("bob", late.message_id)
    assert (erased.payload, erased.deleted_at is None) == (None, False)


async def test_connected_devices_are_told_and_whether_they_are_active(server: Any, world: World) -> None:
    assert (server.devices.of("bob"), server.devices.users()) == ([], [])
    phone, _laptop = await world.connect("bob", "phone"), await world.connect("bob", "laptop")
    await phone.event("inactive")
    await phone.drain()
    assert {(one.client_id, one.active) for one in server.devices.of("bob")} == {
        ("phone", False),
        ("laptop", True),
    }
    assert server.devices.users() == ["bob"]


async def test_a_status_is_told_as_another_user_may_see_it(server: Any, world: World) -> None:
    bob = await world.connect("bob")
    await bob.request("status_update", {"status": "busy", "text": "in a meeting"}, None)
    await trio.sleep(1)
    assert (await server.presence.status("bob", seen_by="alice")).text == "in a meeting"
    await world.rest("PATCH", "/api/users/me", "bob", json_body={"presence_to": "nobody"})
    await trio.sleep(1)
    assert (await server.presence.status("bob", seen_by="alice")).status == "unknown"
    assert (await server.presence.status("bob")).status == "busy"
    with pytest.raises(RelayError, match="nobody"):
        await server.presence.status("nobody")
    statuses, unknown = await server.presence.follow("alice", ["carol", "nobody"], follow=True)
    assert ([one.user_id for one in statuses], unknown) == (["carol"], ["nobody"])


@pytest.mark.world("alice", "bob", RELAY_LIMITS__REACTIONS_PER_MESSAGE="7", RELAY_SERVER__PORT="8123")
async def test_the_operators_settings_and_the_log_are_there(server: Any, world: World) -> None:
    assert (server.settings.limits.reactions_per_message, server.settings.server.port) == (7, 8123)
    assert server.epoch == world.engine.epoch
    entry = await server.send("alice", "chat_message", {"content": "hi"}, "bob")
    assert server.position == entry.message_id
