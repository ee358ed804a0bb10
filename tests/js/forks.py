"""Relay as a fork for the tests in node, as those in Python have it: a socket on which a program is asked for.

A connection is a program. Its first line is what to run; lines of what it says come back, and at last its exit code.
When node closes the connection, or ends, the program is killed.
"""

from __future__ import annotations

import codecs
import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.e2e.forking import ROOT, Forked, forks

_PART = 65_536


class _Program:
    """A program that node asked for, and what it says."""

    def __init__(self, connection: socket.socket, asked: dict[str, Any]) -> None:
        self._connection = connection
        self._opened: dict[int, tuple[str, codecs.IncrementalDecoder]] = {}
        with ExitStack() as stack:
            given = stack.enter_context(TemporaryFile())
            given.write(asked["input"].encode())
            given.seek(0)
            ends = []
            for name in ("out", "err"):
                reading, writing = os.pipe()
                self._opened[reading] = name, codecs.getincrementaldecoder("utf-8")("replace")
                ends.append(stack.enter_context(open(writing, "wb")))
            self._forked: Forked = forks().start(
                asked["words"], cwd=ROOT, env=asked["env"], stdin=given, stdout=ends[0], stderr=ends[1]
            )

    def pass_on(self) -> None:
        """Hand node what the program says, up to its end."""
        try:
            self._tell(pid=self._forked.pid)
            poll = select.poll()
            for descriptor in (self._connection.fileno(), *self._opened):
                poll.register(descriptor, select.POLLIN)
            left = set(self._opened)
            while left:
                for descriptor, _ in poll.poll():
                    if descriptor not in self._opened:
                        return  # node has ended: it says nothing more than its first line
                    if not self._read(descriptor):
                        poll.unregister(descriptor)
                        left.discard(descriptor)
            self._tell(code=self._forked.wait())
        except ConnectionError:
            pass
        finally:
            self._forked.kill()
            self._forked.wait()
            for descriptor in self._opened:
                os.close(descriptor)

    def _read(self, descriptor: int) -> bool:
        """Hand on what there is; return whether more may come."""
        name, decoder = self._opened[descriptor]
        data = os.read(descriptor, _PART)
        if text := decoder.decode(data, final=not data):
            self._tell(**{name: text})
        return bool(data)

    def _tell(self, **told: object) -> None:
        self._connection.sendall(json.dumps(told).encode() + b"\n")


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        if asked := lines.readline():
            _Program(connection, json.loads(asked)).pass_on()


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


@contextmanager
def offered(folder: Path) -> Iterator[Path]:
    """Give the path of such a socket, in a folder."""
    forks()  # begun by one thread
    path = folder / "forks"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        thread = threading.Thread(target=_accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # which ends a wait for the next one
            thread.join()
