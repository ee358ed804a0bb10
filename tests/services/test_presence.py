"""Presence, through a whole server on virtual time: what followers are told, and exactly when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app import admin
from relay.http import Caller
from relay.protocol.envelope import decode
from relay.protocol.kinds import Role
from relay.testing import EPOCH, Device, World
from relay.testing import world as open_world
from relay.transports import greeting

GRACE = 30.0


def told(frames: list[dict[str, Any]], user: str = "alice") -> list[str]:
    """Return the statuses of a user that some frames tell, in order."""
    return [
        frame["payload"]["status"]
        for frame in frames
        if frame["type"] == "status_update" and frame["meta"]["sender_id"] == user
    ]


async def follow(device: Device, *users: str, on: bool = True) -> list[dict[str, Any]]:
    """Follow users and return their statuses."""
    payload = {"user_ids": list(users), "follow": on}
    await device.send({"type": "follow", "payload": payload, "meta": {"id": "follow"}})
    answer = await device.next("ack", "error")
    assert answer["type"] == "ack", answer
    return answer["payload"]["statuses"]


async def choose(device: Device, status: str, **more: Any) -> dict[str, Any]:
    await device.send({"type": "status_update", "payload": {"status": status, **more}})
    return await device.next("ack", "error")


async def now(device: Device) -> list[str]:
    return told(await device.drain())


async def close(device: Device, code: int) -> None:
    """Close as a browser does."""
    from wsproto.events import CloseConnection

    await device.stream.send_all(device.frames.send(CloseConnection(code=code)))


async def status(server: World, viewer: str, user: str) -> dict[str, Any]:
    return (await server.engine.presence.statuses(viewer, [user]))[0]


async def test_offline_is_told_after_exactly_the_grace(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    alice = await world.connect("alice")
    assert await now(bob) == ["online"]
    cut_at = trio.current_time()
    await alice.cut()
    await trio.sleep_until(cut_at + GRACE - 0.02)
    assert await now(bob) == []
    frame = await bob.next("status_update")
    assert frame["payload"] == {"status": "offline", "last_seen": pytest.approx(EPOCH + cut_at, abs=0.001)}
    assert trio.current_time() == pytest.approx(cut_at + GRACE, abs=0.001)


async def test_a_device_back_within_the_grace_flaps_nothing(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    told_so_far: list[str] = []
    for _ in range(3):
        alice = await world.connect("alice")
        await trio.sleep(1)
        await alice.cut()
        await trio.sleep(GRACE - 1)
        told_so_far += await now(bob)
    assert told_so_far == ["online"]
    await world.connect("alice")
    await trio.sleep(GRACE + 10)
    assert await now(bob) == []


@pytest.mark.parametrize("code", [None, 1000, 1001])
async def test_a_goodbye_tells_at_once(world: World, code: int | None) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    alice = await world.connect("alice")
    if code is None:
        await alice.event("goodbye")
    else:
        await close(alice, code)
    assert await now(bob) == ["online", "offline"]


async def test_a_close_for_another_reason_is_no_goodbye(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    alice = await world.connect("alice")
    await close(alice, 4000)
    assert await now(bob) == ["online"]
    await trio.sleep(GRACE)
    assert await now(bob) == ["offline"]


async def test_every_device_has_a_grace_of_its_own(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    phone, laptop = await world.connect("alice", "phone"), await world.connect("alice", "laptop")
    await phone.cut()
    await trio.sleep(10)
    await laptop.event("goodbye")
    await trio.sleep(GRACE - 11)
    assert await now(bob) == ["online"]
    await trio.sleep(2)
    assert await now(bob) == ["offline"]


async def test_a_takeover_by_the_same_device_changes_nothing(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    await world.connect("alice")
    await world.connect("alice")
    await trio.sleep(GRACE + 10)
    assert await now(bob) == ["online"]


async def test_who_is_sent_away_is_offline_at_once(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    await world.connect("alice", "phone")
    await world.engine.accounts.revoke_device("alice", "phone")
    assert await now(bob) == ["online", "offline"]


@pytest.mark.world("alice", "bob", RELAY_HEARTBEAT__INTERVAL_SECONDS="5")
async def test_a_lost_heartbeat_begins_the_grace(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    alice = await world.connect("alice")
    alice.answer_pings = False
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            while True:
                await bob.event("heartbeat")
                await trio.sleep(2)

        nursery.start_soon(answer)
        await trio.sleep(10 + GRACE - 1)
        assert await now(bob) == ["online"]
        await trio.sleep(3)
        assert await now(bob) == ["offline"]
        nursery.cancel_scope.cancel()


async def test_what_is_chosen_goes_before_what_devices_say(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    await choose(alice, "busy", text="writing")
    frame = await bob.next("status_update")
    assert frame["payload"] == {"status": "busy", "text": "writing"}
    await alice.event("inactive")
    assert await now(bob) == []
    await choose(alice, "online")
    assert await now(bob) == ["away"]
    await alice.event("active")
    assert await now(bob) == ["online"]


async def test_a_status_ends_when_it_was_to_end(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    until = world.engine.now() + 20
    await choose(alice, "away", text="lunch", until=until)
    assert (await bob.next("status_update"))["payload"] == {"status": "away", "text": "lunch", "until": until}
    frame = await bob.next("status_update")
    assert frame["payload"] == {"status": "online"}
    assert world.engine.now() == pytest.approx(until, abs=0.001)


async def test_invisible_looks_like_gone_and_stays_so(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    await choose(alice, "offline", text="hiding")
    went = world.engine.now()
    frame = await bob.next("status_update")
    assert frame["payload"] == {"status": "offline", "last_seen": pytest.approx(went, abs=0.1)}
    await trio.sleep(5)
    await alice.event("goodbye")
    again = await world.connect("alice")
    assert await now(bob) == []
    assert (await status(world, "bob", "alice"))["last_seen"] == pytest.approx(went, abs=0.1)
    await choose(again, "online")
    assert await now(bob) == ["online"]


async def test_away_only_when_every_device_is_in_the_background(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    phone, laptop = await world.connect("alice", "phone"), await world.connect("alice", "laptop")
    await phone.event("inactive")
    assert await now(bob) == ["online"]
    await laptop.event("inactive")
    assert await now(bob) == ["away"]
    await phone.event("active")
    assert await now(bob) == ["online"]


@pytest.mark.world("alice", "bob", "carol")
async def test_a_device_in_the_background_is_brought_up_to_date_when_it_comes_back(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice", "carol")
    await bob.event("inactive")
    for chosen in ("busy", "away", "busy"):
        await choose(alice, chosen)
        assert await now(bob) == []
    await bob.event("active")
    assert await now(bob) == ["busy"]
    await bob.event("inactive")
    await bob.event("active")
    assert await now(bob) == []


@pytest.mark.world("alice", "bob", "carol")
async def test_every_hello_brings_the_statuses_of_whom_one_follows(world: World) -> None:
    first = await world.connect("bob", "one")
    before = await follow(first, "alice", "carol")
    assert [(row["user_id"], row["status"], row["text"]) for row in before] == [
        ("alice", "offline", None),
        ("carol", "offline", None),
    ]
    await world.connect("alice")
    second = await world.connect("bob", "two")
    frames = await second.drain()
    assert (told(frames), told(frames, "carol")) == (["online"], ["offline"])
    assert all("message_id" not in frame["meta"] for frame in frames)


async def test_following_lasts_over_restarts_and_ends_when_told(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await follow(await world.connect("bob"), "alice")
        tokens = dict(world.tokens)
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        bob = await world.connect("bob")
        await bob.drain()
        alice = await world.connect("alice")
        assert await now(bob) == ["online"]
        await follow(bob, "alice", on=False)
        await alice.event("goodbye")
        assert await now(bob) == []
        again = await world.connect("bob", "another")
        assert await now(again) == []


async def test_ones_other_devices_learn_of_following_and_are_told_too(world: World) -> None:
    one, two = await world.connect("bob", "one"), await world.connect("bob", "two")
    await follow(one, "alice")
    assert (await two.next("follow"))["payload"] == {"user_ids": ["alice"], "follow": True}
    await world.connect("alice")
    assert (await now(one), await now(two)) == (["online"], ["online"])


@pytest.mark.parametrize("users", [["nobody"], ["no such", "nobody"]])
async def test_whoever_does_not_exist_cannot_be_followed(world: World, users: list[str]) -> None:
    bob = await world.connect("bob")
    await bob.send({"type": "follow", "payload": {"user_ids": users, "follow": True}, "meta": {"id": "f"}})
    assert (await bob.next("error"))["payload"]["code"] == "not_found"
    assert await world.engine.presence.following("bob") == []


@pytest.mark.world("alice", "bob", "carol", RELAY_LIMITS__FOLLOWING_PER_USER="1")
async def test_one_follows_so_many_and_no_more(world: World) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    await bob.send({"type": "follow", "payload": {"user_ids": ["carol"], "follow": True}})
    assert (await bob.next("error"))["payload"]["code"] == "forbidden"
    assert len(await world.engine.presence.following("bob")) == 1


async def test_unknown_is_another_answer_than_offline(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    await show_to(world, "alice", "nobody")
    assert await now(bob) == ["unknown"]
    assert await status(world, "bob", "alice") == {
        "user_id": "alice", "status": "unknown", "text": None, "until": None, "last_seen": None,
    }  # fmt: skip
    assert (await status(world, "alice", "alice"))["status"] == "online"
    await choose(alice, "busy")
    assert await now(bob) == []
    await show_to(world, "alice", "everyone")
    assert await now(bob) == ["busy"]


async def show_to(server: World, user: str, whom: str) -> None:
    identity = await server.engine.accounts.identify(server.tokens[user])
    await server.engine.logins.change(identity, {"presence_to": whom})
    server.engine.presence.visibility_changed(user, whom)
    await trio.sleep(0.02)


async def test_shared_means_those_who_share_a_conversation_now(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await show_to(world, "alice", "shared")
    assert (await follow(bob, "alice"))[0]["status"] == "unknown"
    await choose(alice, "busy")
    assert await now(bob) == []
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    assert await now(bob) == ["busy"]
    await choose(alice, "away")
    assert await now(bob) == ["away"]
    again = await world.connect("bob", "another")
    assert await now(again) == ["away"]
    await world.engine.groups.remove_member("alice", "team", "bob")
    assert await now(bob) == ["unknown"]
    await alice.say("bob", "hello")
    assert await now(bob) == ["away"]


@pytest.mark.world("alice", "mallory")
async def test_what_a_stranger_does_alone_opens_nobody_until_they_answer(world: World) -> None:
    mallory, alice = await world.connect("mallory"), await world.connect("alice")
    await show_to(world, "alice", "shared")
    await mallory.say("alice", "hello")
    await world.engine.groups.create("mallory", "Ours", ["alice"], "ours")
    await mallory.say("ours", "hello", type="group_message")
    await mallory.drain()
    assert (await follow(mallory, "alice"))[0]["status"] == "unknown"
    await choose(alice, "busy")
    assert await now(mallory) == []
    again = await world.connect("mallory", "another")
    assert await now(again) == ["unknown"]
    await alice.say("ours", "who are you?", type="group_message")
    assert await now(mallory) == ["busy"]
    assert await now(again) == ["busy"]
    await world.engine.groups.remove_member("mallory", "ours", "alice")
    assert await now(mallory) == ["unknown"]
    await world.engine.groups.put_member("mallory", "ours", "alice", Role.MEMBER)
    assert await now(mallory) == ["unknown"], "what she said before she left opens her to nobody"
    await alice.say("mallory", "stop it")
    assert await now(mallory) == ["busy"]


@pytest.mark.world("alice", "bob", "carol")
async def test_members_whom_an_operator_put_together_are_shown_to_each_other(world: World) -> None:
    bob, _ = await world.connect("bob"), await world.connect("alice")
    await show_to(world, "alice", "shared")
    asked = {"group_id": "team", "name": "Team", "owner": "bob", "members": ["alice"]}
    await admin.perform(world.engine, "group.create", asked)
    assert (await follow(bob, "alice"))[0]["status"] == "online"
    carol = await world.connect("carol")
    assert (await follow(carol, "alice"))[0]["status"] == "unknown"
    await admin.perform(world.engine, "group.add", {"group_id": "team", "user_id": "carol"})
    assert await now(carol) == ["online"]


async def test_a_group_that_is_deleted_is_shared_no_longer(world: World) -> None:
    bob, _ = await world.connect("bob"), await world.connect("alice")
    await show_to(world, "alice", "shared")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    assert (await follow(bob, "alice"))[0]["status"] == "online"
    await world.engine.groups.delete("alice", "team")
    assert await now(bob) == ["unknown"]


@pytest.mark.world("alice", "bob", "carol")
async def test_a_newcomer_to_a_group_is_told_of_and_nobody_else(world: World) -> None:
    bob, _ = await world.connect("bob"), await world.connect("alice")
    carol = await world.connect("carol")
    for user in ("alice", "carol"):
        await show_to(world, user, "shared")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await follow(bob, "alice", "carol")
    await follow(carol, "alice")
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    frames = await bob.drain()
    assert (told(frames), told(frames, "carol"), await now(carol)) == ([], ["unknown"], ["online"])
    await carol.say("team", "hello", type="group_message")
    frames = await bob.drain()
    assert (told(frames), told(frames, "carol")) == ([], ["online"])


@pytest.mark.world("alice", "bob", "carol")
async def test_who_comes_back_to_a_group_is_shown_again_once_they_speak_there(world: World) -> None:
    bob, _ = await world.connect("bob"), await world.connect("alice")
    carol = await world.connect("carol")
    await show_to(world, "carol", "shared")
    await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
    await follow(bob, "carol")
    await carol.say("team", "hello", type="group_message")
    assert told(await bob.drain(), "carol") == ["online"]
    await world.engine.groups.remove_member("alice", "team", "carol")
    assert told(await bob.drain(), "carol") == ["unknown"]
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    assert told(await bob.drain(), "carol") == ["unknown"]
    await carol.say("team", "back", type="group_message")
    assert told(await bob.drain(), "carol") == ["online"]


@pytest.mark.world("alice", "bob", "carol")
async def test_a_group_of_people_who_show_themselves_to_all_tells_nothing(world: World) -> None:
    bob = await world.connect("bob")
    await world.connect("alice")
    await follow(bob, "alice")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    assert await now(bob) == []


async def test_after_a_kill_nobody_is_online_who_is_not_and_nobody_falsely_offline(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "carol", "dave") as world:
        await follow(await world.connect("bob"), "alice", "carol", "dave")
        await world.connect("alice")
        await world.connect("carol")
        await (await world.connect("dave")).event("goodbye")
        await trio.sleep(5)
        last = world.engine.now()
        tokens = dict(world.tokens)
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        bob = await world.connect("bob")
        frames = await bob.drain()
        assert [told(frames, user) for user in ("alice", "carol", "dave")] == [
            ["unknown"],
            ["unknown"],
            ["offline"],
        ]
        await world.connect("alice")
        assert await now(bob) == ["online"]
        await trio.sleep(GRACE + 1)
        frames = await bob.drain()
        assert (told(frames), told(frames, "carol")) == ([], ["offline"])
        assert (await status(world, "bob", "carol"))["last_seen"] <= last


async def test_last_seen_stays_what_it_was_when_the_server_is_killed_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await world.connect("alice")
        await trio.sleep(3)
        tokens, last = dict(world.tokens), world.engine.now()
    await trio.sleep(3600)
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        await world.connect("bob")
        await trio.sleep(GRACE / 2)
    async with open_world(tmp_path) as world:
        assert (await status(world, "bob", "alice"))["status"] == "unknown"
        await trio.sleep(GRACE + 1)
        found = await status(world, "bob", "alice")
        assert (found["status"], found["last_seen"]) == ("offline", pytest.approx(last, abs=3))


async def test_a_device_that_took_over_and_never_got_to_ready_leaves_as_any_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, laptop = await world.connect("bob"), await world.connect("alice", "laptop")
    await follow(bob, "alice")
    await world.connect("alice", "phone")
    await laptop.event("goodbye")
    delay(monkeypatch)
    hello = {"event": "hello", "token": world.tokens["alice"]}
    second = await world.upgrade()
    await second.send({"type": "connection_event", "payload": hello, "meta": {"client_id": "phone"}})
    await trio.sleep(0.5)
    await second.cut()
    assert await now(bob) == []
    await trio.sleep(GRACE)
    assert await now(bob) == ["offline"]


async def test_what_is_chosen_during_ones_first_hello_counts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await world.connect("bob")
    await follow(bob, "alice")
    identity = await world.engine.accounts.identify(world.tokens["alice"])
    delay(monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.connect, "alice")
        await trio.sleep(0.5)
        chosen = decode('{"type": "status_update", "payload": {"status": "busy"}}')
        submission = await world.engine.dispatcher.draft(Caller(identity, None, "192.0.2.1"), chosen)
        await world.engine.router.send(submission)
    assert await now(bob) == ["busy"]


def delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a greeting take a second longer, before it is ready."""
    real = greeting.attach_device

    async def slow(*arguments: Any) -> Any:
        await trio.sleep(1)
        return await real(*arguments)

    monkeypatch.setattr(greeting, "attach_device", slow)


