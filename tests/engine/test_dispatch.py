"""From an envelope to the router: what is refused, in which order, and whatever a plugin's code does wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.envelope import decode
from relay.protocol.rights import Act
from relay.storage import accounts
from relay.testing import World
from relay.testing import world as open_world
from tests.plugin.authors import answers, plugged, send

SLOW = """
async def handle(draft: Draft) -> None:
    await trio.sleep(draft.payload.n)
"""


async def test_a_type_of_ones_own_is_stored_and_delivered(tmp_path: Path) -> None:
    async with plugged(tmp_path, "") as (_, alice, bob):
        await send(alice, "1", n=7)
        assert await answers(alice, 1) == {"1": "ack"}
        assert (await bob.next("t"))["payload"] == {"n": 7}


async def test_a_handler_past_its_deadline_has_failed_and_its_sender_goes_on(tmp_path: Path) -> None:
    async with plugged(tmp_path, SLOW, "handle=handle", RELAY_TIMEOUTS__HANDLER_SECONDS="3") as (
        server,
        alice,
        bob,
    ):
        began = trio.current_time()
        await send(alice, "slow", n=60)
        await send(alice, "quick", n=0)
        assert await answers(alice, 1) == {"slow": "plugin_failed"}
        assert trio.current_time() - began == pytest.approx(3)
        assert await answers(alice, 1) == {"quick": "ack"}
        assert server.engine.registry.owner("t").failures == 1
        assert len(await bob.drain()) == 1


async def test_messages_of_a_connection_keep_their_order_behind_a_slow_handler(tmp_path: Path) -> None:
    async with plugged(tmp_path, SLOW, "handle=handle") as (_, alice, bob):
        for number, (type_, pause) in enumerate([("t", 2), ("chat_message", 0), ("t", 1), ("chat_message", 0)]):
            payload: dict[str, Any] = {"n": pause} if type_ == "t" else {"content": "x"}
            await send(alice, f"{number}", type_, **payload)
        assert list(await answers(alice, 4)) == ["0", "1", "2", "3"]
        assert [frame["meta"]["id"] for frame in await bob.drain()] == ["0", "1", "2", "3"]


async def test_pings_are_answered_while_a_handler_is_slow(tmp_path: Path) -> None:
    from wsproto.events import Ping, Pong

    environ = {"RELAY_TIMEOUTS__HANDLER_SECONDS": "60"}
    async with plugged(tmp_path, SLOW, "handle=handle", **environ) as (_, alice, _bob):
        await send(alice, "1", n=10)
        began = trio.current_time()
        await alice.stream.send_all(alice.frames.send(Ping(b"?")))
        alice.frames.receive_data(await alice.stream.receive_some(1000))
        assert [type(event) for event in alice.frames.events()] == [Pong]
        assert trio.current_time() == began


BROKEN = """
def prepare(draft: Draft) -> None:
    if draft.payload.n == 1: raise RelayError(ErrorCode.FORBIDDEN, "not ones")
    if draft.payload.n == 2: raise KeyError("mine")
async def handle(draft: Draft) -> None:
    if draft.payload.n == 3: raise RelayError(ErrorCode.CONFLICT, "not threes")
    if draft.payload.n == 4: raise ZeroDivisionError
    if draft.payload.n == 5: draft.payload = object()
    if draft.payload.n == 6: draft.apply = lambda connection, entry: connection.execute("no such statement")
    if draft.payload.n == 7: draft.apply = lambda connection, entry: b"{}"
    if draft.payload.n == 8:
        def apply(connection: Any, entry: Any) -> None: raise Unchanged
        draft.apply = apply
