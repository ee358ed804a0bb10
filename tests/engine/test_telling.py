"""What a plugin tells by itself: transient messages, messages that it waits for, and devices that come late."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.plugin import Kind, MessageType, Payload, SessionHook
from tests.plugin.authors import answers, plugged, send

TELLS = """
from relay.plugin import SessionHook

async def handle(draft: Draft) -> None:
    draft.passed_on = False
    server, own_id = draft.server, draft.payload.content or ""

    def call(entry: Any) -> None:
        if entry.payload == '{"content":"break"}':
            raise ValueError("broken")
        server.tell(draft.conversation, "t", {"n": 2}, sender_id=entry.sender_id, client_id=entry.client_id)

    server.when_stored(draft.sender.user_id, own_id, call)
    if draft.payload.n == 9:
        server.when_stored(draft.sender.user_id, own_id, None)

def live(server: Any, event: Any) -> None:
    if event.client_id == "broken":
        raise ValueError("broken")
    place = server.conversations.own_devices(event.user_id)
    server.tell(place, "t", {"n": 7}, sender_id=event.user_id, only=(event.user_id, event.client_id))

@hookimpl
def relay_session_hooks(options: Any) -> list[SessionHook]:
    return [SessionHook(live=live)]
"""
TRANSIENT = "kind=Kind.TRANSIENT, handle=handle, paced=False"


async def test_a_message_that_is_waited_for_is_told_of_once_and_before_it_is_delivered(tmp_path: Path) -> None:
    async with plugged(tmp_path, TELLS, TRANSIENT) as (world, alice, bob):
        await alice.drain()
        await bob.drain()
        for number in range(200):  # more than typing indicators may be
            await send(alice, f"t{number}", content="x-1")
        assert set((await answers(alice, 200)).values()) == {"ack"}
        assert await bob.drain() == []
        for own_id in ("x-0", "x-1", "x-1", "x-2"):
            await alice.say("bob", "hello", id=own_id)
        frames = [(one["type"], one["payload"].get("n")) for one in await bob.drain()]
        assert frames == [("chat_message", None), ("t", 2), ("chat_message", None), ("chat_message", None)]
        await send(alice, "t-9", content="x-3", n=9)
        await send(alice, "t-10", content="x-4")
        await alice.say("bob", "hello", id="x-3")
        await alice.say("bob", "break", id="x-4")
        assert [one["type"] for one in await bob.drain()] == ["chat_message", "chat_message"]
        assert world.engine.server_of("mine").failures == 1
        assert [one["type"] for one in await alice.drain() if one["type"] == "t"] == []


async def test_a_device_that_is_live_is_told_alone_and_again_when_it_comes_back(tmp_path: Path) -> None:
    async with plugged(tmp_path, TELLS, TRANSIENT) as (world, alice, _bob):
        assert (await alice.next("t"))["payload"] == {"n": 7}
        phone = await world.connect("alice", "phone")
        assert [one["type"] for one in await phone.drain()] == ["t"]
        await phone.event("inactive")
        assert await phone.drain() == []
        await phone.event("active")
        assert [one["type"] for one in await phone.drain()] == ["t"]
        assert "t" not in [one["type"] for one in await alice.drain()]
        broken = await world.connect("alice", "broken")
        await broken.say("bob", "it is here all the same", id="b-1")
        assert await answers(broken, 1) == {"b-1": "ack"}
        assert world.engine.server_of("mine").failures == 1


async def test_only_transient_types_of_its_own_are_told(tmp_path: Path) -> None:
    async with plugged(tmp_path, "") as (world, _alice, _bob):
        server = world.engine.server_of("mine")
        place = world.engine.channels.own_devices("alice")
        with pytest.raises(ValueError, match="'typing_indicator' is not a message type of the plugin 'mine'"):
            server.tell(place, "typing_indicator", {"typing": True}, sender_id="alice")
        with pytest.raises(ValueError, match="a t is stored"):
            server.tell(place, "t", {"n": 1}, sender_id="alice")
        await trio.lowlevel.checkpoint()


def test_what_cannot_work_is_refused_when_it_is_registered() -> None:
    async def live(server: object, event: object) -> None: ...

    with pytest.raises(TypeError, match="live is called and not awaited"):
        SessionHook(live=live)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="paced=False needs a transient type and a `handle`"):
        MessageType(name="t", payload=Payload, kind=Kind.TRANSIENT, paced=False)
