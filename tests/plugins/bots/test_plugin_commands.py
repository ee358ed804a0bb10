"""Slash commands of plugins: typed like those of bots, run in the server, answered once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.plugin import SlashCommand
from relay.testing import RelayWorld, World
from tests.plugin.authors import write
from tests.plugins.bots.people import ON, invoke, types, with_dice

CODE = """
from relay.plugin import SlashAnswer, SlashCommand

ran = []

async def echo(server, invocation):
    ran.append((invocation.id, invocation.user_id, invocation.target_id, invocation.text))
    if invocation.text == "refuse":
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "say something else")
    if invocation.text == "fail":
        raise ValueError("broken")
    if invocation.text == "slow":
        await trio.sleep(3)
    if invocation.text == "nothing":
        return None
    return SlashAnswer(f"here: {invocation.text}", private=False) if "here" in invocation.text else f"you: {invocation.text}"

@hookimpl
def relay_slash_commands(options):
    return [SlashCommand(name="echo", description="Say it again", usage="words", arguments={"words": "what to say"}, run=echo)]
"""


@asynccontextmanager
async def with_echo(relay_world: RelayWorld, folder: Path) -> AsyncIterator[World]:
    write(folder / "plugins.d", "echoes", CODE)
    async with relay_world(folder / "plugins.d", "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        yield world


async def test_a_private_answer_goes_to_the_invoker_alone(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        acked = await invoke(alice, "team", "echo", "hello", id="e-1", copies=2)
        assert (acked["plugin"], "bot" in acked) == ("echoes", False)
        frame = await alice.next("slash_response")
        assert frame["payload"] == {
            "invocation": acked["message_id"], "content": "you: hello", "private": True, "command": "echo",
            "invoked_by": "alice", "plugin": "echoes",
        }  # fmt: skip
        assert await types(alice, "slash_response") == []
        assert await types(bob, "slash_response", "slash_command") == []
        assert (await world.rest("GET", "/api/notifications", "alice")).body["unread"] == 0


async def test_an_answer_for_all_comes_into_the_conversation(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await alice.request("group_message", {"content": "/echo here I am"}, "team")
        frame = await bob.next("slash_response")
        assert frame["payload"]["content"] == "here: here I am"
        assert (frame["meta"]["sender_id"], frame["payload"]["plugin"]) == ("alice", "echoes")
        assert frame["payload"]["reply_to"] == frame["payload"]["invocation"] - 1


async def test_an_answer_for_all_comes_into_the_thread_of_its_invocation(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        root = (await bob.request("group_message", {"content": "Where?"}, "team"))["payload"]["message_id"]
        asked = {"command": "echo", "text": "here", "thread": root}
        await alice.request("slash_command", asked, "team")
        assert (await bob.next("slash_response"))["payload"]["thread"] == root
        await alice.request("slash_command", asked | {"text": "whispered"}, "team")
        answers = [(await alice.next("slash_response"))["payload"] for _ in range(2)]
        assert [one.get("thread") for one in answers] == [root, None]
        summary = (await world.rest("GET", f"/api/messages/thread/{root}", "bob")).body["thread"]
        assert (summary["replies"], summary["unread"]) == (1, 1)


@pytest.mark.parametrize(
    ("text", "says"), [("refuse", "say something else"), ("fail", "the plugin 'echoes' failed")]
)
async def test_the_invoker_alone_is_told_why_there_is_no_answer(
    relay_world: RelayWorld, tmp_path: Path, text: str, says: str
) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        acked = await invoke(alice, "team", "echo", text)
        notice = (await alice.next("slash_notice"))["payload"]
        assert (notice["reason"], notice["invocation"]) == ("refused", acked["message_id"])
        assert says in notice["message"]
        assert await types(bob, "slash_response", "slash_notice") == []
        for guard, failures in (("echoes", text == "fail"), ("bots", 0)):
            assert world.engine.registry.guard(guard).failures == failures  # type: ignore[union-attr]


async def test_a_slow_command_holds_up_no_other(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice = await world.connect("alice")
        for text in ("slow", "nothing", "quick"):
            await invoke(alice, "team", "echo", text)
        contents = [(await alice.next("slash_response"))["payload"]["content"] for _ in range(2)]
        assert contents == ["you: quick", "you: slow"]


async def test_a_crash_neither_loses_nor_doubles_an_answer(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with with_echo(relay_world, tmp_path) as world:
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "echo", "slow"))["message_id"]
        async with world.after_crash(tmp_path / "again") as again:
            device = await again.connect("alice", "other", cursor=invoked, epoch=again.engine.epoch)
            assert (await device.next("slash_response"))["payload"]["invocation"] == invoked
            assert await types(device, "slash_response") == []


async def test_plugins_commands_are_listed_and_go_before_those_of_bots(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    write(tmp_path / "plugins.d", "rolling", CODE.replace('name="echo"', 'name="roll"'))
    folder = {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path / "plugins.d")}
    async with with_dice(relay_world, **folder) as (world, _dice):
        listed = (await world.rest("GET", "/api/commands?q=ro", "alice")).body["commands"]
        assert [(one["invoke"], one.get("plugin"), one.get("bot")) for one in listed] == [
            ("/roll", "rolling", None), ("/roll@dice", None, "dice"),
        ]  # fmt: skip
        assert listed[0]["arguments"] == [{"name": "words", "description": "what to say"}]
        alice = await world.connect("alice")
        assert (await invoke(alice, "team", "roll"))["plugin"] == "rolling"
        assert (await invoke(alice, "team", "roll@dice"))["bot"] == "dice"


async def test_without_the_plugin_bots_the_log_says_that_nobody_can_type_them(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    write(tmp_path / "plugins.d", "echoes", CODE)
    async with relay_world(tmp_path / "plugins.d", "alice") as world:
        (remark,) = world.engine.registry.remarks
        assert remark == "plugin 'echoes': nobody can type its slash commands without [plugins] also = [\"bots\"]"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "/echo"}, "without the slash"),
        ({"run": lambda server: None}, "it is called as run(server, invocation)"),
        ({"description": "two\nlines"}, "description is one line"),
        ({"arguments": ["words"]}, "arguments is a dict"),
    ],
)
def test_a_wrong_registration_is_told_at_the_start(wrong: dict[str, object], says: str) -> None:
    right: dict[str, object] = {"name": "echo", "description": "Say it", "run": lambda server, invocation: None}
    with pytest.raises((TypeError, ValueError)) as raised:
        SlashCommand(**right | wrong)  # type: ignore[arg-type]
    assert says in str(raised.value)