"""


async def test_whatever_a_plugin_raises_is_answered_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with plugged(tmp_path, BROKEN, "prepare=prepare, handle=handle") as (server, alice, bob):
        for number in range(10):
            await send(alice, f"{number}", n=number)
        assert await answers(alice, 10) == {
            "0": "ack", "1": "forbidden", "2": "plugin_failed", "3": "conflict", "4": "plugin_failed",
            "5": "plugin_failed", "6": "plugin_failed", "7": "plugin_failed", "8": "ack", "9": "ack",
        }  # fmt: skip
        assert [frame["meta"]["seq"] for frame in await bob.drain()] == [1, 2]
        assert server.engine.registry.owner("t").failures >= 3


async def test_a_key_that_breaks_is_its_plugins_failure(tmp_path: Path) -> None:
    async with plugged(tmp_path, "", "kind=Kind.LATEST, key=lambda payload: 1 // payload.n") as (_, alice, _bob):
        await send(alice, "0", n=0)
        await send(alice, "1", n=1)
        assert await answers(alice, 2) == {"0": "plugin_failed", "1": "ack"}


async def test_what_a_handler_adds_does_not_make_a_retry_another_message(tmp_path: Path) -> None:
    code = """
    def prepare(draft: Draft) -> None:
        draft.payload.content = f"{trio.current_time()}"
    """
    async with plugged(tmp_path, code, "prepare=prepare") as (_, alice, bob):
        await send(alice, "1", n=1)
        first = (await alice.next("ack"))["payload"]
        await trio.sleep(5)
        await send(alice, "1", n=1)
        assert (await alice.next("ack", "error"))["payload"] == first | {"duplicate": True}
        await send(alice, "1", n=2)
        assert await answers(alice, 1) == {"1": "conflict"}
        assert len(await bob.drain()) == 1


async def grant(server: World, user: str, *, admin: bool = False, scopes: tuple[str, ...] = ()) -> str:
    """Return a token of a user with scopes."""
    return await server.engine.runner.write(
        lambda c: (
            accounts.update_user(c, user, admin=int(admin)),
            accounts.create_token(c, user, server.engine.now(), origin="cli", scopes=scopes),
        )[1]
    )


async def test_a_scope_is_asked_before_anything_is_told(tmp_path: Path) -> None:
    async with plugged(tmp_path, "", 'scope="announce"') as (server, alice, _bob):
        await send(alice, "1", target="bob")
        await send(alice, "2", target="nobody")
        assert await answers(alice, 2) == {"1": "forbidden", "2": "forbidden"}
        server.tokens["scoped"] = await grant(server, "alice", scopes=("announce",))
        server.tokens["admin"] = await grant(server, "alice", admin=True)
        for name in ("scoped", "admin"):
            device = await server.connect(name)
            await send(device, f"{name}1")
            await send(device, f"{name}2", target="nobody")
            assert await answers(device, 2) == {f"{name}1": "ack", f"{name}2": "not_found"}


async def test_a_payload_over_its_types_bound_is_too_large(tmp_path: Path) -> None:
    async with plugged(tmp_path, "", "max_bytes=40") as (_, alice, _bob):
        await send(alice, "fits", content="x" * 10)
        await send(alice, "over", content="x" * 60)
        assert await answers(alice, 2) == {"fits": "ack", "over": "too_large"}


@pytest.mark.parametrize(
    ("limit", "length", "answer"), [("5", 5, "ack"), ("5", 6, "too_large"), ("0", 5000, "ack")]
)
async def test_content_has_as_many_characters_as_are_allowed(
    tmp_path: Path, limit: str, length: int, answer: str
) -> None:
    async with open_world(tmp_path, "alice", "bob", RELAY_LIMITS__CONTENT_CHARACTERS=limit) as world:
        alice = await world.connect("alice")
        await send(alice, "1", "chat_message", content="ü" * length)
        assert await answers(alice, 1) == {"1": answer}


REFUSED = {
    "unknown_type": ("nonsense", {}, "bob"),
    "forbidden": ("group_event", {"event": "deleted"}, "team"),
    "not_found": ("chat_message", {"content": "x"}, "nobody"),
    "invalid_payload": ("group_message", {"content": "x"}, "bob"),
}


@pytest.mark.parametrize("code", REFUSED)
async def test_preconditions_are_the_same_before_and_after_a_conversation_is_in_memory(
    world: World, code: str
) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice = await world.connect("alice")
    type_, payload, target = REFUSED[code]
    for own_id in ("cold", "warm"):
        await send(alice, own_id, type_, target, **payload)
        assert await answers(alice, 1) == {own_id: code}


async def test_a_message_costs_one_token_of_its_rate_on_either_path(tmp_path: Path) -> None:
    environ = {"RELAY_LIMITS__MESSAGES_PER_SECOND": "1", "RELAY_LIMITS__MESSAGES_BURST": "4"}
    async with open_world(tmp_path, "alice", "bob", **environ) as world:
        alice = await world.connect("alice")
        for number in range(5):
            await send(alice, f"{number}", "chat_message", content="x")
        # A refusal waits for no commit: it may come before the ack of a message before it.
        assert await answers(alice, 5) == dict.fromkeys("0123", "ack") | {"4": "rate_limited"}


async def test_a_user_id_in_another_case_is_found_and_the_message_has_the_right_one(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "Carol") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        for number, target in enumerate(("BOB", "bob", "Bob", "carol", "bobby")):
            meta = {"id": f"{number}", "target_id": target}
            await alice.send({"type": "chat_message", "payload": {"content": target}, "meta": meta})
        found = {"0": "ack", "1": "ack", "2": "ack", "3": "ack", "4": "not_found"}
        assert await answers(alice, 5) == found
        told = [frame for frame in await bob.drain() if frame["type"] == "chat_message"]
        assert [(one["payload"]["content"], one["meta"]["target_id"]) for one in told] == [
            ("BOB", "bob"),
            ("bob", "bob"),
            ("Bob", "bob"),
        ]

        def both(connection: Any) -> None:  # as a database of before may have them
            connection.execute("INSERT INTO names (name, kind) VALUES ('BOB', 'user')")

        await world.engine.runner.write(both)
        await alice.send(
            {"type": "chat_message", "payload": {"content": "x"}, "meta": {"id": "5", "target_id": "boB"}}
        )
        assert await answers(alice, 1) == {"5": "not_found"}


async def test_what_is_never_stored_is_refused_in_a_closed_group_and_of_who_was_removed(world: World) -> None:
    group = await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice, bob = await world.connect("alice"), await world.connect("bob")
    typing = ("typing_indicator", {"typing": True}, "team")
    assert (await bob.request(*typing))["type"] == "ack"
    await alice.drain()
    rights = world.engine.channels.default_rights
    group.set_rights(group.chosen, closed=True, defaults=rights)
    assert (await bob.request(*typing))["payload"]["details"]["reason"] == "group_closed"
    group.set_rights(group.chosen, closed=False, defaults=rights)
    group.members.pop("bob")
    assert (await bob.request(*typing))["payload"]["code"] == "not_found"
    assert [frame for frame in await alice.drain() if frame["type"] == "typing_indicator"] == []


@pytest.mark.world("alice", "bob", RELAY_LIMITS__CONTENT_CHARACTERS="10")
async def test_content_is_bounded_in_a_conversation_in_memory_too(world: World) -> None:
    alice = await world.connect("alice")
    for length, type_ in ((10, "ack"), (11, "error"), (10, "ack")):
        assert (await alice.request("chat_message", {"content": "x" * length}, "bob"))["type"] == type_


@pytest.mark.world("alice", RELAY_LIMITS__MESSAGES_PER_SECOND="1", RELAY_LIMITS__MESSAGES_BURST="2")
async def test_messages_of_types_that_nobody_added_count_towards_their_senders_rate(world: World) -> None:
    alice = await world.connect("alice")
    codes = [(await alice.request("nonsense", {}, "alice"))["payload"]["code"] for _ in range(3)]
    assert codes == ["unknown_type", "unknown_type", "rate_limited"]


async def test_while_messages_are_paused_they_wait_also_of_a_type_that_was_sent_before(world: World) -> None:
    alice = await world.connect("alice")
    await alice.request("chat_message", {"content": "before"}, "bob")
    world.engine.dispatcher.pause()
    await alice.say("bob", "meanwhile", "1")
    await trio.sleep(10)
    assert [frame for frame in await alice.drain() if frame["type"] == "ack"] == []
    world.engine.dispatcher.resume()
    with trio.fail_after(5):
        assert (await alice.next("ack"))["meta"]["ref"] == "1"


GROWING = """
from relay.plugin import MessageHook, hookimpl

