"""Accepting connections where descriptors are few."""

from __future__ import annotations

import errno
import logging
import os
import resource
from typing import Any

import pytest
import trio
import trio.testing

from relay.transports import accepting
from relay.transports.lobby import Rarely


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Answers each accept with what is next."""

    def __init__(self, *answers: OSError | trio.abc.Stream) -> None:
        self.answers = list(answers)

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.answers:
            await trio.sleep_forever()
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_lack_of_descriptors_is_waited_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    stream, _ = trio.testing.memory_stream_pair()
    short = [OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS) * 20]
    listener: Any = Listener(*short, stream)
    served: list[object] = []

    async def serve(one: object) -> None:
        served.append((one, trio.current_time()))

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(accepting.accept, listener, serve, nursery, Rarely(logging.getLogger("test")))
        await trio.sleep(7)
        nursery.cancel_scope.cancel()
    assert served == [(stream, pytest.approx(began + 6))]
    assert len(caplog.records) == 1
    assert "ulimit -n" in caplog.text
    assert caplog.records[0].exc_info is None


async def serve_nothing(_stream: object) -> None:
    raise AssertionError("nothing was accepted")


async def test_another_fault_of_the_listener_is_a_fault() -> None:
    listener: Any = Listener(OSError(errno.EBADF, "closed"))
    log = Rarely(logging.getLogger("test"))
    async with trio.open_nursery() as nursery:
        with pytest.raises(OSError, match="closed"):
            await accepting.accept(listener, serve_nothing, nursery, log)


@pytest.mark.parametrize(
    ("limits", "found", "set_to"),
    [
        ((1024, 4096), 4096, (4096, 4096)),
        ((4096, 4096), 4096, None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 0, None),
    ],
)
def test_the_limit_on_open_files_is_raised_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], found: int, set_to: tuple[int, int] | None
) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, pair: said.append(pair))
    assert accepting.raise_file_limit() == found
    assert said == ([] if set_to is None else [set_to])


@pytest.mark.parametrize(("files", "room"), [(0, 0), (256, 192), (1024, 768), (1_048_576, 1_048_320)])
def test_some_files_are_kept_back_from_peers(files: int, room: int) -> None:
    assert accepting.room_for_peers(files) == room
