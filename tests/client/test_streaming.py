"""A streamed message of the Python client, on a real server in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import relay.client
from relay.client import Bot, Client, RelayError
from relay.testing import Device, World
from tests.actors import OPERATOR
from tests.client.peer import Peer, inline
from tests.plugin.authors import plugged


@asynccontextmanager
async def connected(world: World, user: str = "alice", **options: Any) -> AsyncIterator[Client]:
    dial = options.pop("dial", world.dial)
    connecting = relay.client.connect(
        "http://relay.test", world.tokens[user], client_id="bot", dial=dial, run_in_thread=inline, **options
    )
    async with connecting as client:
        yield client


async def frames(device: Device) -> list[dict[str, Any]]:
    """Return the frames about messages that have come by now."""
    await trio.sleep(0.5)
    return [frame for frame in await device.drain() if frame["type"] not in ("connection_event", "read_receipt")]


def text_of(pieces: list[dict[str, Any]]) -> str:
    text = ""
    for frame in pieces:
        if frame["type"] == "message_stream":
            text = text[: frame["payload"].get("offset", 0)] + frame["payload"].get("text", "")
    return text


async def test_a_bot_streams_its_answer(world: World) -> None:
    bob = await world.connect("bob")
    async with connected(world) as client:
        await client.wait_live()
        async with Bot(client).stream("bob") as stream:
            for word in ["There ", "was ", "once ", "a 🦊 "] * 10:
                await stream.write(word)
                await trio.sleep(0.02)
            pieces = await frames(bob)
            assert text_of(pieces) == "There was once a 🦊 " * 10
            assert 3 <= len(pieces) <= 11
            await stream.write("and that is all")
        assert stream.ack is not None
        assert stream.ack.seq == 1
    (stored,) = [frame for frame in await frames(bob) if frame["type"] == "chat_message"]
    assert (stored["meta"]["id"], stored["payload"]["content"]) == (stream.id, stream.text)
    assert stream.text.endswith("a 🦊 and that is all")


async def test_a_group_is_known_by_the_first_ack_or_by_the_end(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    bob = await world.connect("bob")
    async with connected(world) as client:
        async with client.stream("team") as stream:
            await stream.write("before there is a connection")
        await client.wait_live()
        async with client.stream("team", id="mine") as stream:
            await trio.sleep(1)
            await stream.write("after it")
    said = [frame for frame in await frames(bob) if frame["type"] == "group_message"]
    assert [frame["payload"]["content"] for frame in said] == ["before there is a connection", "after it"]
    assert said[1]["meta"]["id"] == "mine"


async def test_a_long_pause_ends_nothing_and_a_broken_connection_is_gone_over(world: World) -> None:
    bob = await world.connect("bob")
    dialled: list[trio.abc.Stream] = []

    async def dial() -> trio.abc.Stream:
        dialled.append(await world.dial())
        return dialled[-1]

    async with connected(world, dial=dial) as client, client.stream("bob") as stream:
        await stream.write("one, ")
        await trio.sleep(45)
        assert text_of(await frames(bob)) == "one, "
        await trio.aclose_forcefully(dialled[-1])
        await stream.write("two, ")
        await trio.sleep(5)
        await stream.write("three")
        await trio.sleep(1)
        whole = (await world.rest("GET", "/api/streams/alice", "bob")).body["streams"]
        assert [one["text"] for one in whole] == ["one, two, three"]
    assert [one["payload"]["content"] for one in await world.history("bob", "user", "alice")] == [
        "one, two, three"
    ]


@pytest.mark.world("alice", "bob", RELAY_PLUGINS__MESSAGE_STREAM__SILENCE_SECONDS="5")
async def test_who_was_away_too_long_edits_what_the_server_has_stored(world: World) -> None:
    away = False

    async def dial() -> trio.abc.Stream:
        if away:
            raise OSError("no network")
        dialled.append(await world.dial())
        return dialled[-1]

    dialled: list[trio.abc.Stream] = []
    async with connected(world, dial=dial) as client:
        async with client.stream("bob") as stream:
            await stream.write("half")
            await trio.sleep(1)
            away = True
            await trio.aclose_forcefully(dialled[-1])
            await trio.sleep(20)
            (row,) = await world.history("bob", "user", "alice")
            assert row["payload"] == {"content": "half", "interrupted": True}
            away = False
            await stream.write(" and whole")
            await trio.sleep(40)
        assert stream.ack is not None
        assert stream.ack.message_id == row["meta"]["message_id"]
    row, _edit = await world.history("bob", "user", "alice")
    assert row["payload"]["content"] == "half and whole"


async def test_an_exception_stores_what_there_is_and_a_cancel_leaves_nothing(world: World) -> None:
    bob = await world.connect("bob")
    async with connected(world) as client:

        async def divide() -> None:
            async with client.stream("bob") as stream:
                await stream.write("1 / 0 = ")
                await trio.sleep(1)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await divide()
        await trio.sleep(1)
        (row,) = await world.history("bob", "user", "alice")
        assert row["payload"] == {"content": "1 / 0 = ", "interrupted": True}
        async with client.stream("bob") as stream:
            await stream.write("never mind")
            await trio.sleep(1)
            await stream.cancel()
            with pytest.raises(ValueError, match="over"):
                await stream.write("more")
        async with client.stream("bob") as empty:
            await trio.sleep(1)
        assert empty.ack is None
    assert len(await world.history("bob", "user", "alice")) == 1
    last = [frame["payload"] for frame in await frames(bob) if frame["type"] == "message_stream"][-1]
    assert last == {"stream_id": empty.id, "cancelled": True}


FILTER = """
from relay.plugin import MessageHook

