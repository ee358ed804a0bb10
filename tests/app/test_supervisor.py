"""What the supervisor is told, and that a bad address of its socket harms nobody."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from relay.app.supervisor import Supervisor


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        yield one


def told(bound: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(bound.recv(4096).decode())
        except BlockingIOError:
            return found


def test_each_change_is_one_datagram(bound: socket.socket) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": bound.getsockname()})
    supervisor.ready()
    supervisor.reloading(True)
    supervisor.reloading(False)
    supervisor.stopping()
    first, began, *rest = told(bound)
    assert [first, *rest] == ["READY=1", "READY=1", "STOPPING=1"]
    assert began.startswith("RELOADING=1\nMONOTONIC_USEC=")


async def test_the_watchdog_hears_twice_in_its_interval(bound: socket.socket, nursery: trio.Nursery) -> None:
    asked = {"NOTIFY_SOCKET": bound.getsockname(), "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    nursery.start_soon(Supervisor(asked).keep_watchdog)
    await trio.sleep(39)
    assert told(bound) == ["WATCHDOG=1"] * 4
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "asked", [{}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}], ids=str
)
async def test_a_watchdog_that_asks_for_nothing_hears_nothing(bound: socket.socket, asked: dict[str, str]) -> None:
    await Supervisor({"NOTIFY_SOCKET": bound.getsockname(), **asked}).keep_watchdog()
    assert told(bound) == []


async def test_without_a_supervisor_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    alone = Supervisor({"WATCHDOG_USEC": "1000"})
    alone.ready()
    await alone.keep_watchdog()
    assert caplog.records == []


def test_a_socket_that_is_not_there_is_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "no")}).ready()
    (record,) = caplog.records
    assert "NOTIFY_SOCKET cannot be told 'READY=1': No such file" in record.getMessage()
