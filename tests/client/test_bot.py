"""The bot helper on a real server in memory: each invocation is answered once, and a function's fault is its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

import relay.client
from relay.app.plugin_admin import run_command
from relay.client import Bot, Event, Invocation, RelayClosed, RelayError, RelayOffline, RestClient
from relay.testing import Device, RelayWorld, World
from tests.client.peer import Peer, inline


@asynccontextmanager
async def talking(relay_world: RelayWorld) -> AsyncIterator[tuple[World, Device]]:
    """Run a server with the bot dice, and alice connected in the group team."""
    async with relay_world(None, "alice", RELAY_PLUGINS__ALSO="bots") as world:
        world.tokens["dice"] = await run_command(world.engine, "bot add", {"name": "dice"})
        await world.engine.groups.create("alice", "Team", [], "team")
        yield world, await world.connect("alice")


@asynccontextmanager
async def running(world: World, bot_of: Any, user: str = "dice", **options: Any) -> AsyncIterator[Bot]:
    """Run a bot with a client of its own until the block ends, and then as a process that is killed."""
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[Bot]) -> None:
            connecting = relay.client.connect(
                "http://relay.test",
                world.tokens[user],
                client_id="b",
                dial=world.dial,
                run_in_thread=inline,
                **options,
            )
            async with connecting as client:
                bot = bot_of(client)
                task_status.started(bot)
                await bot.run()

        bot: Bot = await nursery.start(run)
        await trio.sleep(1)
        yield bot
        nursery.cancel_scope.cancel()


async def invoke(alice: Device, command: str, text: str = "") -> int:
    answer = await alice.request("slash_command", {"command": command, "text": text}, "team")
    assert answer["type"] == "ack", answer
    return int(answer["payload"]["message_id"])


def echo(client: relay.client.Client) -> Bot:
    bot = Bot(client)

    @bot.command("echo", usage="TEXT")
    async def repeat(invocation: Invocation) -> str:
        """Say it again.

        And nothing else.
        """
        return f"{invocation.sender_id} in {invocation.place['target_id']}: {invocation.text}"

    return bot


async def test_ten_lines_answer_a_command(relay_world: RelayWorld) -> None:
    async with talking(relay_world) as (world, alice), running(world, echo):
        (command,) = (await world.rest("GET", "/api/commands", "alice")).body["commands"]
        assert (command["description"], command["usage"]) == ("Say it again.", "TEXT")
        invoked = await invoke(alice, "echo", "hello")
        said = (await alice.next("slash_response"))["payload"]
        assert (said["invocation"], said["content"]) == (invoked, "alice in team: hello")


async def test_a_slow_function_holds_no_other_up_and_only_so_many_run_at_once(relay_world: RelayWorld) -> None:
    most = [0, 0]

    def slow(client: relay.client.Client) -> Bot:
        bot = Bot(client, at_once=3)

        @bot.command("wait", "Wait")
        async def wait(invocation: Invocation) -> str:
            most[0] += 1
            most[1] = max(most)
            await trio.sleep(float(invocation.text))
            most[0] -= 1
            return invocation.text

        return bot

    async with talking(relay_world) as (world, alice), running(world, slow):
        for text in ("9", "5", "1", "3", "0", "7"):
            await invoke(alice, "wait", text)
        said = [(await alice.next("slash_response"))["payload"]["content"] for _ in range(6)]
        assert said == ["1", "3", "0", "5", "9", "7"]
        assert most == [0, 3]


async def test_what_was_being_worked_on_when_the_bot_was_killed_comes_again_and_is_answered_once(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    runs: list[str] = []
    killed = False

    def fickle(client: relay.client.Client) -> Bot:
        bot = Bot(client)

        @bot.command("pick", "Pick")
        async def pick(invocation: Invocation) -> None:
            runs.append(invocation.text)
            if killed or invocation.text != "not yet":
                await invocation.answer(f"try {len(runs)}")
            if not killed and invocation.text == "answered":
                await trio.sleep_forever()

        return bot

    state = tmp_path / "bot.db"
    async with talking(relay_world) as (world, alice):
        async with running(world, fickle, state=state):
            for text in ("answered", "done"):
                await invoke(alice, "pick", text)
                assert (await alice.next("slash_response"))["payload"]["content"] == f"try {len(runs)}"
            await trio.sleep(2)
        killed = True
        await invoke(alice, "pick", "while it was away")
        async with running(world, fickle, state=state):
            said = (await alice.next("slash_response"))["payload"]
            await trio.sleep(2)
        assert sorted(runs) == sorted(["answered", "done", "while it was away", "answered", "done"])
        assert said["content"] in ("try 3", "try 4", "try 5")
        assert [one["type"] for one in await alice.drain() if one["type"] == "slash_response"] == []
        async with running(world, fickle, state=state):
            await trio.sleep(2)
        assert len(runs) == 5


async def test_a_function_that_fails_or_takes_too_long_costs_only_its_own_invocation(
    relay_world: RelayWorld, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy(client: relay.client.Client) -> Bot:
        bot = Bot(client, seconds=5)

        @bot.command("fail", "Fail")
        async def fail(invocation: Invocation) -> str:
            if invocation.text == "hang":
                await trio.sleep_forever()
            if invocation.text == "raise":
                raise ZeroDivisionError
            return "fine"

        return bot

    async with talking(relay_world) as (world, alice), running(world, clumsy):
        with caplog.at_level(logging.ERROR, "relay.client.bot"):
            for text in ("hang", "raise", "x"):
                await invoke(alice, "fail", text)
            said = [(await alice.next("slash_response"))["payload"] for _ in range(3)]
            await trio.sleep(1)
        assert [(one["content"], one.get("private", False)) for one in said] == [
            ("/fail failed", True),
            ("fine", False),
            ("/fail failed", True),
        ]
        assert len(caplog.records) == 2
        caplog.clear()


async def test_other_events_are_seen_where_the_bot_is_a_member(relay_world: RelayWorld) -> None:
    heard: list[Any] = []

    def listening(client: relay.client.Client) -> Bot:
        bot = Bot(client)

        @bot.on("group_message")
        async def hear(event: Event) -> None:
            heard.append(event.payload["content"])

        return bot

    async with talking(relay_world) as (world, alice), running(world, listening):
        await world.rest("PUT", "/api/groups/team/members/dice", "alice", json_body={})
        await alice.request("group_message", {"content": "hello"}, "team")
        await trio.sleep(1)
        assert heard == ["hello"]


async def remove(world: World) -> None:
    """Remove the bot, and let its connection end."""
    await run_command(world.engine, "bot remove", {"name": "dice"})
    await trio.sleep(1)


async def test_who_is_no_bot_is_told_so_and_a_removed_bot_ends(relay_world: RelayWorld) -> None:
    async with talking(relay_world) as (world, _alice):
        with pytest.raises(BaseExceptionGroup) as raised:
            async with running(world, echo, "alice"):
                await trio.sleep(1)
        assert raised.group_contains(RelayError, match="only a bot has commands")
        with pytest.raises(BaseExceptionGroup) as raised:
            async with running(world, echo):
                await remove(world)
        assert raised.group_contains(RelayClosed)


async def test_a_listener_sees_what_a_limited_replay_left_out_but_not_what_was_before_its_first_start(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def rest(request: httpx.Request) -> httpx.Response:
        answer = await world.rest(request.method, request.url.raw_path.decode(), "dice")
        return httpx.Response(answer.status, json=answer.body)

    def listening(client: relay.client.Client) -> Bot:
        client._rest = RestClient("http://relay.test", world.tokens["dice"], transport=httpx.MockTransport(rest))
        bot = Bot(client)

        @bot.on("group_message")
        async def listen(event: Event) -> None:
            seen.append(event.payload["content"])

        return bot

    state = tmp_path / "bot.db"
    async with relay_world(None, "alice", RELAY_PLUGINS__ALSO="bots", RELAY_REPLAY__LIMIT="10") as world:
        world.tokens["dice"] = await run_command(world.engine, "bot add", {"name": "dice"})
        await world.engine.groups.create("alice", "Team", ["dice"], "team")
        alice = await world.connect("alice")
        for part in ("before", "while it was away"):
            said = [f"{part} {number}" for number in range(30)]
            for text in said:
                await alice.request("group_message", {"content": text}, "team")
            async with running(world, listening, state=state):
                await trio.sleep(10)
            if part == "before":
                assert len(seen) <= 10
                assert seen == said[-len(seen) :]
                seen.clear()
        assert sorted(seen) == sorted(said)


async def test_what_a_limited_replay_left_out_is_answered_before_anything_counts_as_processed(peer: Peer) -> None:
    asked: list[str] = []
    fetching = trio.Event()

    async with peer.connect() as client:
        bot = Bot(client)

        @bot.command("echo", "Echo")
        async def echo(invocation: Invocation) -> None:
            asked.append(invocation.text)

        def missed(number: int) -> Event:
            return Event(
                "slash_command", {"command": "echo", "text": f"{number}"}, {"message_id": number, "seq": number}
            )

        class LeftOut:
            """A page that breaks off once, and then comes whole."""

            def __init__(self, numbers: list[int], breaks: bool) -> None:
                self.numbers, self.breaks = numbers, breaks

            def __aiter__(self) -> LeftOut:
                return self

            async def __anext__(self) -> Event:
                await trio.sleep(5)
                if self.numbers:
                    return missed(self.numbers.pop())
                fetching.set()
                if self.breaks:
                    raise RelayOffline("nobody there")
                raise StopAsyncIteration

        tries = iter([LeftOut([2], True), LeftOut([1, 2], False)])
        client.read_gap = lambda _gap: next(tries)  # type: ignore[method-assign,assignment]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.run)
            far = await peer.accept()
            await far.ready()
            await far.send("slash_command", {"command": "echo", "text": "3"}, message_id=3, seq=3, replay=True)
            gap = {"kind": "self", "target_id": "alice", "from_seq": 1, "to_seq": 2}
            await far.synced(3, limited=True, gaps=[gap])
            registered = await far.receive()
            await far.ack(registered["meta"]["id"], 1)
            await fetching.wait()
            assert client.cursor is None
            await trio.sleep(20)
            assert (client.cursor, sorted(asked)) == (3, ["1", "2", "3"])
            nursery.cancel_scope.cancel()


QUESTION = {"elements": [{"type": "button", "id": "approve", "label": "Approve"}]}


async def test_an_answer_to_an_action_comes_once_and_the_bot_closes_the_actions(relay_world: RelayWorld) -> None:
    async with talking(relay_world) as (world, alice):
        got: list[tuple[str, str, str]] = []

        def approving(client: relay.client.Client) -> Bot:
            bot = Bot(client)

            @bot.command("ask", arguments={"what": "to approve"})
            async def ask(invocation: Invocation) -> None:
                await invocation.answer("May I?", actions=QUESTION)

            @bot.action("approve")
            async def approve(answer: relay.client.ActionAnswer) -> None:
                got.append((answer.sender_id, answer.action, answer.place["target_id"]))
                await answer.close(f"Approved by {answer.sender_id}")

            return bot

        async with running(world, approving):
            await invoke(alice, "ask")
            asked = (await alice.next("slash_response"))["meta"]["message_id"]
        await alice.request("action", {"message_id": asked, "action": "approve"})
        async with running(world, approving):
            states = [await alice.next("action_state")]
            while "outcome" not in states[-1]["payload"]:
                states.append(await alice.next("action_state"))
        assert states[-1]["payload"]["outcome"] == "Approved by alice"
        assert got == [("alice", "approve", "team")]


async def test_a_bot_without_commands_need_not_be_one_for_the_server(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "dice") as world:
        alice = await world.connect("alice")
        heard: list[str] = []

        def listening(client: relay.client.Client) -> Bot:
            bot = Bot(client)

            @bot.action("approve")
            async def approve(answer: relay.client.ActionAnswer) -> None:
                heard.append(answer.type)

            return bot

        async with running(world, listening):
            await world.engine.submitter.send_as(
                "dice", "chat_message", {"content": "?", "actions": QUESTION}, "alice"
            )
            asked = (await alice.next("chat_message"))["meta"]["message_id"]
            await alice.request("action", {"message_id": asked, "action": "approve"})
            await trio.sleep(1)
        assert heard == ["chat_message"]
