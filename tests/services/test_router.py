"""The router: gather, commit, fan out; and what becomes of messages when a commit fails or somebody leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.engine import Engine
from relay.protocol.errors import CloseCode, ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.services import router as routing
from relay.services.envelopes import ack_payload
from relay.services.router import Submission
from relay.testing import World
from relay.testing import world as open_world
from tests.services.recorder import Recorder, attach, submission, submit_to
from tests.storage.books import message


async def set_pages(engine: Engine, count: int) -> None:
    await engine.runner.write(lambda c: c.execute(f"PRAGMA max_page_count = {count}").fetchall())


async def fill_the_disk(engine: Engine) -> None:
    """Leave the database no room for even one message more."""
    pages = await engine.runner.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await set_pages(engine, pages)


def big(item: Submission) -> Submission:
    item.entry.payload = '{"content":"%s"}' % ("x" * 100_000)
    return item


async def test_a_message_is_stored_acked_and_delivered(world: World) -> None:
    connection, alice = attach(world.engine.connections, "alice")
    _, bob = attach(world.engine.connections, "bob")
    world.engine.router.submit_nowait(await submission(world.engine, "alice", "bob", "1", connection))
    await world.engine.router.wait_idle()
    (ack,), (delivered,) = alice.take(), bob.take()
    assert ack["type"] == "ack"
    assert ack["meta"] == {"ref": "1"}
    assert ack["payload"] == {
        "timestamp": delivered["meta"]["timestamp"], "duplicate": False, "message_id": 1, "seq": 1,
    }  # fmt: skip
    assert delivered["meta"]["message_id"] == delivered["meta"]["seq"] == 1
    assert (connection.in_flight, connection.sent_cursor) == (0, 1)


@pytest.mark.parametrize(("count", "queued"), [(1, 0), (2, 2)])
async def test_a_sender_is_acked_before_others_are_sent_what_they_said(
    world: World, count: int, queued: int
) -> None:
    connection, alice = attach(world.engine.connections, "alice")
    _, bob = attach(world.engine.connections, "bob")
    written: list[tuple[str, int]] = []
    alice.before_flush = lambda: written.append(("to alice", len(bob.outbox)))
    bob.before_flush = lambda: written.append(("to bob", len(bob.outbox)))
    for number in range(count):
        item = await submission(world.engine, "alice", "bob", f"{number}", connection)
        world.engine.router.submit_nowait(item)
    await world.engine.router.wait_idle()
    assert written == [("to alice", queued), ("to bob", count)]
    assert [frame["type"] for frame in alice.take()] == ["ack"] * count


@pytest.mark.world("alice", "bob", RELAY_STORAGE__BATCH_MESSAGES="10")
async def test_what_waits_together_is_one_batch_up_to_its_size(world: World) -> None:
    router = world.engine.router
    before = router.statistics().batches
    for _ in range(25):
        router.submit_nowait(await submission(world.engine, "alice", "bob"))
    assert router.statistics().waiting == 25
    await router.wait_idle()
    after = router.statistics()
    assert (after.batches - before, after.stored, after.waiting, after.position) == (3, 25, 0, 25)


async def test_every_connection_gets_its_acks_and_deliveries_in_the_order_of_their_positions(
    tmp_path: Path,
) -> None:
    names = ("alice", "bob", "carol")
    async with open_world(tmp_path, *names, RELAY_STORAGE__BATCH_MESSAGES="7") as world:
        await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
        ends = {name: attach(world.engine.connections, name) for name in names}

        async def chatter(name: str) -> None:
            others = [other for other in names if other != name]
            for number in range(40):
                target = ("team", *others)[number % 3]
                origin = ends[name][0]
                world.engine.router.submit_nowait(
                    await submission(world.engine, name, target, f"{number // 2}", origin)
                )
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(chatter, name)
        await world.engine.router.wait_idle()
        for _, recorder in ends.values():
            assert len(recorder.frames) > 40
            fresh = [frame for frame in recorder.frames if not frame["payload"].get("duplicate")]
            recorder.frames = [frame for frame in fresh if frame["type"] != "error"]
            assert recorder.positions() == sorted(set(recorder.positions()))


async def test_a_commit_that_fails_is_answered_overloaded_and_a_later_try_is_stored(world: World) -> None:
    connection, alice = attach(world.engine.connections, "alice")
    _, bob = attach(world.engine.connections, "bob")
    router = world.engine.router
    first = await submission(world.engine, "alice", "bob", "1", connection)
    second = await submission(world.engine, "alice", "bob", "2", connection)
    await fill_the_disk(world.engine)
    router.submit_nowait(big(first))
    router.submit_nowait(big(second))
    await router.wait_idle()
    for frame, ref in zip(alice.take(), ("1", "2"), strict=True):
        assert (frame["type"], frame["meta"]["ref"]) == ("error", ref)
        assert (frame["payload"]["code"], frame["payload"]["retry"]) == ("overloaded", True)
        assert frame["payload"]["retry_after"] > 0
    assert bob.take() == []
    assert (router.position, connection.in_flight, connection.sent_cursor) == (0, 0, 0)
    await set_pages(world.engine, 1_000_000)
    router.submit_nowait(await submission(world.engine, "alice", "bob", "1", connection))
    await router.wait_idle()
    assert alice.take()[0]["payload"]["seq"] == 1
    assert [frame["meta"]["message_id"] for frame in bob.take()] == [1]


async def test_a_batch_that_fails_answers_who_waits_with_send(world: World) -> None:
    item = big(await submission(world.engine, "alice", "bob", "1"))
    await fill_the_disk(world.engine)
    with pytest.raises(RelayError) as failed:
        await world.engine.router.send(item)
    assert failed.value.code is ErrorCode.OVERLOADED
    await set_pages(world.engine, 1_000_000)
    assert (await world.engine.router.send(await submission(world.engine, "alice", "bob", "1"))).seq == 1


async def test_a_member_removed_between_submit_and_commit_is_refused_and_told_at_once(world: World) -> None:
    engine = world.engine
    team = await engine.groups.create("alice", "Team", ["bob"], "team")
    connection, bob = attach(engine.connections, "bob")
    engine.router.submit_nowait(submit_to(team, "bob", "team", "1", connection))
    del team.members["bob"]
    await trio.testing.wait_all_tasks_blocked()
    (error,) = bob.take()
    assert (error["payload"]["code"], error["meta"]["ref"]) == ("not_found", "1")
    assert connection.in_flight == 0
    assert engine.router.position == 1


async def test_a_message_to_a_group_that_is_closed_meanwhile_is_refused(world: World) -> None:
    group = await world.engine.groups.create("alice", "Team", ["bob"], "team")
    connection, bob = attach(world.engine.connections, "bob")
    world.engine.router.submit_nowait(await submission(world.engine, "bob", "team", "1", connection))
    group.set_rights(group.chosen, closed=True, defaults=world.engine.channels.default_rights)
    await world.engine.router.wait_idle()
    (refusal,) = bob.take()
    assert refusal["payload"]["details"]["reason"] == "group_closed"


async def test_a_change_of_members_ends_its_batch(world: World) -> None:
    engine = world.engine
    team = await engine.groups.create("alice", "Team", ["bob"], "team")
    connection, bob = attach(engine.connections, "bob")
    batches = engine.router.statistics().batches
    engine.router.submit_nowait(submit_to(team, "bob", "team", "before", connection))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.groups.remove_member, "alice", "team", "bob")
        await trio.testing.wait_all_tasks_blocked(cushion=0)
    engine.router.submit_nowait(submit_to(team, "bob", "team", "after", connection))
    await trio.testing.wait_all_tasks_blocked()
    answers = {frame["meta"]["ref"]: frame["type"] for frame in bob.take() if "ref" in frame["meta"]}
    assert answers == {"before": "ack", "after": "error"}
    assert engine.router.statistics().batches > batches


async def test_messages_behind_a_removal_in_the_queue_meet_the_new_membership(world: World) -> None:
    engine = world.engine
    team = await engine.groups.create("alice", "Team", ["bob"], "team")
    connection, bob = attach(engine.connections, "bob")
    _, alice = attach(engine.connections, "alice")

    def remove(_entry: Any) -> None:
        team.members.pop("bob", None)

    for own_id in ("1", "2"):
        engine.router.submit_nowait(submit_to(team, "bob", "team", own_id, connection))
    entry = message(team.channel_id, "alice")
    engine.router.submit_nowait(Submission(entry, team, changes_members=True, committed=remove))
    for own_id in ("3", "4"):
        engine.router.submit_nowait(submit_to(team, "bob", "team", own_id, connection))
    await engine.router.wait_idle()
    await trio.testing.wait_all_tasks_blocked()
    kinds = [(frame["type"], frame["meta"].get("ref")) for frame in bob.take()]
    assert sorted(kinds, key=str) == sorted(
        [("ack", "1"), ("ack", "2"), ("chat_message", None), ("error", "3"), ("error", "4")], key=str
    )
    assert len(alice.take()) == 3


async def test_wait_idle_returns_at_once_when_nothing_is_there_and_else_after_the_acks(world: World) -> None:
    await world.engine.router.wait_idle()
    connection, alice = attach(world.engine.connections, "alice")
    for number in range(30):
        world.engine.router.submit_nowait(await submission(world.engine, "alice", "bob", f"{number}", connection))
    await world.engine.router.wait_idle()
    assert len(alice.take()) == 30


async def test_wait_idle_waits_for_a_fan_out_that_takes_long(tmp_path: Path) -> None:
    environ = {"RELAY_LIMITS__CONNECTIONS_PER_USER": "0"}
    async with open_world(tmp_path, "alice", "bob", **environ) as world, trio.open_nursery() as nursery:
        router, engine = world.engine.router, world.engine
        ends = [attach(engine.connections, "bob", f"d{number}")[1] for number in range(200)]
        for end in ends:
            end.stuck = True
        seen: list[int] = []

        async def wait() -> None:
            await router.wait_idle()
            seen.append(min(len(end.outbox) for end in ends))

        def halfway(item: Submission) -> None:
            if item.entry.seq == 250:
                nursery.start_soon(wait)

        router._observers.append(halfway)
        for _ in range(500):
            router.submit_nowait(await submission(engine, "alice", "bob"))
        await router.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [500]


async def test_in_the_middle_of_a_fan_out_the_position_is_that_of_the_last_message_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"RELAY_LIMITS__CONNECTIONS_PER_USER": "0"}
    async with open_world(tmp_path, "alice", "bob", **environ) as world:
        router, engine = world.engine.router, world.engine
        _, bob = attach(engine.connections, "bob")
        for number in range(90):  # so that one message is enough bytes for a flush
            attach(engine.connections, "bob", f"d{number}")[1].stuck = True
        seen: set[tuple[int, int]] = set()
        flush = engine.connections.flush

        def look() -> None:  # other tasks get their turn after a flush, and whether one does is trio's choice
            flush()
            seen.add((router.position, max(bob.positions(), default=0)))

        monkeypatch.setattr(engine.connections, "flush", look)
        for _ in range(2):
            router.submit_nowait(big(await submission(engine, "alice", "bob")))
        await router.wait_idle()
    assert seen - {(0, 0), (2, 2)} == {(1, 1)}


async def test_other_tasks_get_their_turns_in_the_middle_of_a_fan_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_FANOUT_SLICE", 0)
    router = world.engine.router
    attach(world.engine.connections, "bob")
    items = [await submission(world.engine, "alice", "bob") for _ in range(30)]
    batches, seen = router.statistics().batches, set()

    async def look() -> None:
        while True:
            seen.add(router.position)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for item in items:
            router.submit_nowait(item)
        await router.wait_idle()
        nursery.cancel_scope.cancel()
    assert router.statistics().batches == batches + 1
    assert seen > {0, 30}, "whose turn comes first is trio's choice, and hardly the same one 30 times"


async def test_what_is_transient_goes_out_at_once_and_is_acked_where_it_has_an_id(world: World) -> None:
    connection, alice = attach(world.engine.connections, "alice")
    _, phone = attach(world.engine.connections, "alice", "phone")
    _, bob = attach(world.engine.connections, "bob")
    asleep, sleeping = attach(world.engine.connections, "bob", "asleep")
    asleep.active = False
    for own_id in ("1", None):
        item = await submission(world.engine, "alice", "bob", own_id, connection)
        item.entry.kind = Kind.TRANSIENT
        world.engine.router.submit_nowait(item)
    (ack,) = alice.take()
    assert (ack["type"], ack["meta"]["ref"]) == ("ack", "1")
    assert set(ack["payload"]) == {"timestamp", "duplicate"}
    assert len(bob.take()) == len(phone.take()) == 2
    assert sleeping.take() == []
    assert connection.in_flight == 0
    assert world.engine.router.statistics().stored == 0
    assert await world.history("bob", "user", "alice") == []


async def test_a_value_for_one_reaches_that_one_only(world: World) -> None:
    _, alice = attach(world.engine.connections, "alice")
    _, bob = attach(world.engine.connections, "bob")
    for kind in (Kind.LATEST, Kind.TRANSIENT):
        item = await submission(world.engine, "alice", "bob")
        item.entry.kind, item.entry.only_for = kind, "alice"
        world.engine.router.submit_nowait(item)
        await world.engine.router.wait_idle()
        assert len(alice.take()) == 1
        assert bob.take() == []


async def test_an_older_value_that_still_waits_gives_way(world: World) -> None:
    _, bob = attach(world.engine.connections, "bob")
    bob.stuck = True
    for number in range(3):
        item = await submission(world.engine, "alice", "bob")
        item.entry.kind, item.entry.payload = Kind.LATEST, f'{{"content":"{number}"}}'
        await world.engine.router.send(item)
    bob.stuck = False
    bob.flush()
    assert [frame["payload"]["content"] for frame in bob.frames] == ["2"]


@pytest.mark.world("alice", "bob", RELAY_LIMITS__PENDING="3")
async def test_too_many_that_wait_are_answered_overloaded(world: World) -> None:
    items = [await submission(world.engine, "alice", "bob") for _ in range(4)]
    for item in items[:3]:
        world.engine.router.submit_nowait(item)
    with pytest.raises(RelayError) as refused:
        world.engine.router.submit_nowait(items[3])
    assert (refused.value.code, refused.value.retry_after) == (ErrorCode.OVERLOADED, 1.0)
    await world.engine.router.wait_idle()
    world.engine.router.submit_nowait(items[3])


@pytest.mark.world("alice", "bob", RELAY_LIMITS__PENDING="3", RELAY_STORAGE__BATCH_MESSAGES="2")
async def test_messages_that_belong_together_are_one_batch_and_answered_when_all_are_stored(world: World) -> None:
    router = world.engine.router
    router.submit_nowait(await submission(world.engine, "alice", "bob"))
    with pytest.raises(RelayError, match="too many"):
        await router.send_together([await submission(world.engine, "alice", "bob") for _ in range(3)])
    assert router.statistics().waiting == 1, "none of them was taken"
    await router.wait_idle()
    before = router.statistics().batches
    entries = await router.send_together([await submission(world.engine, "alice", "bob") for _ in range(3)])
    assert [entry.message_id for entry in entries] == [2, 3, 4]
    assert router.statistics().batches == before + 1, "although it is larger than a batch"


async def test_a_refusal_of_the_last_of_several_that_belong_together_is_raised(world: World) -> None:
    several = [await submission(world.engine, "alice", "bob", own_id) for own_id in ("1", "2", "1")]
    several[-1].entry.digest = b"other"
    with pytest.raises(RelayError) as refusal:
        await world.engine.router.send_together(several)
    assert refusal.value.code is ErrorCode.CONFLICT


async def test_values_of_two_users_that_wait_both_arrive(world: World) -> None:
    _, bob = attach(world.engine.connections, "bob")
    bob.stuck = True
    for sender, target in (("alice", "bob"), ("bob", "alice")):
        item = await submission(world.engine, sender, target)
        item.entry.kind = Kind.LATEST
        await world.engine.router.send(item)
    bob.stuck = False
    bob.flush()
    assert bob.positions() == [1, 2]


async def test_the_position_that_a_connection_was_sent_follows_deliveries_and_acks_and_never_falls(
    world: World,
) -> None:
    router, engine = world.engine.router, world.engine
    alice, _ = attach(engine.connections, "alice")
    bob, _ = attach(engine.connections, "bob")
    for own_id, sent in (("1", 1), ("2", 2), ("1", 2)):  # the last one is a retry
        await router.send(await submission(engine, "alice", "bob", own_id, alice))
        assert (alice.sent_cursor, bob.sent_cursor) == (sent, sent)


async def test_one_that_cannot_keep_up_is_ended_and_the_others_are_served(world: World) -> None:
    _, slow = attach(world.engine.connections, "bob", "slow", max_frames=5)
    _, good = attach(world.engine.connections, "bob", "good")
    slow.stuck = True
    for _ in range(20):
        await world.engine.router.send(await submission(world.engine, "alice", "bob"))
    assert slow.ended[0] is CloseCode.TOO_SLOW
    assert good.positions() == list(range(1, 21))
    assert good.ended == []


async def test_an_observer_learns_of_what_was_stored_and_of_nothing_else(tmp_path: Path) -> None:
    seen: list[str | None] = []
    async with open_world(tmp_path, "alice", "bob") as world:
        world.engine.router._observers.append(lambda item: seen.append(item.entry.own_id))
        for own_id in ("1", "1", "2"):
            await world.engine.router.send(await submission(world.engine, "alice", "bob", own_id))
    assert seen == ["1", "2"]


async def test_a_duplicate_is_acked_as_its_first_was_and_delivered_to_nobody(world: World) -> None:
    _, bob = attach(world.engine.connections, "bob")
    first, again = [
        await world.engine.router.send(await submission(world.engine, "alice", "bob", "1")) for _ in range(2)
    ]
    assert ack_payload(again) == ack_payload(first) | {"duplicate": True}
    assert len(bob.take()) == 1


def test_a_recorder_reads_frames_of_both_lengths() -> None:
    from relay.protocol.framing import text_frame

    recorder = Recorder()
    recorder.outbox.push(text_frame(b'{"a":1}'))
    recorder.outbox.push(text_frame(b'{"b":"%s"}' % (b"x" * 300)))
    recorder.flush()
    assert recorder.frames == [{"a": 1}, {"b": "x" * 300}]


async def test_who_follows_the_log_waits_until_it_grows(world: World) -> None:
    router = world.engine.router
    assert await router.wait_beyond(-1) == 0
    reached: list[int] = []

    async def follow() -> None:
        while True:
            reached.append(await router.wait_beyond(reached[-1] if reached else 0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        for _ in range(3):
            router.submit_nowait(await submission(world.engine, "alice", "bob"))
        await trio.sleep(1)
        assert reached == [3]
        await router.send(await submission(world.engine, "alice", "bob"))
        await trio.sleep(1)
        assert reached == [3, 4]
        nursery.cancel_scope.cancel()


async def test_a_batch_is_bounded_in_bytes_and_goes_out_in_slices(world: World) -> None:
    router, connections = world.engine.router, world.engine.connections
    _, bob = attach(connections, "bob")
    before = router.statistics().batches
    for _ in range(25):
        router.submit_nowait(big(await submission(world.engine, "alice", "bob")))
    await router.wait_idle()
    assert router.statistics().batches - before == 13, "two of 100,000 characters each, and the last"
    assert bob.flushes >= 12, "no more than two of them wait for a flush"
    assert bob.ended == []
