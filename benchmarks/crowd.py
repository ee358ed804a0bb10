"""Devices that stay connected, and two users who talk meanwhile, in a process of their own.

`python -m benchmarks.crowd` reads who they are from its first line of input, says `ready`, and talks until its
input ends. Then it proves that every message arrived, and prints one pair for each delivery: the moment of it, by
the clock that all processes of a machine share, and how long it took; both in seconds.
"""

import gc
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import IO

import msgspec

from benchmarks.frames import MismatchError
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.server import Server
from benchmarks.traffic import Conversation, pace, settle

PACE = 20
END_SECONDS = 60


class Who(msgspec.Struct, frozen=True):
    """The devices of the crowd as user, token and client id; the first two are those who talk."""

    port: int
    devices: list[tuple[str, str, str]]


class Crowd:
    """The process of a crowd, as the one that started it sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", talk: IO[bytes], told: IO[bytes]) -> None:
        self._process, self._talk, self._told = process, talk, told
        self.deliveries: list[tuple[float, float]] = []

    def end(self) -> None:
        """Have it stop, and take what it measured.

        Raises:
            MismatchError: a device lost its connection, or a message was lost, doubled or altered.
        """
        self._talk.close()
        told = self._told.read()
        if self._process.wait(END_SECONDS) != 0:
            raise MismatchError("the crowd ended with an error, which is above")
        self.deliveries = msgspec.json.decode(told, type=list[tuple[float, float]])

    def between(self, begun: float, ended: float) -> list[float]:
        """Return how long each delivery of a stretch of time took, the shortest first, in seconds."""
        return sorted(took for at, took in self.deliveries if begun <= at <= ended)


@contextmanager
def gathered(server: Server, talkers: tuple[str, str], devices: list[tuple[str, str]]) -> Iterator[Crowd]:
    """Connect the two who talk, and devices given as user and client id; they stay until the end.

    Raises:
        MismatchError: one of them is refused.
    """
    everybody = [*((user, "talks") for user in talkers), *devices]
    who = Who(server.port, [(user, server.tokens[user], device) for user, device in everybody])
    command = [sys.executable, "-m", "benchmarks.crowd"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(who) + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"ready\n":
            raise MismatchError("the crowd did not come together; its error is above")
        yield Crowd(process, process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Connect everybody, talk until the input ends, and print the deliveries."""
    who = msgspec.json.decode(sys.stdin.buffer.readline(), type=Who)
    loop = Loop()
    clients = [Client(loop, *device) for device in who.devices]
    connect_all(loop, clients, who.port)
    gc.collect()
    gc.disable()
    sender, reader = clients[:2]
    conversation = Conversation("chat_message", reader.user, [sender], [sender, reader])
    print("ready", flush=True)
    deliveries: list[tuple[float, float]] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        before = conversation.delivered
        pace(loop, [conversation], PACE, 1.0)
        now = perf_counter()
        deliveries += [(now, took) for took in conversation.latencies[before:]]
    settle(loop, [conversation])
    if len(loop) != len(clients):
        raise MismatchError(f"of {len(clients)} devices {len(loop)} are connected")
    sys.stdout.buffer.write(msgspec.json.encode(deliveries))
    loop.close()


if __name__ == "__main__":
    main()
