"""The registry of connections: takeover, limits, flushing, and ending what must end."""

from __future__ import annotations

import pytest
import trio

from relay.protocol.errors import CloseCode, Disconnect
from relay.protocol.framing import text_frame
from relay.services.connections import WebSocketManager
from tests.services.recorder import attach

FRAME = text_frame(b'{"n":1}')


def test_devices_of_one_user_live_side_by_side() -> None:
    manager = WebSocketManager()
    one, two = attach(manager, "alice", "one")[0], attach(manager, "alice", "two")[0]
    assert manager.of("alice") == {"one": one, "two": two}
    assert manager.statistics() == (2, 1)
    assert set(manager) == {one, two}
    assert manager.of("bob") == {}


def test_a_newer_connection_of_a_device_takes_over() -> None:
    manager = WebSocketManager(per_user=1)
    old, recorder = attach(manager, "alice", "one")
    new, _ = attach(manager, "alice", "one")
    assert recorder.ended == [CloseCode.REPLACED]
    assert manager.of("alice") == {"one": new}
    assert manager.unregister(old) is False
    assert manager.statistics() == (1, 1)
    assert manager.unregister(new) is True
    assert manager.unregister(new) is False
    assert manager.statistics() == (0, 0)


def test_one_user_and_the_whole_server_have_their_limits() -> None:
    manager = WebSocketManager(per_user=2, total=3)
    attach(manager, "alice", "one")
    attach(manager, "alice", "two")
    with pytest.raises(Disconnect) as refused:
        attach(manager, "alice", "three")
    assert refused.value.code is CloseCode.TOO_MANY_CONNECTIONS
    attach(manager, "bob")
    with pytest.raises(Disconnect) as refused:
        attach(manager, "carol")
    assert refused.value.code is CloseCode.OVERLOADED
    attach(manager, "bob")
    assert manager.statistics() == (3, 2)


def test_what_was_pushed_goes_out_by_one_flush() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice")
    for _ in range(5):
        connection.push(FRAME)
    assert recorder.frames == []
    manager.flush()
    manager.flush()
    assert recorder.frames == [{"n": 1}] * 5
    assert recorder.flushes == 1


async def test_what_may_wait_a_moment_goes_out_by_one_flush_again_and_again() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.run)
        for _ in range(2):
            recorder.frames.clear()
            began = trio.current_time()
            for _ in range(3):
                connection.push_transient(FRAME)
                manager.flush_soon()
                await trio.sleep(0.004)
            assert recorder.frames == []
            with trio.fail_after(1):
                while not recorder.frames:
                    await trio.sleep(0.001)
            assert trio.current_time() - began == pytest.approx(0.02, abs=0.0015)
            assert recorder.frames == [{"n": 1}] * 3
            await trio.sleep(1)
        nursery.cancel_scope.cancel()


def test_a_connection_that_is_not_live_keeps_what_it_is_owed_and_no_transient() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice")
    recorder.open = False
    connection.push(FRAME)
    connection.push_transient(FRAME)
    manager.flush()
    assert recorder.frames == []
    recorder.open = True
    connection.push(FRAME)
    manager.flush()
    assert len(recorder.frames) == 2


def test_a_device_in_the_background_gets_no_transient() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice")
    connection.active = False
    connection.push_transient(FRAME)
    connection.push_latest(FRAME, ("k",))
    manager.flush()
    assert len(recorder.frames) == 1


def test_an_overflow_ends_the_connection_at_the_flush_and_not_before() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice", max_frames=2)
    recorder.stuck = True
    for _ in range(4):
        connection.push(FRAME)
        assert recorder.ended == []
    manager.flush()
    assert recorder.ended[0] is CloseCode.TOO_SLOW


def test_nothing_waits_for_a_connection_that_overflowed_and_nothing_is_sent_to_it() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice", max_frames=2)
    recorder.stuck = True
    for _ in range(3):
        connection.push(FRAME)
    assert len(connection.outbox) == 0
    recorder.stuck = False
    connection.push(FRAME)
    connection.push_latest(FRAME, ("k",))
    connection.push_transient(FRAME)
    manager.flush()
    assert recorder.frames == []


def test_who_takes_what_is_sent_is_not_too_slow_for_a_batch_larger_than_a_queue() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice", max_frames=2)
    for number in range(7):
        connection.push(FRAME)
        connection.push_latest(FRAME, (number,))
    manager.flush()
    assert recorder.ended == []
    assert len(recorder.frames) == 14


def test_an_overflow_before_the_replay_is_over_sends_nothing_ahead_of_it() -> None:
    manager = WebSocketManager()
    connection, recorder = attach(manager, "alice", max_frames=2)
    recorder.open = False
    for _ in range(4):
        connection.push(FRAME)
    manager.flush()
    assert recorder.frames == []
    assert recorder.ended[0] is CloseCode.TOO_SLOW


def test_ending_a_token_ends_its_connections_only() -> None:
    manager = WebSocketManager()
    ends = {name: attach(manager, name, token_id=token)[1] for name, token in (("a", "1"), ("b", "2"), ("c", "1"))}
    manager.end_token("1", CloseCode.SESSION_REVOKED)
    assert {name: end.ended for name, end in ends.items()} == {
        "a": [CloseCode.SESSION_REVOKED], "b": [], "c": [CloseCode.SESSION_REVOKED],
    }  # fmt: skip


def test_ending_a_user_ends_every_device() -> None:
    manager = WebSocketManager()
    ends = [attach(manager, "alice", name)[1] for name in "abc"]
    _, other = attach(manager, "bob")
    manager.end_user("alice", CloseCode.ACCOUNT_DISABLED)
    assert [end.ended for end in ends] == [[CloseCode.ACCOUNT_DISABLED]] * 3
    assert other.ended == []


def test_settling_tells_who_waits() -> None:
    manager = WebSocketManager()
    calls: list[int] = []
    connection, _ = attach(manager, "alice", on_settled=lambda: calls.append(connection.in_flight))
    connection.in_flight = 2
    connection.settle()
    connection.settle()
    assert calls == [1, 0]