def before(draft: Draft) -> None:
    if "frak" in draft.payload.content:
        raise RelayError(ErrorCode.FORBIDDEN, "mind your words")

@hookimpl
def relay_message_hooks(options: Any) -> list[MessageHook]:
    return [MessageHook(types=frozenset({"chat_message"}), before=before)]
"""


async def test_a_refusal_reaches_the_writer(tmp_path: Path) -> None:
    async with plugged(tmp_path, FILTER) as (world, _alice, _bob), connected(world) as client:
        stream = client.stream("bob")
        await stream.write("what the frak")
        await trio.sleep(1)
        with pytest.raises(RelayError, match="mind your words"):
            await stream.write("?")
        with pytest.raises(RelayError, match="mind your words"):
            await stream.end()
        assert await world.history("bob", "user", "alice") == []


async def test_a_server_that_does_not_stream_gets_the_whole_text(peer: Peer) -> None:
    async with peer.connect() as client:
        far = await peer.live()

        async def answer() -> None:
            while True:
                frame = await far.receive_message()
                if frame["type"] == "message_stream":
                    await far.error(frame["meta"]["id"], "unknown_type")
                else:
                    await far.ack(frame["meta"]["id"], 101)
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            async with client.stream("bob") as stream:
                await stream.write("all of it")
                await trio.sleep(20)
    assert stream.ack is not None
    assert stream.ack.message_id == 101


async def test_slow_mode_streams_nothing_during_a_wait_and_sends_the_whole_text_after_it(world: World) -> None:
    await world.engine.groups.create("bob", "Team", ["alice"], "team")
    await world.engine.slow_mode.set(OPERATOR, "team", 60)
    async with connected(world) as client:
        await client.send("group_message", {"content": "first"}, target_id="team")
        stream = client.stream("team")
        await stream.write("all of it")
        await trio.sleep(5)
        began = trio.current_time()
        ack = await stream.end()
        assert ack is not None
        assert trio.current_time() - began == pytest.approx(55, abs=1)
        said = [one["payload"].get("content") for one in await world.history("bob", "group", "team")]
        assert said[-2:] == ["first", "all of it"]
