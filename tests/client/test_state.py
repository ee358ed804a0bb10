"""The state file: what outlives a process, and who may use it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio_websocket import wrap_server_stream

import relay.client
from relay.client import RelayClosed, StateError
from relay.client.events import encode
from relay.client.outbox import Message
from relay.client.state import Change, StateFile
from tests.client.peer import Far, Peer

# Takes the file, tells what it has saved, and waits to be killed: nothing is closed or rolled back on the way out.
WRITER = """
import sys, trio, relay.client

async def main():
    async def dial():
        raise ConnectionRefusedError("nobody there")

    async with relay.client.connect("http://h", "t", state=sys.argv[1], dial=dial) as client:
        for number in range(5):
            pending = client.send_nowait("chat_message", {"content": str(number)}, target_id="bob", id=f"m{number}")
        await pending.wait_saved()
        print(client.client_id, flush=True)
        await trio.sleep(60)

trio.run(main)
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)


async def test_the_file_is_readable_by_its_owner_only(peer: Peer, tmp_path: Path) -> None:
    async with peer.connect(state=tmp_path):
        modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert "relay-client.db" in modes
    assert set(modes.values()) == {0o600}


async def test_identity_and_position_outlive_the_client(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "state"
    async with peer.connect(state=path) as client:
        far = await peer.live(cursor=41)
        await far.message(42)
        async for event in client:
            if event.message_id == 42:
                break
        name = client.client_id
    async with peer.connect(state=path) as client:
        hello = await (await peer.accept()).ready()
        assert (hello["session_id"], hello["cursor"], hello["epoch"]) == ("s1", 42, "e1")
        assert (hello["client_id"], client.client_id) == (name, name)


async def test_an_event_whose_handling_failed_is_given_again(peer: Peer, tmp_path: Path) -> None:
    async def handle() -> None:
        async with peer.connect(state=tmp_path) as client:
            async for event in client:
                if event.message_id == 42:
                    raise LookupError("the handler is broken")

    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            far = await peer.live(cursor=41)
            await far.message(42)
            await far.closed()

        nursery.start_soon(serve)
        with pytest.raises(LookupError):
            await handle()
    async with peer.connect(state=tmp_path):
        assert (await (await peer.accept()).ready())["cursor"] == 41


async def test_a_replay_cut_by_a_restart_gives_nothing_twice(peer: Peer, tmp_path: Path) -> None:
    got: list[int | None] = []
    async with peer.connect(state=tmp_path) as client:
        far = await peer.accept()
        await far.ready()
        for number in (30, 20, 10):
            await far.message(number, replay=True)
        async for event in client:
            got.append(event.message_id)
            if event.message_id == 20:
                break
    async with peer.connect(state=tmp_path) as client:
        far = await peer.accept()
        assert "cursor" not in await far.ready()
        for number in (30, 20, 10):
            await far.message(number, replay=True)
        await far.synced(30)
        async for event in client:
            got.append(event.message_id)
            if event.event == "synced":
                break
    assert [number for number in got if number is not None] == [30, 20, 10]


async def test_unanswered_messages_go_out_after_a_restart_before_new_ones(peer: Peer, tmp_path: Path) -> None:
    async with peer.connect(state=tmp_path) as client:
        far = await peer.live()
        waiting = [client.send_nowait("chat_message", {"content": str(n)}, target_id="bob") for n in range(4)]
        first = [await far.receive_message() for _ in range(4)]
        await far.ack(waiting[1].id, 101)
        await waiting[1].wait()
    with pytest.raises(RelayClosed):
        await waiting[0].wait()
    async with peer.connect(state=tmp_path) as client:
        client.send_nowait("chat_message", {"content": "new"}, target_id="bob")
        far = await peer.live()
        again = [await far.receive_message() for _ in range(4)]
        assert again[:3] == [first[0], first[2], first[3]]
        assert again[3]["payload"] == {"content": "new"}


async def test_what_a_killed_process_had_saved_is_sent_by_the_next(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "state"
    writer = start_writer(path)
    try:
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        with pytest.raises(StateError, match="in use by another process"):
            async with peer.connect(state=path):
                pass
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    async with peer.connect(state=path) as client:
        far = await peer.accept()
        assert (await far.ready())["client_id"] == name == client.client_id
        sent = [await far.receive_message() for _ in range(5)]
        assert [frame["meta"]["id"] for frame in sent] == [f"m{number}" for number in range(5)]


async def test_the_file_of_one_user_is_not_used_with_another_ones_token(peer: Peer, tmp_path: Path) -> None:
    async with peer.connect(state=tmp_path) as client:
        await peer.live()
        await client.wait_live()
    async with peer.connect(state=tmp_path) as client:
        far = await peer.accept()
        client.send_nowait("chat_message", {"content": "as alice"}, target_id="bob")
        await far.ready(user_id="mallory")
        with pytest.raises(StateError, match="alice"):
            await client.wait_live()


async def test_a_file_that_is_no_state_is_refused_and_left_alone(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("dear bob, " * 1_000)
    with pytest.raises(StateError, match=r"letter\.txt"):
        async with peer.connect(state=path):
            pass
    assert path.read_text() == "dear bob, " * 1_000


async def test_a_disk_that_fails_ends_the_client_with_the_reason(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: StateFile, change: Change) -> None:
        raise StateError("database or disk is full")

    async with peer.connect(state=tmp_path) as client:
        await peer.live()
        await client.wait_live()
        monkeypatch.setattr(StateFile, "write", full)
        pending = client.send_nowait("chat_message", {"content": "a"}, target_id="bob")
        with pytest.raises(RelayClosed):
            await pending.wait()
        with pytest.raises(StateError, match="full"):
            await client.wait_live()


def test_a_new_log_forgets_which_messages_of_the_old_one_were_taken(tmp_path: Path) -> None:
    file = StateFile.open(tmp_path)
    file.write(Change({"epoch": "e1"}, [Message(1, "m1", encode("t", {}, {}), None)], [], [5, 6]))
    assert file.load().taken == [5, 6]
    file.write(Change({"cursor": 5}, [], [], []))
    assert file.load().taken == [6]
    file.write(Change({"epoch": "e2", "cursor": None}, [], [1], [], new_log=True))
    saved = file.load()
    assert (saved.taken, saved.outbox, saved.facts) == ([], [], {"epoch": "e2", "cursor": None})
    file.close()


@pytest.mark.real_time
async def test_a_client_with_a_file_works_with_real_threads_and_sockets(tmp_path: Path) -> None:
    answered: list[int | None] = []
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def serve(stream: trio.SocketStream) -> None:
            async with trio.open_nursery() as inner:
                request = await wrap_server_stream(inner, stream)
                far = Far(await request.accept(), stream)
                await far.welcome(0)
                frame = await far.receive_message()
                await far.ack(frame["meta"]["id"], 1)
                await far.closed()
                inner.cancel_scope.cancel()

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(10):
            async with relay.client.connect(f"ws://127.0.0.1:{port}/ws", "t", state=tmp_path) as client:
                ack = await client.send("chat_message", {"content": "hi"}, target_id="bob")
                answered.append(ack.message_id)
        nursery.cancel_scope.cancel()
    assert answered == [1]
