"""What was said, as envelopes, to whom may see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind
from relay.services.history import Place, envelope
from relay.storage.history import Record
from relay.testing import World
from relay.testing import world as open_world
from tests.services.recorder import submission

RECORD = Record(
    7, 3, "chat_message", "alice", "bob", "phone", "m1", '{"content":"hi"}', 10.0, 9.0, None, None, None, None
)


async def say(server: World, sender: str, target: str, count: int = 1) -> None:
    for _ in range(count):
        await server.engine.router.send(await submission(server.engine, sender, target))


def as_sent(record: Record, **options: Any) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(envelope(record, **options)))
    return sent


def test_a_stored_message_is_the_envelope_it_was() -> None:
    assert as_sent(RECORD) == {
        "type": "chat_message",
        "payload": {"content": "hi"},
        "meta": {
            "message_id": 7, "seq": 3, "id": "m1", "sender_id": "alice", "target_id": "bob", "client_id": "phone",
            "timestamp": 10.0, "sent_at": 9.0,
        },
    }  # fmt: skip
    assert as_sent(RECORD, replay=True)["meta"]["replay"] is True


def test_a_deleted_message_keeps_its_place_without_its_payload() -> None:
    sent = as_sent(RECORD._replace(deleted_at=12.0))
    assert (sent["payload"], sent["meta"]["deleted_at"], sent["meta"]["seq"]) == ({}, 12.0, 3)


def test_an_edited_message_says_when() -> None:
    assert as_sent(RECORD._replace(edited_at=11.0))["meta"]["edited_at"] == 11.0


async def test_a_page_says_where_to_go_on(world: World) -> None:
    await say(world, "alice", "bob", 5)
    page = await world.engine.history.page("bob", ConversationKind.USER, "alice", 2)
    assert (page["next_before"], page["next_after"], page["has_more"]) == (4, 5, True)
    older = await world.engine.history.page("bob", ConversationKind.USER, "alice", 5, before=4)
    assert [message.meta.seq for message in older["messages"]] == [1, 2, 3]
    assert older["has_more"] is False


@pytest.mark.world("alice", "bob", "eve")
async def test_a_conversation_that_never_was_is_empty_and_a_user_that_never_was_is_not_found(world: World) -> None:
    await world.engine.groups.create("alice", "Team", [], "team")
    history = world.engine.history
    empty = await history.page("alice", ConversationKind.USER, "bob", 10)
    assert empty == {"messages": [], "latest": [], "has_more": False, "next_before": None, "next_after": None}
    for kind, target in (("user", "nobody"), ("user", "team"), ("group", "team"), ("group", "bob")):
        with pytest.raises(RelayError) as refused:
            await history.page("eve", ConversationKind(kind), target, 10)
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_conversations_tell_what_is_unread(world: World) -> None:
    await say(world, "alice", "bob", 3)
    seen = {}
    for name in ("alice", "bob"):
        (row,) = (await world.engine.history.conversations(name))["conversations"]
        seen[name] = (row["target_id"], row["last_seq"], row["read_seq"], row["unread"])
    assert seen == {"alice": ("bob", 3, 3, 0), "bob": ("alice", 3, 0, 3)}
    conversation = await world.engine.channels.find("bob", "alice")
    assert await world.engine.history.unread("bob", conversation.channel_id) == (0, 3)


@pytest.mark.world("alice", "bob", "eve")
async def test_messages_are_located_for_who_may_see_all_of_them(world: World) -> None:
    await say(world, "alice", "bob", 3)
    await say(world, "eve", "alice")
    locate = world.engine.history.locate
    assert await locate("alice", [1, 3, 2, 4, 4]) == {
        Place(ConversationKind.USER, "bob"): 3,
        Place(ConversationKind.USER, "eve"): 1,
    }
    for user_id, ids in (("bob", [1, 4]), ("eve", [1]), ("alice", [1, 99])):
        with pytest.raises(RelayError) as refused:
            await locate(user_id, ids)
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_what_was_said_before_one_joined_is_not_unread_and_not_located(tmp_path: Path) -> None:
    from relay.protocol.kinds import Role

    async with open_world(tmp_path, "alice", "bob") as world:
        group = await world.engine.groups.create("alice", "Team", [], "team")
        await say(world, "alice", "team", 3)
        await world.engine.groups.put_member("alice", "team", "bob", Role.MEMBER)
        await say(world, "alice", "team", 2)
        assert await world.engine.history.unread("bob", group.channel_id) == (0, 2)
        with pytest.raises(RelayError):
            await world.engine.history.locate("bob", [2])
        assert await world.engine.history.locate("bob", [6]) == {Place(ConversationKind.GROUP, "team"): 6}