def before(draft):
    draft.payload.content *= 2

@hookimpl
def relay_message_hooks():
    return [MessageHook(before=before)]
"""


async def test_content_that_a_hook_made_too_long_is_refused_on_either_path(tmp_path: Path) -> None:
    async with plugged(tmp_path, GROWING, RELAY_LIMITS__CONTENT_CHARACTERS="10") as (world, alice, bob):
        for own_id in ("cold", "warm"):  # the second time the conversation is in memory
            answer = await alice.request("chat_message", {"content": "x" * 6}, "bob", id=own_id)
            assert answer["payload"]["details"] == {"reason": "message_too_long", "max": 10}
        assert (await alice.request("chat_message", {"content": "x" * 5}, "bob"))["type"] == "ack"
        assert (await bob.next("chat_message"))["payload"] == {"content": "x" * 10}
        dispatcher = world.engine.dispatcher
        assert dispatcher._routes["chat_message"].direct, "it was the quick path"


@pytest.mark.parametrize(("content", "fits"), [("x" * 40, True), ("x" * 90, False), ("é" * 60, False)])
async def test_a_payload_is_bounded_in_bytes_as_it_is_stored(tmp_path: Path, content: str, fits: bool) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        world.engine.dispatcher._payload_bytes = 100
        alice = await world.connect("alice")
        answer = await alice.request("chat_message", {"content": content}, "bob")
        assert (answer["type"] == "ack") == fits
        if not fits:
            assert answer["payload"]["details"] == {"reason": "message_too_large", "max_bytes": 100}


AGEING = """
def prepare(draft: Draft) -> None:
    if draft.payload.n:
        draft.expires_at = draft.server.now() + draft.payload.n
