"""A plugin's own code in the transaction of an answer to its messages: `MessageType(acted=…)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.plugin import ConversationKind, Kind, MessageType, Payload
from relay.testing import Device, RelayWorld, World
from tests.plugin.authors import write
from tests.plugins.actions.pressing import newest, press

CODE = """
from relay.plugin import ActionOutcome, Actions, Button, Migration

class Order(Payload):
    what: str
    actions: Actions | None = None

def prepare(draft):
    draft.payload.actions = Actions(elements=[Button(id="take", label="Take it"), Button(id="bad", label="Bad")])

def acted(server, connection, answer):
    connection.execute("INSERT INTO order_taken VALUES (?, ?)", (answer.message_id, answer.user_id))
    if answer.action == "bad":
        raise ValueError("broken")
    if answer.user_id == answer.author_id:
        raise RelayError(ErrorCode.FORBIDDEN, "not your own order")
    if answer.action == "return":
        return ActionOutcome(close=True, text=f"{answer.payload.what} is back")
    again = Actions(elements=[Button(id="return", label="Return it")])
    return ActionOutcome(text=f"{answer.user_id} takes {answer.payload.what}", actions=again)

@hookimpl
def relay_migrations():
    return [Migration(name="order", sql="CREATE TABLE order_taken (message_id INTEGER, user_id TEXT)")]

@hookimpl
def relay_message_types(options):
    return [MessageType(name="order", payload=Order, kind=Kind.STREAM, prepare=prepare, acted=acted)]
"""


@asynccontextmanager
async def ordered(relay_world: RelayWorld, folder: Path) -> AsyncIterator[tuple[World, Device, Device, int]]:
    write(folder / "plugins.d", "orders", CODE)
    async with relay_world(folder / "plugins.d", "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        acked = await alice.request("order", {"what": "cake"}, "bob")
        yield world, alice, bob, acked["payload"]["message_id"]


async def taken(world: World) -> list[tuple[int, str]]:
    return await world.engine.runner.read(
        lambda connection: connection.execute("SELECT * FROM order_taken").fetchall()
    )


async def test_it_writes_with_the_answer_and_says_what_becomes_of_the_actions(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with ordered(relay_world, tmp_path) as (world, alice, bob, order):
        await press(bob, order, "take")
        assert await taken(world) == [(order, "bob")]
        state = await newest(alice, "action_state")
        assert (state["outcome"], state["round"]) == ("bob takes cake", 1)
        assert [one["id"] for one in state["actions"]["elements"]] == ["return"]
        assert "it has return" in (await press(bob, order, "take"))["message"]
        await press(bob, order, "return")
        state = await newest(alice, "action_state")
        assert (state["outcome"], state["closed_by"]) == ("cake is back", "bob")


@pytest.mark.parametrize(
    ("user", "action", "code", "failures"), [("alice", "take", "forbidden", 0), ("bob", "bad", "plugin_failed", 1)]
)
async def test_what_it_refuses_or_fails_at_leaves_nothing_behind(
    relay_world: RelayWorld, tmp_path: Path, user: str, action: str, code: str, failures: int
) -> None:
    async with ordered(relay_world, tmp_path) as (world, alice, bob, order):
        refused = await press(alice if user == "alice" else bob, order, action)
        assert refused["code"] == code
        assert await taken(world) == []
        own, actions = world.engine.registry.guard("orders"), world.engine.registry.guard("actions")
        assert own is not None
        assert actions is not None
        assert (own.failures, actions.failures) == (failures, 0)
        assert "code" not in await press(bob, order, "take")


class Plain(Payload):
    """A payload without actions."""

    actions: str = ""


def test_a_type_without_actions_cannot_have_it() -> None:
    with pytest.raises(ValueError, match="a payload with a field `actions: Actions"):
        MessageType(
            name="t", payload=Plain, kind=Kind.STREAM, targets=frozenset({ConversationKind.USER}),
            acted=lambda server, connection, answer: None,
        )  # fmt: skip


def test_it_is_plain_code() -> None:
    async def acted(server: object, connection: object, answer: object) -> None:
        """Do nothing."""

    from relay.plugin import Text

    with pytest.raises(TypeError, match="write it with def, not async def"):
        MessageType(name="t", payload=Text, kind=Kind.STREAM, acted=acted)  # type: ignore[arg-type]


async def test_a_hook_that_refuses_the_news_of_actions_holds_up_no_other(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    refusing = """
        from relay.plugin import MessageHook

        def before(draft):
            raise RelayError(ErrorCode.FORBIDDEN, "not this")

        @hookimpl
        def relay_message_hooks(options):
            return [MessageHook(types=frozenset({"action_state"}), before=before)]
    """
    write(tmp_path / "plugins.d", "refusing", refusing)
    async with ordered(relay_world, tmp_path) as (world, alice, bob, order):
        await press(bob, order, "take")
        assert (await newest(bob, "action_answer"))["action"] == "take"
        assert [one for one in await alice.drain() if one["type"] == "action_state"] == []
        guard = world.engine.registry.guard("actions")
        assert guard is not None
        assert guard.failures == 0
