"""What a supervisor does with a server: it has it read its settings again, hands it its port, and is told how it does."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.server import Server
from tests.e2e.supervised import hand_over
from tests.e2e.wire import PATIENCE, request

pytestmark = pytest.mark.e2e


def wait_for(found: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_hangup_changes_limits_and_the_log_under_a_connection_that_stays(make_world: MakeWorld) -> None:
    world = make_world(("ann", "ben"), {"log": {"level": "error"}})
    server = world.server
    ann = world.device("ann")
    for number in range(3):
        ann.acked(ann.send("ben", str(number)))
    before = server.config.read_text()
    after = before.replace('"error"', '"info"').replace("messages_per_second = 0", "messages_per_second = 1")
    server.config.write_text(after.replace("messages_burst = 0", "messages_burst = 1"))
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the settings were read again" in server.log.read_text(), server.diagnosis())
    sent = [ann.send("ben", f"{number} of a flood") for number in range(30)]
    assert [ann.answer(one)["type"] for one in sent].count("error") > 10

    server.config.write_text("[limits]\nmesages_burst = 0\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "did you mean messages_burst?" in server.log.read_text(), server.diagnosis())
    ann.sync()  # neither this connection nor the server ended

    server.config.write_text(before.replace("[limits]", "[limits]\nbad_frames = 9"))
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.relay("reload") == "changed: nothing\n", server.diagnosis())
    for number in range(3):
        ann.acked(ann.send("ben", f"{number} again"))


def test_a_signal_without_a_use_is_a_line_in_the_log_and_no_end(make_world: MakeWorld) -> None:
    world = make_world(("ann", "ben"))
    ann = world.device("ann")
    assert world.server.process is not None
    for name in ("SIGUSR1", "SIGUSR2"):
        world.server.process.send_signal(signal.Signals[name])
        said = f"{name} has no use here"
        wait_for(lambda said=said: said in world.server.log.read_text(), world.server.diagnosis())
    ann.acked(ann.send("ben", "still here"))
    assert world.server.stop() == 0


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """The supervisor's end of `NOTIFY_SOCKET`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(PATIENCE)
        yield bound


def next_told(told: socket.socket, *wanted: str) -> None:
    """Wait for these, in this order; what is told besides is passed over."""
    for one in wanted:
        while one not in told.recv(4096).decode().splitlines():
            pass


def test_systemd_is_told_and_restarts_what_holds_its_port_without_a_refusal(
    tmp_path: Path, told: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        server = Server(tmp_path)
        variables = (f"NOTIFY_SOCKET={tmp_path / 'notify'}", "WATCHDOG_USEC=200000")
        hand_over(server, held, *variables)
        server.start()
        try:
            next_told(told, "READY=1", "WATCHDOG=1", "WATCHDOG=1")
            assert server.process is not None
            server.process.send_signal(signal.SIGHUP)
            next_told(told, "RELOADING=1", "READY=1", "WATCHDOG=1")
            server.process.send_signal(signal.SIGTERM)
            next_told(told, "STOPPING=1")
            assert server.stop() == 0
            with socket.create_connection(server.address, timeout=PATIENCE) as early:
                early.sendall(request("/healthz", upgrade=False))
                server.start()
                assert early.recv(13) == b"HTTP/1.1 200 "
        finally:
            server.stop()
