"""What the comparison needs of a server: to start it, and to be its client."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.frames import MismatchError
from benchmarks.loop import Connection, Loop
from benchmarks.machine import memory_kib, process_seconds

START_SECONDS, STOP_SECONDS = 90, 20
TEXT_BYTES = 200
"""Bytes of each message's text: its name and what fills it up."""
ON_DISK, ON_ITS_WAY, IN_MEMORY = (
    "on disk when it confirms",
    "on its way to disk when it confirms",
    "in memory when it confirms",
)
NAME = rb"(\d{3}-\d{8})x"
"""A regular expression of the name that each text begins with: who sent it, and which of theirs it is."""


def text_of(name: bytes) -> bytes:
    """Return the whole text of the message with this name."""
    return name.ljust(TEXT_BYTES, b"x")


class Taken(NamedTuple):
    """The meaning of a piece of the stream.

    Attributes:
        used: the bytes of it that were whole.
        names: of the messages that arrived, in their order.
        acks: own messages that were confirmed.
        answer: bytes that the server is owed for it.
        news: whether it changed the link, so that equal bytes mean something else the next time.
    """

    used: int
    names: list[bytes]
    acks: int = 0
    answer: bytes = b""
    news: bool = False


class Shared:
    """The last piece of the stream that one link of a room read, and its meaning.

    The members of a room are often sent equal bytes. These are read once, or the load would cost more than the
    server does.
    """

    def __init__(self) -> None:
        self.data = b""
        self.taken = Taken(0, [])


@dataclass(frozen=True)
class Talk:
    """To whom a user of a link speaks.

    Attributes:
        other: the name of the other user, or that of the room.
        in_room: whether that is a room, whose messages the user gets as well.
        shared: what those who have this talk read.
    """

    other: str
    in_room: bool = False
    shared: Shared = field(default_factory=Shared)


class Link(ABC):
    """One user's connection, on which they speak with one other, or in one room.

    Attributes:
        acked: called with the number of own messages that the server confirmed, and when.
        delivered: called with the names of messages that arrived, in their order, and when. Equal bytes on links
            of one room may bring the same list again.
    """

    acked: Callable[[int, float], None]
    delivered: Callable[[list[bytes], float], None]

    @abstractmethod
    def open(self, port: int) -> None:
        """Connect over loopback."""

    @abstractmethod
    def sign_in(self) -> None:
        """Begin to say who this is."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether messages can be sent, and those of others arrive."""

    @abstractmethod
    def say(self, names: Sequence[bytes]) -> None:
        """Send the messages with these names to the other user or the room, in as few system calls as can be."""


class StreamLink(Connection, Link):
    """A link over a TCP connection of its own: a class for each protocol fills in `sign_in`, `say` and `read`.

    Attributes:
        signed_in: the server knows who this is.
    """

    def __init__(self, loop: Loop, user: str, talk: Talk) -> None:
        super().__init__(loop, user)
        self.talk = talk
        self.signed_in = False

    def is_ready(self) -> bool:
        """Tell whether the server knows who this is."""
        return self.signed_in

    @abstractmethod
    def read(self, data: bytes, now: float) -> Taken:
        """Read what is whole at the start of `data`."""

    def take(self, data: bytes, now: float) -> bytes:
        """Read what has come, or take it as it was read for another; answer it, and pass it on."""
        shared = self.talk.shared
        if data == shared.data:
            taken = shared.taken
        else:
            taken = self.read(data, now)
            if taken.names and not taken.news:
                shared.data, shared.taken = data, taken
        if taken.answer:
            self.write(taken.answer)
        if taken.names:
            self.delivered(taken.names, now)
        if taken.acks:
            self.acked(taken.acks, now)
        return data[taken.used :]


class Running(NamedTuple):
    """A server that has been started."""

    port: int
    pids: Sequence[int]
    tokens: Mapping[str, str] = {}

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes."""
        return sum(map(process_seconds, self.pids))

    def memory(self) -> int:
        """Return the memory of all its processes in KiB."""
        return sum(map(memory_kib, self.pids))


@dataclass(frozen=True)
class Peer:
    """A server under comparison.

    Attributes:
        name: as its makers write it.
        ack: what a sender knows when its message is confirmed, in this configuration.
        version: asks which version is there; None where it is not installed.
        install: how to install it.
        start: starts it in a folder, for these users and, where one is asked for, a room that they are all in.
        link: makes a client of a user.
        why: the reason why a message may cost it less than it costs relay.
        keeps: where a message is when it is confirmed.
        room_ack: what a sender knows when a message to a room is confirmed, where that is something else.
        echoes: whether who writes in a room gets their own message back.
    """

    name: str
    ack: str
    version: Callable[[], str | None]
    install: str
    start: Callable[[Path, Sequence[str], str], AbstractContextManager[Running]]
    link: Callable[[Loop, str, Talk, Running], Link]
    why: str
    keeps: str = IN_MEMORY
    room_ack: str = ""
    echoes: bool = True


def debian(package: str) -> str | None:
    """Return the version of a Debian package without Debian's own part; None where it is not installed."""
    if not shutil.which("dpkg-query"):
        return None
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]
    status, _, version = subprocess.run(command, capture_output=True, text=True).stdout.partition(" ")
    return version.partition("-")[0] if status == "installed" else None


SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian has the servers of its packages."""


def free_port() -> int:
    """Return a port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(
    command: Sequence[str | Path], folder: Path, port: int, environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Start a server, wait until it takes connections at `port`, yield its process id, and end it.

    Raises:
        MismatchError: it does not start.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={"PATH": SEARCHED, "HOME": str(folder), **(environ or {})},
        )
    try:
        _wait_for(child, port, log)
        yield child.pid
    except BaseException as error:
        error.add_note(f"the end of the server's log:\n{log.read_text(errors='replace')[-2000:]}")
        raise
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_for(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MismatchError("the server does not take connections")