@pytest.mark.world("alice", "bob", RELAY_ACCOUNTS__DIRECTORY="shared")
async def test_whom_the_directory_hides_by_now_one_may_still_leave(world: World) -> None:
    bob = await world.connect("bob")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await follow(bob, "alice")
    await world.engine.groups.remove_member("alice", "team", "bob")
    await follow(bob, "alice", on=False)
    assert await world.engine.presence.following("bob") == []
    await bob.send({"type": "follow", "payload": {"user_ids": ["alice"], "follow": False}})
    assert (await bob.next("error"))["payload"]["code"] == "not_found"


async def test_a_status_that_ends_later_after_all_ends_then(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    began = world.engine.now()
    for seconds in (20, 40):
        await choose(alice, "busy", until=began + seconds)
    await bob.drain()
    assert (await bob.next("status_update"))["payload"] == {"status": "online"}
    assert world.engine.now() == pytest.approx(began + 40, abs=0.001)


@pytest.mark.world("alice", "bob", RELAY_PRESENCE__GRACE_SECONDS="0")
async def test_without_a_grace_a_cut_tells_at_once(world: World) -> None:
    bob, alice = await world.connect("bob"), await world.connect("alice")
    await follow(bob, "alice")
    await alice.cut()
    assert await now(bob) == ["offline"]


@pytest.mark.world("alice")
async def test_ones_own_devices_share_what_was_chosen(world: World) -> None:
    one, two = await world.connect("alice", "one"), await world.connect("alice", "two")
    answer = await choose(one, "busy", text="deep")
    mirrored = await two.next("status_update")
    assert mirrored["payload"] == {"status": "busy", "text": "deep"}
    assert mirrored["meta"]["message_id"] == answer["payload"]["message_id"]
    later = await world.connect("alice", "three")
    assert [frame["payload"] for frame in later.replayed] == [{"status": "busy", "text": "deep"}]


async def test_a_storm_of_reconnects_tells_nothing(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(60)]
    async with open_world(tmp_path, "watcher", *users) as world:
        watcher = await world.connect("watcher")
        await follow(watcher, *users)
        devices = [await world.connect(user) for user in users]
        await watcher.drain()
        for _ in range(3):
            for device in devices:
                await device.cut()
            await trio.sleep(5)
            devices = [await world.connect(user) for user in users]
        await trio.sleep(GRACE)
        assert [frame for frame in await watcher.drain() if frame["type"] == "status_update"] == []


async def test_who_is_gone_is_not_kept_in_memory(world: World) -> None:
    await choose(await world.connect("bob"), "offline")
    for user in ("alice", "bob"):
        device = await world.connect(user)
        await device.event("goodbye")
    await trio.sleep(5)
    assert world.engine.presence._states == {}
