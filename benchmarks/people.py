"""People who do all that one does in a chat, and the book of what each of them must be sent."""

from array import array
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from benchmarks.frames import Frame, MismatchError, masked
from benchmarks.load import Client
from benchmarks.loop import Loop
from benchmarks.server import Server

ACK = "the ack of any of these"
UNNAMED = ("connection_event", "read_receipt", "typing_indicator")
"""Types that the server sends on its own account as well, or of which only the newest value must come."""


class Said(NamedTuple):
    """A message: by whom, whereto, and whether that is a group."""

    sender: str
    target: str
    in_group: bool


@dataclass
class Due:
    """Something that was planned for a moment: its kind, and who has not got it yet."""

    kind: str
    moment: float
    users: set[str]


class Book:
    """What was done, what of it is still due to whom, and how long each part took since it was planned.

    Attributes:
        taken: seconds of each arrival, ack or answer, by kind.
        said: messages by the id that their sender gave them.
    """

    def __init__(self) -> None:
        self.taken: dict[str, array[float]] = {}
        self.said: dict[str, Said] = {}
        self._due: dict[str, Due] = {}
        self._count = 0

    def name(self) -> str:
        """Return a name that nothing else has."""
        self._count += 1
        return f"done-{self._count:08d}"

    def expect(self, name: str, kind: str, moment: float, users: Collection[str]) -> None:
        """Note that these users must get it, counted from `moment`."""
        self._due[name] = Due(kind, moment, set(users))

    def came(self, name: str, user: str, now: float) -> None:
        """Note that a user got it.

        Raises:
            MismatchError: it was not due to them, or they had it already.
        """
        due = self._due.get(name)
        if due is None or user not in due.users:
            raise MismatchError(f"{user} was sent {name!r}, which was not due to them")
        self.took(due.kind, now - due.moment)
        due.users.remove(user)
        if not due.users:
            del self._due[name]

    def took(self, kind: str, seconds: float) -> None:
        """Note how long one of a kind took."""
        self.taken.setdefault(kind, array("d")).append(seconds)

    def is_due(self, name: str) -> bool:
        """Tell whether somebody has not got it yet."""
        return name in self._due

    def missing(self) -> Mapping[str, Due]:
        """Return all that is still due."""
        return self._due


@dataclass
class Person:
    """One user with one device, that acks its cursor and comes back with it.

    Attributes:
        own: their last messages, with the `message_id` of each: what they may edit.
        heard: the last messages that they got, so: what they read and react to.
        waiting: names of what has no ack yet, and what is done with it.
        coming: the name of their coming back, until they are in the live flow again.
    """

    user: str
    client: Client
    book: Book
    own: deque[tuple[int, Said]] = field(default_factory=partial(deque, maxlen=20))
    heard: deque[tuple[int, Said]] = field(default_factory=partial(deque, maxlen=20))
    waiting: dict[str, Said | None] = field(default_factory=dict)
    acked: int = 0
    coming: str = ""

    @property
    def here(self) -> bool:
        """Tell whether the device is in the live flow."""
        return self.client.synced_at > 0

    def send(self, kind: str, target: str, payload: object, name: str, said: Said | None = None) -> None:
        """Send a message whose ack is due; `said` is what it is, where others may react to it."""
        self.waiting[name] = said
        meta = {"target_id": target, "id": name}
        self.client.write(masked(msgspec.json.encode({"type": kind, "payload": payload, "meta": meta})))

    def ack_cursor(self) -> None:
        """Tell the server how far everything is processed, where that is news."""
        cursor = self.client.cursor
        if self.here and cursor > self.acked:
            self.acked = cursor
            event = {"type": "connection_event", "payload": {"event": "ack", "cursor": cursor}, "meta": {}}
            self.client.write(masked(msgspec.json.encode(event)))

    def listen(self) -> None:
        """Take what comes on the connection from now on."""
        self.client.handle(self._receive)

    def come_back(self, server: Server, loop: Loop, name: str) -> None:
        """Lose the connection, and make another from where that one stood; `name` is due once it is there."""
        old = self.client
        self.client = server.client(loop, self.user)
        self.client.resume_from(old.cursor, old.ready.epoch)
        old.drop()
        self.coming = name
        self.listen()
        self.client.connect(server.port)

    def _take_replay(self, now: float) -> None:
        for frame in self.client.replay:
            if frame.type not in UNNAMED:
                self._arrived(frame, now)
        self.client.replay.clear()

    def _receive(self, client: Client, frames: list[Frame], now: float) -> None:
        if self.coming:
            self._take_replay(now)
            self.book.came(self.coming, self.user, now)
            self.coming = ""
        for frame in frames:
            if frame.type == "error":
                raise MismatchError(f"{self.user}: {frame.payload.code}: {frame.payload.message}")
            position = frame.payload.message_id if frame.type == "ack" else frame.meta.message_id
            if position:
                if position <= client.cursor:
                    raise MismatchError(f"{self.user}: message_id {position} after {client.cursor}")
                client.cursor = position
            if frame.type == "ack":
                self._acked(frame, now)
            elif frame.type not in UNNAMED or self.book.is_due(frame.meta.id):
                self._arrived(frame, now)

    def _acked(self, frame: Frame, now: float) -> None:
        name = frame.meta.ref
        if name not in self.waiting or frame.payload.duplicate:
            raise MismatchError(f"{self.user}: an ack for {name!r}, which does not wait for one")
        said = self.waiting.pop(name)
        self.book.came(f"ack of {name}", self.user, now)
        if said:
            self.own.append((frame.payload.message_id, said))

    def _arrived(self, frame: Frame, now: float) -> None:
        self.book.came(frame.meta.id, self.user, now)
        if said := self.book.said.get(frame.meta.id):
            self.heard.append((frame.meta.message_id, said))
