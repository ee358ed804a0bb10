"""Sockets that a supervisor hands over."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from relay.transports import listening
from relay.transports.listening import CannotListen, handed_over

HANDED = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
"""What a supervisor sets for this process, which gives it one socket."""


def first_is(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(listening, "_FIRST_HANDED", number)


def test_what_is_handed_over_is_copied_and_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        first_is(monkeypatch, held.fileno())
        (found,) = handed_over(HANDED)
        with found:
            assert found.getsockname() == held.getsockname()
            assert not os.get_inheritable(found.fileno())
            assert not os.get_inheritable(held.fileno())
        with socket.create_connection(held.getsockname(), timeout=5):
            pass  # closing the copy has closed nothing else


@pytest.mark.parametrize("environ", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}], ids=str)
def test_what_is_meant_for_another_process_is_left_alone(environ: dict[str, str]) -> None:
    assert handed_over(environ) == []


def test_a_number_that_is_none_is_named() -> None:
    with pytest.raises(CannotListen, match="LISTEN_FDS says how many sockets are handed over, and is 'many'"):
        handed_over(HANDED | {"LISTEN_FDS": "many"})


def test_what_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as silent, socket.socket(socket.AF_UNIX) as other, (tmp_path / "file").open("w") as file:
        other.bind(str(tmp_path / "unix"))
        other.listen()
        for number in (silent.fileno(), other.fileno()):
            first_is(monkeypatch, number)
            with pytest.raises(CannotListen, match="is no listening TCP socket; use ListenStream="):
                handed_over(HANDED)
        first_is(monkeypatch, file.fileno())
        with pytest.raises(CannotListen, match="is no socket"):
            handed_over(HANDED)
    first_is(monkeypatch, 10_000)
    with pytest.raises(CannotListen, match="descriptor 10000 is no socket: Bad file descriptor"):
        handed_over(HANDED)
