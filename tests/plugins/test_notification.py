"""`notification`: to a user, a group, everybody; stored, replayed first, read, expired, replaced."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.engine.sending import send_as
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.permissions import NOTIFY
from relay.storage import accounts
from relay.testing import Device, World
from relay.testing import world as open_world


async def notify(server: World, target: str, title: str, sender: str = "root", **more: Any) -> int:
    """Notify, as an admin would, and return the message id."""
    entry = await send_as(
        server.engine, sender, "notification", {"title": title, **more}, target, scopes=frozenset({NOTIFY})
    )
    assert entry.message_id is not None
    return entry.message_id


async def listed(server: World, user: str, **position: Any) -> dict[str, Any]:
    page = await server.engine.history.notifications(user, position.pop("limit", 50), **position)
    return json.loads(msgspec.json.encode(page))


def titles(page: dict[str, Any]) -> list[str | None]:
    return [frame["payload"].get("title") for frame in page["messages"]]


async def read(device: Device, target: str, **payload: Any) -> dict[str, Any]:
    await device.send({"type": "read_receipt", "payload": payload, "meta": {"target_id": target}})
    return await device.next("ack", "error")


@pytest.mark.world("root", "alice", "bob", "carol")
async def test_it_reaches_a_user_a_group_and_everybody(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    devices = {name: await world.connect(name) for name in ("alice", "bob", "carol")}
    for device in devices.values():
        await device.drain()
    await notify(world, "alice", "one", level="warning", data={"door": 3})
    await notify(world, "team", "two", body="more")
    await notify(world, "*", "three")
    got = {
        name: [(frame["payload"]["title"], frame["meta"]["target_id"]) for frame in await device.drain()]
        for name, device in devices.items()
    }
    assert got == {
        "alice": [("one", "alice"), ("two", "team"), ("three", "*")],
        "bob": [("two", "team"), ("three", "*")],
        "carol": [("three", "*")],
    }
    assert titles(await listed(world, "alice")) == ["one", "three"]
    assert titles(await listed(world, "bob")) == ["three"]
    assert (await world.history("bob", "group", "team"))[-1]["payload"]["title"] == "two"
    assert await world.history("alice", "user", "alice") == []


async def test_only_who_may_can_and_a_wrong_target_is_not_found(world: World) -> None:
    alice = await world.connect("alice")
    for target in ("bob", "*", "nobody"):
        await alice.send({"type": "notification", "payload": {"title": "x"}, "meta": {"target_id": target}})
        assert (await alice.next("error"))["payload"]["code"] == "forbidden"
    token = await world.engine.runner.write(
        lambda connection: accounts.create_token(connection, "alice", 0, origin="cli", scopes=("notify",))
    )
    robot = await world.connect(token, "robot")
    for target, answer in (("bob", "ack"), ("*", "ack"), ("nobody", "error")):
        await robot.send({"type": "notification", "payload": {"title": "x"}, "meta": {"target_id": target}})
        assert (await robot.next("ack", "error"))["type"] == answer


@pytest.mark.world("root", "alice", "bob")
async def test_it_is_replayed_first(world: World) -> None:
    bob = await world.connect("bob")
    await bob.say("alice", "early")
    await bob.next("ack")
    await notify(world, "alice", "own")
    await notify(world, "*", "all")
    alice = await world.connect("alice")
    assert [frame["type"] for frame in alice.replayed] == ["notification", "notification", "chat_message"]
    waiting = await world.engine.offline_queue.undelivered("alice", after=None, limit=10)
    assert [frame.type for frame in waiting["messages"]] == [frame["type"] for frame in alice.replayed]


@pytest.mark.world("root", "alice")
async def test_who_comes_later_sees_what_is_told_later(world: World) -> None:
    await notify(world, "*", "before")
    await world.user("late")
    await notify(world, "*", "after")
    assert titles(await listed(world, "late")) == ["after"]
    assert (await listed(world, "late"))["unread"] == 1
    assert [frame["payload"]["title"] for frame in (await world.connect("late")).replayed] == ["after"]


@pytest.mark.world("root", "alice")
async def test_pages_go_by_message_id_over_both_channels(world: World) -> None:
    ids = [await notify(world, "*" if number % 3 else "alice", str(number)) for number in range(7)]
    newest = await listed(world, "alice", limit=3)
    assert (titles(newest), newest["has_more"]) == (["4", "5", "6"], True)
    older = await listed(world, "alice", limit=3, before=newest["next_before"])
    assert (titles(older), older["next_after"]) == (["1", "2", "3"], ids[3])
    oldest = await listed(world, "alice", limit=3, before=older["next_before"])
    assert (titles(oldest), oldest["has_more"]) == (["0"], False)
    assert titles(await listed(world, "alice", limit=2, after=ids[4])) == ["5", "6"]
    assert titles(await listed(world, "alice", limit=9, after=ids[6])) == []


@pytest.mark.world("root", "alice", "bob")
async def test_reading_it_is_ones_own_affair_and_mirrored(world: World) -> None:
    one, two = await world.connect("alice", "one"), await world.connect("alice", "two")
    bob = await world.connect("bob")
    await notify(world, "alice", "own")
    own = await notify(world, "alice", "own again")
    everybodys = await notify(world, "*", "all")
    assert (await listed(world, "alice"))["unread"] == 3
    assert (await read(one, "alice", message_ids=[own], kind="self"))["type"] == "ack"
    mirrored = await two.next("read_receipt")
    assert mirrored["payload"] == {"up_to_seq": 2, "private": True, "kind": "self", "state": "read"}
    assert (await listed(world, "alice"))["unread"] == 1
    assert (await read(one, "*", message_ids=[everybodys]))["type"] == "ack"
    await two.next("read_receipt")
    assert (await listed(world, "alice"))["unread"] == 0
    assert (await listed(world, "bob"))["unread"] == 1
    assert [frame["type"] for frame in await bob.drain()] == ["notification"]
    assert (await read(bob, "alice", up_to_seq=1, kind="self"))["payload"]["code"] == "not_found"
    assert (await read(one, "alice", message_ids=[own]))["payload"]["code"] == "not_found"


@pytest.mark.world("root", "alice")
async def test_it_expires_to_the_moment(world: World) -> None:
    now = world.engine.now()
    for title, seconds in (("c", 30), ("a", 10), ("b", 20)):
        await notify(world, "alice", title, expires_at=now + seconds)
    await notify(world, "alice", "d")
    await trio.sleep_until(trio.current_time() + 9.9)
    assert titles(await listed(world, "alice")) == ["c", "a", "b", "d"]
    await trio.sleep(0.2)
    page = await listed(world, "alice")
    assert (titles(page), page["unread"]) == (["c", None, "b", "d"], 3)
    assert page["messages"][1]["meta"]["deleted_at"] == now + 10
    await trio.sleep(30)
    assert titles(await listed(world, "alice")) == [None, None, None, "d"]
    alice = await world.connect("alice")
    assert [frame["payload"].get("title") for frame in alice.replayed] == [None, None, None, "d"]


async def test_what_expired_while_the_server_was_down_is_gone_at_its_start(tmp_path: Path) -> None:
    async with open_world(tmp_path, "root", "alice") as world:
        await notify(world, "alice", "short", expires_at=world.engine.now() + 10)
    await trio.sleep(60)
    async with open_world(tmp_path) as world:
        await trio.sleep(0.01)
        assert titles(await listed(world, "alice")) == [None]


@pytest.mark.world("root", "alice")
async def test_plainly_impossible_times_are_refused(world: World) -> None:
    with pytest.raises(RelayError) as refused:
        await notify(world, "alice", "x", expires_at=world.engine.now() - 1)
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD


async def test_a_late_retry_of_what_was_stored_in_time_gets_its_ack(world: World) -> None:
    token = await world.engine.runner.write(
        lambda connection: accounts.create_token(connection, "alice", 0, origin="cli", scopes=("notify",))
    )
    payload = {"title": "soon over", "expires_at": world.engine.now() + 10}
    robot = await world.connect(token, "robot")
    first = await robot.request("notification", payload, "bob", id="n-1")
    assert first["type"] == "ack"
    await robot.cut()
    await trio.sleep(60)
    robot = await world.connect(token, "robot")
    again = await robot.request("notification", payload, "bob", id="n-1")
    assert (again["type"], again["payload"]["message_id"]) == ("ack", first["payload"]["message_id"])
    refused = await robot.request("notification", payload, "bob", id="n-2")
    assert refused["payload"]["code"] == "invalid_payload"
    assert titles(await listed(world, "bob")) == [None]


@settings(deadline=None)
@given(keys=st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12))
def test_exactly_the_newest_of_each_collapse_key_keeps_what_it_says(
    tmp_path_factory: Any, keys: list[str | None]
) -> None:
    async def run() -> None:
        async with open_world(tmp_path_factory.mktemp("collapse"), "root", "alice") as world:
            for number, key in enumerate(keys):
                more = {"collapse_key": key} if key else {}
                await notify(world, "alice", str(number), **more)
            newest = {key: number for number, key in enumerate(keys)}
            expected = [
                str(number) if key is None or newest[key] == number else None for number, key in enumerate(keys)
            ]
            page = await listed(world, "alice")
            assert titles(page) == expected
            assert page["unread"] == sum(title is not None for title in expected)

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.world("root", "alice", "bob")
async def test_who_it_was_for_may_delete_it_and_an_admin_may_withdraw_it(world: World) -> None:
    first, second = await notify(world, "alice", "one"), await notify(world, "alice", "two")
    alice, bob = await world.connect("alice"), await world.connect("bob")

    async def delete(device: Device, message_id: int, target: str) -> dict[str, Any]:
        payload = {"message_id": message_id, "kind": "self"}
        await device.send({"type": "message_delete", "payload": payload, "meta": {"target_id": target}})
        return await device.next("ack", "error")

    assert (await delete(bob, first, "alice"))["payload"]["code"] == "not_found"
    assert (await delete(alice, first, "alice"))["type"] == "ack"
    await send_as(
        world.engine, "root", "message_delete", {"message_id": second, "kind": "self"}, "alice",
        scopes=frozenset({NOTIFY}),
    )  # fmt: skip
    assert titles(await listed(world, "alice"))[:2] == [None, None]
    assert (await listed(world, "alice"))["unread"] == 0


async def test_a_ttl_and_a_collapse_key_can_be_set_for_any_stream_type(tmp_path: Path) -> None:
    settings = {
        "RELAY_TYPES__CHAT_MESSAGE__TTL_SECONDS": "100",
        "RELAY_TYPES__GROUP_MESSAGE__COLLAPSE_KEY": "content",
    }
    async with open_world(tmp_path, "alice", "bob", **settings) as world:
        await world.engine.groups.create("alice", "Team", ["bob"], "team")
        alice = await world.connect("alice")
        await alice.say("bob", "soon gone")
        for content in ("same", "other", "same"):
            await alice.say("team", content, type="group_message")
        for _ in range(4):
            ack = await alice.next("ack")
        assert ack["payload"]["seq"] == 4
        await trio.sleep(99)
        assert (await world.history("bob", "user", "alice"))[0]["payload"] == {"content": "soon gone"}
        await trio.sleep(2)
        bob = await world.connect("bob")
        assert [frame["payload"].get("content") for frame in bob.replayed if frame["type"] != "group_event"] == [
            None, None, "other", "same",
        ]  # fmt: skip