"""


async def test_a_message_lives_as_long_as_its_type_allows_and_no_longer_than_its_plugin_says(
    tmp_path: Path,
) -> None:
    async with plugged(tmp_path, AGEING, "prepare=prepare, ttl_seconds=10") as (world, alice, bob):
        for n, seconds in ((0, 10), (5, 5), (100, 10)):
            assert (await alice.request("t", {"n": n}, "bob"))["type"] == "ack"
            meta = (await bob.next("t"))["meta"]
            assert meta["expires_at"] - meta["timestamp"] == pytest.approx(seconds, abs=0.5)
        assert world.engine.registry.owner("t").failures == 0


APPLYING = """
def prepare(draft: Draft) -> None:
    draft.apply = lambda connection, entry: '{"n":"no number"}' if draft.payload.n else '{"n":7}'
"""


async def test_what_a_hook_in_the_transaction_makes_of_a_payload_has_to_fit_its_type(tmp_path: Path) -> None:
    async with plugged(tmp_path, APPLYING, "prepare=prepare") as (_, alice, bob):
        assert (await alice.request("t", {"n": 1}, "bob"))["payload"]["code"] == "plugin_failed"
        assert (await alice.request("t", {}, "bob"))["type"] == "ack"
        assert (await bob.next("t"))["payload"] == {"n": 7}


async def test_a_stream_message_for_one_is_its_plugins_failure_as_it_would_leave_a_hole(tmp_path: Path) -> None:
    for_one = "def prepare(draft: Draft) -> None:\n    draft.only_for = 'bob'\n"
    async with plugged(tmp_path, for_one, "prepare=prepare") as (_, alice, bob):
        assert (await alice.request("t", {}, "bob"))["payload"]["code"] == "plugin_failed"
        assert await bob.drain() == []


async def test_a_message_of_any_type_to_everybody_takes_the_scope(tmp_path: Path) -> None:
    arguments = "targets=frozenset({ConversationKind.BROADCAST})"
    async with plugged(tmp_path, "from relay.plugin import ConversationKind\n", arguments) as (_, alice, bob):
        with trio.fail_after(10):
            answer = await alice.request("t", {}, "*")
        assert answer["payload"]["details"] == {"reason": "scope", "scope": "notify"}
        assert await bob.drain() == []


async def test_a_message_is_judged_again_at_its_commit_by_what_its_sender_does(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await world.connect("alice")
    (connection,) = world.engine.connections.of("alice").values()
    for type_, target in (("chat_message", "bob"), ("group_message", "team")):
        text = f'{{"type":"{type_}","payload":{{"content":"x"}},"meta":{{"target_id":"{target}"}}}}'
        submission = await world.engine.dispatcher.draft(connection, decode(text))
        assert submission.recheck is Act.WRITE


SPOILING = """
def prepare(draft: Draft) -> None:
    draft.payload.n = "no number"
"""


async def test_a_payload_that_its_types_own_code_spoiled_is_not_stored(tmp_path: Path) -> None:
    async with plugged(tmp_path, SPOILING, "prepare=prepare") as (_, alice, bob):
        assert (await alice.request("t", {"n": 1}, "bob"))["payload"]["code"] == "plugin_failed"
        assert await bob.drain() == []


async def test_who_is_no_member_of_where_they_send_reads_nothing_there(world: World) -> None:
    await world.engine.runner.write(lambda c: c.execute("UPDATE users SET role = 'admin'").rowcount)
    world.engine.accounts.forget()
    alice = await world.connect("alice")
    assert (await alice.request("notification", {"title": "hello"}, "bob"))["type"] == "ack"
    pointers = await world.engine.runner.read(
        lambda connection: connection.execute("SELECT user_id FROM pointers").fetchall()
    )
    assert pointers == []
